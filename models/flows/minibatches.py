"""Minibatches: incidents of a window and of similar hours, at random positions in their cells.

Real coordinates are snapped to addresses or blocks, so that the likelihood of the points themselves
would reward spikes at repeated places. Each draw is therefore uniform in its incident's cell
(dequantisation, Theis et al. 2016); forecasts are evaluated on cells too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.fields.priors import day_similarity
from models.incidents import Incidents
from models.units import DAY_S, HOURS_PER_DAY, N_WINDOWS, FloatArray, IntArray


def window_kernel(sd_hours: float, like_days: float, other_days: float) -> FloatArray:
    """Return the weights (168, 168) of incidents of window j for window i; rows sum to one.

    Args:
        sd_hours: standard deviation of the circular Gaussian kernel over the hours of the day; 0: only
            the same hour.
        like_days: weight of the other weekdays for a weekday, and of the other weekend day for a
            weekend day; the same day has weight one.
        other_days: weight of weekend days for weekdays, and conversely.
    """
    hour = np.arange(N_WINDOWS) % HOURS_PER_DAY
    apart = np.abs(hour[:, None] - hour)
    apart = np.minimum(apart, HOURS_PER_DAY - apart)
    if sd_hours > 0:
        kernel = np.exp(-0.5 * (apart / sd_hours) ** 2)
    else:
        kernel = (apart == 0).astype(np.float64)
    kernel = kernel * day_similarity(like_days, other_days)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), np.float64)


@dataclass(frozen=True)
class Ages:
    """Split and weights of incidents by age.

    Args:
        held_out_days: number of latest days used for validation only; 0: they are also trained on.
        half_life_days: age at which an incident counts half; None: equal weights.
    """

    held_out_days: float = 28.0
    half_life_days: float | None = None

    def weights(self, time_s: IntArray, cutoff_s: int) -> tuple[FloatArray, FloatArray]:
        """Return weights for training (n,) and for validation (n,)."""
        age_days = (cutoff_s - time_s) / DAY_S
        late = (age_days <= self.held_out_days).astype(np.float64)
        if self.half_life_days is None:
            weight = np.ones(len(time_s))
        else:
            weight = 0.5 ** (age_days / self.half_life_days)
        return (weight if self.held_out_days <= 0 else weight * (1 - late)), late


class WindowedRows:
    """Draws rows of incidents for windows: first a similar window, then one of its incidents.

    Args:
        window: (n,) window of each incident.
        weight: (n,) non-negative weights.
        kernel: (168, 168) weights of `window_kernel`.
    """

    def __init__(
        self, window: IntArray, weight: FloatArray, kernel: FloatArray, device: str
    ) -> None:
        order = np.argsort(window, kind="stable")
        # A row without weight ensures that the tables are not empty.
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
        """Draw rows (m, B) of incidents for windows (m,), from uniforms `which` and `place` (m, B)."""
        like = torch.searchsorted(self.chance[windows], which.double()).clamp(max=N_WINDOWS - 1)
        low, high = self.edge[like], self.edge[like + 1]
        target = low + (high - low) * place
        found = torch.searchsorted(self.total, target, right=True) - 1
        return self.order[found.clamp(0, len(self.order) - 1)]


def split_by_age(
    incidents: Incidents, ages: Ages, cutoff_s: int, minimum: int = 20
) -> tuple[FloatArray, FloatArray]:
    """Return training and validation weights (n,); with too few incidents, all are used for both."""
    learn, judge = ages.weights(incidents.time_s, cutoff_s)
    if (learn > 0).sum() < minimum or judge.sum() < minimum:
        return np.ones(len(incidents)), np.ones(len(incidents))
    return learn, judge
