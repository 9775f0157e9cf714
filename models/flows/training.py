"""Maximum-likelihood training of many flows in one loop.

Every member has its own minibatches, gradient norm, early stopping and divergence check. The loop never
waits for the device; the host evaluates once every `check_every` steps and, on a CPU, then drops the
members that are done.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from models.base import FitContext
from models.flows.acceleration import (
    Recorded,
    half_precision,
    product_precision,
    training_dtype,
)
from models.flows.flow import Flow
from models.flows.randomness import hashed_uniform, member_keys
from models.flows.training_settings import Source, TrainingResult, TrainingSettings, defended

_VALIDATION_STEP = -1
_CPU_CHUNK = 16
_COMPACT_BELOW = 0.75
_EMA_WARMUP_STEPS = 10
_GRID = 2.0**-22
"""Close to the last bit of 32-bit weights, far above that of 64-bit arithmetic."""


def train(
    flow: Flow,
    source: Source,
    settings: TrainingSettings,
    context: FitContext,
    keys: Tensor | None = None,
) -> TrainingResult:
    """Train all members of `flow`, chunk by chunk, from their current weights.

    Args:
        flow: M members; not changed.
        source: source of minibatches.
        settings: training settings.
        context: seed, device, precision and callbacks.
        keys: (M,) keys of each member's minibatches; None: derived from index and seed.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    n_members = flow.n_members
    device = next(flow.parameters()).device
    everyone = torch.arange(n_members, device=device)
    keys = member_keys(context.seed, everyone) if keys is None else keys
    chunk = settings.chunk or (_CPU_CHUNK if device.type == "cpu" else n_members)
    dtype = training_dtype(context.precision)
    parts = []
    for start in range(0, n_members, chunk):
        members = everyone[start : start + chunk]
        end = min(n_members, start + chunk)
        share = context.part(start / n_members, end / n_members)
        initial = flow.select(members).to(dtype)
        run = Run(initial, members, keys[members], source, settings, context)
        with product_precision(context.precision):
            parts.append(_with_restarts(run, flow.select(members).to(dtype), share))
    best = flow.select(everyone).eval()
    for start, part in zip(range(0, n_members, chunk), parts, strict=True):
        best.assign(everyone[start : start + chunk], part.flow.float())
    return TrainingResult(
        best,
        torch.cat([part.score for part in parts]),
        torch.cat([part.initial_score for part in parts]),
        torch.cat([part.n_steps for part in parts]),
        torch.cat([part.n_diverged for part in parts]),
    )


def _with_restarts(run: Run, initial: Flow, context: FitContext) -> TrainingResult:
    """Train a chunk, then retrain those of its members that diverged."""
    result = run.result(context)
    settings = run.settings
    again = run.diverged.nonzero()[:, 0]
    if settings.n_restarts == 0 or len(again) == 0:
        return result
    slower = replace(
        settings, learning_rate=settings.learning_rate / 3, n_restarts=settings.n_restarts - 1
    )
    members, keys = run.members[again], run.keys[again] + 1
    second_run = Run(initial.select(again), members, keys, run.source, slower, context)
    second = _with_restarts(second_run, initial.select(again), context)
    better = second.score > result.score[again]
    rows = again[better]
    result.flow.assign(rows, second.flow.select(better.nonzero()[:, 0]))
    result.score[rows] = second.score[better]
    result.n_steps[rows] = second.n_steps[better]
    result.n_diverged[again] += second.n_diverged
    return result


class Run:
    """Training of one chunk: the active members, and the best weights of every member."""

    def __init__(
        self,
        flow: Flow,
        members: Tensor,
        keys: Tensor,
        source: Source,
        settings: TrainingSettings,
        context: FitContext,
    ) -> None:
        self.members, self.keys = members, keys
        self.source, self.settings = source, settings
        self.precision = context.precision
        self.dtype = training_dtype(context.precision)
        device = members.device
        self.rows = torch.arange(len(members), device=device)
        # Values that change with each step live on the device, so that recorded steps see them.
        self.place = torch.zeros((), dtype=torch.int64, device=device)
        self.rate = torch.zeros((), device=device)
        self.fresh_share = torch.zeros((), device=device, dtype=self.dtype)
        self._take(flow)
        self._advance = Recorded(self._train_once, device, wanted=context.cuda_graphs)
        self.diverged = torch.zeros(len(members), dtype=torch.bool, device=members.device)
        self.stale = torch.zeros(len(members), dtype=torch.int64, device=members.device)
        self.validation = self._draw(_VALIDATION_STEP, settings.n_validation, held_out=True)
        self.best = flow.select(self.rows).eval()
        self.initial_score = self._score()
        self.score = self.initial_score.clone()
        self.n_steps = torch.zeros_like(self.stale)

    def _take(self, flow: Flow) -> None:
        """Continue with this flow and a new optimiser."""
        self.flow = flow.train()
        self.average = flow.select(torch.arange(flow.n_members, device=self.rows.device)).eval()
        self.weights, self.averaged = self.flow.flatten(), self.average.flatten()
        self._round_weights()
        self.optimizer = torch.optim.AdamW(
            [self.weights],
            lr=self.rate,
            weight_decay=self.settings.weight_decay,
            fused=True,
            capturable=self.rate.device.type == "cuda",
        )

    def _draw(self, step: int | Tensor, n: int, *, held_out: bool) -> Tensor:
        mine, n_uniforms = self.rows, self.source.n_uniforms
        uniforms = hashed_uniform(self.keys[mine], step, n * n_uniforms)
        x = self.source.draw(
            self.members[mine], uniforms.reshape(len(mine), n, n_uniforms), held_out=held_out
        )
        return x.to(self.dtype)

    def _log_p(self, flow: Flow, x: Tensor) -> Tensor:
        log_q = self.source.log_defensive[self.members[self.rows]]
        return defended(flow.log_prob(x), log_q, self.settings.defensive)

    @torch.no_grad()
    def _score(self) -> Tensor:
        """Return the mean held-out log density (m,) of the averaged weights."""
        return self._log_p(self.average, self.validation).mean(1)

    def result(self, context: FitContext) -> TrainingResult:
        """Run all steps and return the best weights."""
        settings = self.settings
        for step in range(settings.n_steps):
            self.step(step)
            if (step + 1) % settings.check_every == 0 or step + 1 == settings.n_steps:
                context.report(step / settings.n_steps, f"flow step {step + 1}")
                self._evaluate(step + 1)
                if len(self.rows) == 0:
                    break
        return TrainingResult(
            self.best,
            self.score,
            self.initial_score,
            self.n_steps,
            self.diverged.to(torch.int64),
        )

    def step(self, step: int) -> None:
        """Train every active member on one minibatch."""
        self.place.fill_(step)
        self.rate.fill_(self.settings.rate(step))
        decay = min(self.settings.ema, (step + 1) / (step + _EMA_WARMUP_STEPS))
        self.fresh_share.fill_(1 - decay)
        self._advance()

    def _train_once(self) -> None:
        x = self._draw(self.place, self.settings.batch_size, held_out=False)
        with half_precision(x.device.type, self.precision):
            loss = -self._log_p(self.flow, x).mean(1)
        finite = loss.isfinite()
        self.diverged[self.rows] |= ~finite
        loss = torch.where(finite, loss, torch.zeros_like(loss)).sum()
        gradients = torch.autograd.grad(loss, list(self.flow.parameters()))
        self.weights.grad = self._clipped(torch.cat([g.flatten(1) for g in gradients], dim=1))
        self.optimizer.step()
        self._round_weights()
        self.averaged.lerp_(self.weights, self.fresh_share)

    @torch.no_grad()
    def _round_weights(self) -> None:
        """Round 64-bit weights to multiples of `_GRID` after every step.

        Processors differ in the last bits, and training doubles such differences every other step:
        1e-15 becomes 1e-2 after a hundred. Rounding removes them at once, except for the few weights
        that lie exactly between two multiples.
        """
        if self.dtype == torch.float64:
            self.weights.div_(_GRID).round_().mul_(_GRID)

    def _clipped(self, gradient: Tensor) -> Tensor:
        """Clip every member's gradient norm; replace non-finite gradients (m, W) by zero."""
        gradient = gradient.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        return gradient.mul_((self.settings.clip_norm / (norm + 1e-12)).clamp(max=1.0))

    def _evaluate(self, step: int) -> None:
        """Evaluate the averaged weights and store those that are the best so far."""
        if self.flow.norms:
            self._restandardise()
        score = self._score()
        rows = self.rows
        self.diverged[rows] |= ~score.isfinite()
        # A member that is done stays done, even while it remains in the batch.
        going = (self.stale[rows] < self.settings.patience) & ~self.diverged[rows]
        better = (score > self.score[rows]) & going
        self.score[rows] = torch.where(better, score, self.score[rows])
        self.n_steps[rows] = torch.where(better, step, self.n_steps[rows])
        self.stale[rows] = torch.where(better, 0, self.stale[rows] + 1)
        self.best.assign_where(rows, self.average, better)
        going = (self.stale[rows] < self.settings.patience) & ~self.diverged[rows]
        if rows.device.type == "cpu" and going.float().mean() < _COMPACT_BELOW:
            self._compact(going.nonzero()[:, 0])

    def _restandardise(self) -> None:
        """Recompute the normalisations of the averaged weights from one large batch."""
        n = max(self.settings.batch_size, self.settings.n_validation)
        self.average.restandardise(self._draw(_VALIDATION_STEP - 1, n, held_out=False))

    def _compact(self, places: Tensor) -> None:
        """Continue with the members at these positions only."""
        average = self.average
        state = self.optimizer.state[self.weights]
        self.validation = self.validation[places]
        self.rows = self.rows[places]
        self._take(self.flow.select(places))
        self.average.assign(torch.arange(len(places), device=places.device), average.select(places))
        self.optimizer.state[self.weights] = {
            "step": state["step"],
            "exp_avg": state["exp_avg"][places],
            "exp_avg_sq": state["exp_avg_sq"][places],
        }
