"""Settings, data source and result of the training of flows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.flows.flow import Flow


class Source(Protocol):
    """Source of the members' minibatches.

    A point is computed from `n_uniforms` numbers in (0, 1); `log_defensive` (M,) is the log density of
    the defensive component in the coordinates of the points.
    """

    n_uniforms: int
    log_defensive: Tensor

    def draw(self, members: Tensor, uniforms: Tensor, *, held_out: bool) -> Tensor:
        """Draw points (m, B, D) of members (m,) from uniforms (m, B, U).

        Args:
            held_out: draw from the validation incidents instead of the training incidents.
        """
        ...


@dataclass(frozen=True)
class TrainingSettings:
    """Training settings of the members.

    Args:
        n_steps: length of the cosine schedule.
        batch_size: points per member and step.
        learning_rate: peak rate of AdamW.
        warmup_steps: steps of linear growth of the rate.
        weight_decay: weight decay of AdamW.
        clip_norm: upper limit of each member's gradient norm.
        ema: decay of the averaged weights, which are evaluated and returned; 0: no averaging.
        check_every: steps between evaluations of the held-out score.
        patience: evaluations without improvement after which a member stops.
        n_validation: held-out points per evaluation.
        defensive: share of the defensive component (Hesterberg 1995), in training and use.
        chunk: members trained together; None: 16 on a CPU (to fit its caches), all on CUDA.
        n_restarts: restarts of a member that diverged, each with a third of the learning rate.
        constant_rate: use neither warm-up nor cosine schedule.
    """

    n_steps: int = 600
    batch_size: int = 256
    learning_rate: float = 6e-3
    warmup_steps: int = 40
    weight_decay: float = 0.0
    clip_norm: float = 5.0
    ema: float = 0.98
    check_every: int = 50
    patience: int = 4
    n_validation: int = 512
    defensive: float = 0.02
    chunk: int | None = None
    n_restarts: int = 1
    constant_rate: bool = False

    def rate(self, step: int) -> float:
        """Return the learning rate: warm-up, then cosine."""
        if self.constant_rate:
            return self.learning_rate
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.n_steps))


@dataclass
class TrainingResult:
    """The members with their best weights.

    `score` and `initial_score` (M,) are the mean held-out log densities of the best and the initial
    weights; `n_steps` (M,) steps to the best weights; `n_diverged` (M,) starts that diverged. A member
    whose last start diverged has its best weights before that, at worst the initial ones.
    """

    flow: Flow
    score: Tensor
    initial_score: Tensor
    n_steps: Tensor
    n_diverged: Tensor


def defended(log_p: Tensor, log_defensive: Tensor, share: float) -> Tensor:
    """Return log((1 - share) p + share q), given log p (m, B) and log q (m,)."""
    if share <= 0:
        return log_p
    other = (log_defensive + math.log(share))[:, None]
    return torch.logaddexp(log_p + math.log1p(-share), other)
