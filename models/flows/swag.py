"""Stochastic weight averaging, Gaussian (Maddox et al. 2019): how far the weights may wander.

From fitted flows training goes on at a constant rate. The weights passed through give a Gaussian, half
its covariance diagonal and half of low rank (section 3.3 there); draws from it are further flows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.base import FitContext
from models.flows.flow import Flow
from models.flows.training import Run
from models.flows.training_settings import Source, TrainingSettings

WALK = TrainingSettings(batch_size=256, learning_rate=2e-3, constant_rate=True, ema=0.0)


@dataclass(frozen=True)
class SwagSettings:
    """Where the weights are looked at.

    Args:
        n_snapshots: looks; also the rank of the covariance's second half.
        steps_between: looks.
        training: of the steps; its rate is taken constant, at `learning_rate`.
    """

    n_snapshots: int = 20
    steps_between: int = 10
    training: TrainingSettings = WALK


class Swag:
    """A Gaussian over the weights of M flows.

    Args:
        flow: the M flows at the mean.
        deviations: K tensors a parameter, (K, M, ...), snapshots minus mean.
    """

    def __init__(self, flow: Flow, deviations: list[Tensor]) -> None:
        self.flow = flow
        self.deviations = deviations

    def draws(self, n: int, seed: int) -> Iterator[Flow]:
        """Further sets of the M flows, n of them, drawn independently for each member."""
        device = next(self.flow.parameters()).device
        generator = torch.Generator(device).manual_seed(seed)
        everyone = torch.arange(self.flow.n_members, device=device)
        n_snapshots = len(self.deviations[0])
        for _ in range(n):
            drawn = self.flow.select(everyone)
            # One set of factors for all parameters of a member: the low-rank half ties them together.
            factor = (
                torch.randn(n_snapshots, drawn.n_members, device=device, generator=generator)
                / (2 * (n_snapshots - 1)) ** 0.5
            )
            with torch.no_grad():
                for parameter, deviation in zip(drawn.parameters(), self.deviations, strict=True):
                    wide = factor.reshape(*factor.shape, *[1] * (deviation.dim() - 2))
                    own = torch.randn(parameter.shape, device=device, generator=generator)
                    spread = deviation.square().mean(0).div(2).sqrt()
                    parameter.add_((wide * deviation).sum(0) + spread * own)
            yield drawn


def swag(
    flow: Flow,
    source: Source,
    settings: SwagSettings,
    context: FitContext,
    keys: Tensor,
) -> Swag:
    """Let fitted flows wander and keep the Gaussian of where they went.

    Args:
        flow: M fitted members; left as it is.
        keys: (M,) what each member's minibatches follow from.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    members = torch.arange(flow.n_members, device=keys.device)
    run = Run(flow.select(members), members, keys, source, settings.training, context)
    snapshots: list[list[Tensor]] = []
    for look in range(settings.n_snapshots):
        context.report(look / settings.n_snapshots, f"weights, look {look + 1}")
        for step in range(settings.steps_between):
            run.step(look * settings.steps_between + step)
        snapshots.append([parameter.detach().clone() for parameter in run.flow.parameters()])
    stacked = [torch.stack(places) for places in zip(*snapshots, strict=True)]
    mean = flow.select(members)
    with torch.no_grad():
        for parameter, places in zip(mean.parameters(), stacked, strict=True):
            parameter.copy_(places.mean(0))
    return Swag(mean, [places - places.mean(0) for places in stacked])
