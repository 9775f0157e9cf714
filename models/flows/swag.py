"""Stochastic weight averaging, Gaussian (SWAG, Maddox et al. 2019): uncertainty of the weights.

Fitted flows are trained further at a constant rate. The visited weights give a Gaussian whose covariance
is half diagonal and half of low rank (section 3.3); draws from it are further flows.
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

CONSTANT_RATE = TrainingSettings(batch_size=256, learning_rate=2e-3, constant_rate=True, ema=0.0)


@dataclass(frozen=True)
class SwagSettings:
    """Settings of the snapshots of weights.

    Args:
        n_snapshots: number of snapshots, and rank of the low-rank part of the covariance.
        steps_between: training steps between two snapshots.
        training: settings of these steps, with a constant rate.
    """

    n_snapshots: int = 20
    steps_between: int = 10
    training: TrainingSettings = CONSTANT_RATE


class Swag:
    """A Gaussian over the weights of M flows.

    Args:
        flow: the M flows at the mean weights.
        deviations: per parameter, snapshots minus mean (K, M, ...).
    """

    def __init__(self, flow: Flow, deviations: list[Tensor]) -> None:
        self.flow = flow
        self.deviations = deviations

    def draws(self, n: int, seed: int) -> Iterator[Flow]:
        """Draw n further sets of the M flows, independently for each member."""
        device = next(self.flow.parameters()).device
        generator = torch.Generator(device).manual_seed(seed)
        everyone = torch.arange(self.flow.n_members, device=device)
        n_snapshots = len(self.deviations[0])
        for _ in range(n):
            drawn = self.flow.select(everyone)
            # All parameters of a member share their factors in the low-rank part.
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
    """Fit the Gaussian over the weights of fitted flows.

    Args:
        flow: M fitted members; not changed.
        source: source of minibatches.
        settings: number and spacing of the snapshots.
        context: device and callbacks.
        keys: (M,) keys of each member's minibatches.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    members = torch.arange(flow.n_members, device=keys.device)
    run = Run(flow.select(members), members, keys, source, settings.training, context)
    snapshots: list[list[Tensor]] = []
    for look in range(settings.n_snapshots):
        context.report(look / settings.n_snapshots, f"snapshot {look + 1} of the weights")
        for step in range(settings.steps_between):
            run.step(look * settings.steps_between + step)
        snapshots.append([parameter.detach().clone() for parameter in run.flow.parameters()])
    stacked = [torch.stack(places) for places in zip(*snapshots, strict=True)]
    mean = flow.select(members)
    with torch.no_grad():
        for parameter, places in zip(mean.parameters(), stacked, strict=True):
            parameter.copy_(places.mean(0))
    return Swag(mean, [places - places.mean(0) for places in stacked])
