"""Minibatches: incidents of a window and of hours like it, each somewhere in its own cell.

A forecast is read on cells, and real coordinates are snapped to addresses or blocks: a likelihood
of the bare points would be won by spikes at repeated places. Every draw therefore lies anywhere in
its incident's cell (dequantisation, Theis et al. 2016), which is the density that is judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.base import DAY_S, HOURS_PER_DAY, N_WINDOWS, FloatArray, Incidents, IntArray

N_DAYS = 7
_SATURDAY = 5


def window_kernel(sd_hours: float, like_days: float, other_days: float) -> FloatArray:
    """(168, 168) weight of an incident of window j for window i; rows sum to one.

    Args:
        sd_hours: of the circular Gaussian kernel over the hours of the day; 0: the own hour only.
        like_days: weight of the other weekdays for a weekday, of the other weekend day for a
            weekend day; the own day has weight one.
        other_days: weight of weekend days for weekdays and the other way about.
    """
    hour, day = np.arange(N_WINDOWS) % HOURS_PER_DAY, np.arange(N_WINDOWS) // HOURS_PER_DAY
    apart = np.abs(hour[:, None] - hour)
    apart = np.minimum(apart, HOURS_PER_DAY - apart)
    if sd_hours > 0:
        kernel = np.exp(-0.5 * (apart / sd_hours) ** 2)
    else:
        kernel = (apart == 0).astype(np.float64)
    weekend = day >= _SATURDAY
    of_day = np.where(weekend[:, None] == weekend, like_days, other_days)
    kernel = kernel * np.where(day[:, None] == day, 1.0, of_day)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), np.float64)


@dataclass(frozen=True)
class Ages:
    """How incidents are parted and weighed by age.

    Args:
        held_out_days: the latest days, which judge and do not teach; 0: they do both.
        half_life_days: age at which an incident counts half; None: all count the same.
    """

    held_out_days: float = 28.0
    half_life_days: float | None = None

    def weights(self, time_s: IntArray, cutoff_s: int) -> tuple[FloatArray, FloatArray]:
        """(n,) weights to learn from, (n,) weights to be judged on."""
        age_days = (cutoff_s - time_s) / DAY_S
        late = (age_days <= self.held_out_days).astype(np.float64)
        if self.half_life_days is None:
            weight = np.ones(len(time_s))
        else:
            weight = 0.5 ** (age_days / self.half_life_days)
        return (weight if self.held_out_days <= 0 else weight * (1 - late)), late


class WindowedRows:
    """Rows of incidents drawn for windows: first a window like it, then an incident of that.

    Args:
        window: (n,) window of each incident.
        weight: (n,) non-negative.
        kernel: (168, 168) as `window_kernel` gives.
    """

    def __init__(
        self, window: IntArray, weight: FloatArray, kernel: FloatArray, device: str
    ) -> None:
        order = np.argsort(window, kind="stable")
        # A single row of no weight keeps the tables from being empty.
        total = np.concatenate([[0.0], np.cumsum(weight[order])])
        edge = total[np.searchsorted(window[order], np.arange(N_WINDOWS + 1))]
        mass = np.diff(edge)
        wanted = kernel * mass
        wanted = np.where(wanted.sum(1, keepdims=True) > 0, wanted, np.maximum(mass, 1e-12))
        chance = np.cumsum(wanted / wanted.sum(1, keepdims=True), axis=1)
        self.order = torch.as_tensor(order, device=device)
        self.total = torch.as_tensor(total, device=device)
        self.edge = torch.as_tensor(edge, device=device)
        self.chance = torch.as_tensor(chance, device=device)

    def draw(self, windows: Tensor, which: Tensor, place: Tensor) -> Tensor:
        """(m, B) rows of incidents for windows (m,), from uniforms `which` and `place` (m, B)."""
        like = torch.searchsorted(self.chance[windows], which.double()).clamp(max=N_WINDOWS - 1)
        low, high = self.edge[like], self.edge[like + 1]
        target = low + (high - low) * place
        found = torch.searchsorted(self.total, target, right=True) - 1
        return self.order[found.clamp(0, len(self.order) - 1)]


def split_by_age(
    incidents: Incidents, ages: Ages, cutoff_s: int, minimum: int = 20
) -> tuple[FloatArray, FloatArray]:
    """(n,) learning and (n,) judging weights; with too few on either side all do both."""
    learn, judge = ages.weights(incidents.time_s, cutoff_s)
    if (learn > 0).sum() < minimum or judge.sum() < minimum:
        return np.ones(len(incidents)), np.ones(len(incidents))
    return learn, judge
