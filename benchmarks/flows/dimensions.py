"""More than two dimensions: our masked flow against zuko's at the same architecture and steps.

The density is known: a mixture of four Gaussians with random means and covariances. 20,000 points to
learn from, 5,000 to be judged on; affine MAF 5 x 64 x 64, 840 steps of 256, one thread.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from benchmarks.cities import machine
from benchmarks.flows.rivals import BATCH, BLOCKS, LEARNING_RATE, STEPS, WIDTH, fit_zuko
from models.base import FitContext
from models.flows.flow import Flow, FlowSettings
from models.flows.randomness import member_keys
from models.flows.training import train
from models.flows.training_settings import TrainingSettings

DIMENSIONS = (2, 3, 8, 21, 43)
N_LEARN, N_TEST = 20_000, 5_000


class Rows:
    """Minibatches of rows of a table (n, D); the last tenth judges."""

    n_uniforms = 1

    def __init__(self, table: Tensor) -> None:
        split = len(table) * 9 // 10
        self.parts = (table[:split], table[split:])
        self.log_defensive = torch.full((1,), -1e3)

    def draw(self, members: Tensor, uniforms: Tensor, *, held_out: bool) -> Tensor:
        """See `models.flows.training_settings.Source`."""
        del members
        table = self.parts[int(held_out)]
        return table[(uniforms[..., 0] * len(table)).long()]


def gaussians(n_dims: int) -> torch.distributions.MixtureSameFamily:
    """The truth."""
    generator = torch.Generator().manual_seed(n_dims)
    mean = 2.0 * torch.randn(4, n_dims, generator=generator)
    root = torch.randn(4, n_dims, n_dims, generator=generator) / n_dims**0.5
    covariance = root @ root.transpose(1, 2) + 0.3 * torch.eye(n_dims)
    return torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(4)),
        torch.distributions.MultivariateNormal(mean, covariance),
    )


def compare(n_dims: int) -> tuple[float, float]:
    """Our score minus zuko's, zuko's seconds over ours; prints both and the truth's."""
    torch.manual_seed(0)
    truth = gaussians(n_dims)
    raw = truth.sample((N_LEARN + N_TEST,))  # type: ignore[no-untyped-call]
    mean, sd = raw[:N_LEARN].mean(0), raw[:N_LEARN].std(0)
    learn, test = ((raw - mean) / sd).split([N_LEARN, N_TEST])
    started = time.perf_counter()
    theirs = fit_zuko(learn, 0, n_dims)
    seconds_zuko = time.perf_counter() - started
    settings = FlowSettings(n_dims, "affine", n_blocks=BLOCKS, hidden=(WIDTH, WIDTH))
    training = TrainingSettings(
        n_steps=STEPS, batch_size=BATCH, learning_rate=5 * LEARNING_RATE, defensive=0.0, patience=9
    )
    keys = member_keys(0, torch.arange(1))
    started = time.perf_counter()
    ours = train(Flow(keys, settings), Rows(learn), training, FitContext(0), keys).flow
    seconds = time.perf_counter() - started
    with torch.no_grad():
        score = float(ours.log_prob(test[None]).mean())
        score_zuko = float(theirs().log_prob(test).mean())
    log_p = truth.log_prob(raw[N_LEARN:])  # type: ignore[no-untyped-call]
    truth_score = float((log_p + sd.log().sum()).mean())
    print(
        f"D = {n_dims}: truth {truth_score:.3f}; ours {score:.3f} in {seconds:.1f} s; zuko "
        f"{score_zuko:.3f} in {seconds_zuko:.1f} s; ratio {seconds_zuko / seconds:.2f}",
        flush=True,
    )
    return score - score_zuko, seconds_zuko / seconds


def main() -> None:
    """Run all dimensions; ends with the `RESULT` line."""
    torch.set_num_threads(1)
    print(machine())
    results = [compare(n_dims) for n_dims in DIMENSIONS]
    print(
        "RESULT flows-dimensions",
        f"worst_gain={min(gain for gain, _ in results):.4f}",
        f"ratio={min(ratio for _, ratio in results):.2f}",
    )
