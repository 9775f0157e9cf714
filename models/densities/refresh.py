"""A fitted density brought forward over what has arrived since its fit, without refitting it.

The logarithm of the density's change is a Gaussian field over the cells, a sum of Ornstein-Uhlenbeck
processes of different memories, like the drift of a fit (`models.densities.drift`), that starts where the
fit ended. Its mode given the new incidents is the state. Each process then decays with its own memory: the
forecast of tonight stands on last night, that of next month on the fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import Cells, FitContext
from models.densities.state import DensityState, log_gain, mean_over_hours
from models.fields.lattice import Lattice
from models.fields.tilt import TiltSettings, fit_tilt, tensor
from models.units import DAY_S, N_WINDOWS, FloatArray, IntArray

AGES_DAYS = (1, 2, 3, 5, 7, 10, 14, 21, 28, 42, 56, 84, 112, 168, 224, 336, 448)
"""Edges of the bins of age in which incidents are counted; older ones are in the last bin."""
N_BISECTIONS = 30
USUAL_STRENGTH = 0.75
"""Of the changes of a density whose past has not been looked at: see `learnt_strength`."""
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
STRENGTH_SD = 0.5
LOOK_EVERY_DAYS = 7
_JITTER = 1e-6


@dataclass(frozen=True)
class RefreshSettings:
    """Prior of the change since a fit.

    Args:
        scales: (memory in days, variance, share of it that the fit left unknown) of each process.
        spread: {knot spacing in metres: standard deviation}.
        tilt: settings of the fit of the mode.
    """

    scales: Sequence[tuple[float, float, float]] = (
        (20.0, 0.5, 1.0),
        (100.0, 0.3, 0.7),
        (1500.0, 1.0, 0.3),
    )
    spread: Mapping[float, float] = field(
        default_factory=lambda: {4000.0: 0.1, 1000.0: 0.15, 500.0: 0.2, 250.0: 0.25}
    )
    tilt: TiltSettings = field(default_factory=lambda: TiltSettings(n_steps=40))


class Refresh:
    """Makes states of one fitted density.

    Args:
        base: (N,) positive probabilities of an incident at any hour, sum to one.
        cells: the N cells.
        pooled: (N,) cells that must share one factor, because they share one density; None: none.
        settings: prior of the change.
        strength: factor of the changes, 0..1; see `learnt_strength`.
    """

    def __init__(
        self,
        base: FloatArray,
        cells: Cells,
        pooled: NDArray[np.bool_] | None = None,
        settings: RefreshSettings | None = None,
        strength: float = 1.0,
    ) -> None:
        self.base = base
        self.pooled = pooled
        self.strength = strength
        self.settings = settings or RefreshSettings()
        self.lattice = Lattice.of_cells(cells, self.settings.spread)
        self._memory_days = np.array([memory for memory, _, _ in self.settings.scales])

    def nothing(self) -> DensityState:
        """Return the state of the density as fitted."""
        shape = len(self._memory_days), len(self.base)
        return DensityState(self._memory_days, np.zeros(shape, np.float32))

    def state(self, rows: IntArray, time_s: IntArray, start_s: int, end_s: int) -> DensityState:
        """Return the most probable state at `end_s`.

        Args:
            rows: (n,) cells of the incidents since the fit.
            time_s: (n,) their times, UTC seconds, within [start_s, end_s).
            start_s: cutoff of the fit.
            end_s: end of the data.
        """
        days = (end_s - start_s) / DAY_S
        edges = np.array([0.0, *(age for age in AGES_DAYS if age < days), days])
        if len(rows) == 0 or days <= 0:
            return self.nothing()
        bin_ = np.searchsorted(edges, (end_s - time_s) / DAY_S, side="left").clip(1, len(edges) - 1)
        n_bins, n_cells = len(edges) - 1, len(self.base)
        counts = np.bincount((bin_ - 1) * n_cells + rows, minlength=n_bins * n_cells)
        covariance, own = self._covariances(days - (edges[:-1] + edges[1:]) / 2, days)
        root = np.linalg.cholesky(covariance + _JITTER * np.eye(n_bins))
        fields = fit_tilt(
            counts.reshape(n_bins, n_cells).astype(np.float64),
            tensor(np.log(self.base), "cpu"),
            tensor(np.asarray(root, np.float64), "cpu"),
            self.lattice,
            FitContext(end_s),
            self.settings.tilt,
        )
        # The mean of each process now, given the fitted sum of all at the middles of the bins.
        weights = np.linalg.solve(root, own.T).T
        log_ratio = self.strength * weights @ fields.double().numpy().T
        return DensityState(self._memory_days, self._shared(log_ratio).astype(np.float32))

    def _covariances(self, at: FloatArray, now: float) -> tuple[FloatArray, FloatArray]:
        """Return covariances of the sum at days (B,) since the fit, and of each process now with it."""
        total = np.sum([_covariance(at, at, scale) for scale in self.settings.scales], axis=0)
        present = np.array([now])
        own = [_covariance(present, at, scale)[0] for scale in self.settings.scales]
        return total, np.array(own)

    def _shared(self, log_ratio: FloatArray) -> FloatArray:
        """Give the pooled cells their mean by probability."""
        if self.pooled is None or not self.pooled.any():
            return log_ratio
        shared = log_ratio.copy()
        weight = self.base[self.pooled] / self.base[self.pooled].sum()
        shared[:, self.pooled] = (log_ratio[:, self.pooled] @ weight)[:, None]
        return shared

    def limited(
        self, before: DensityState, wanted: DensityState, max_distance: float
    ) -> tuple[DensityState, float]:
        """Return the state on the way from one to another that moves at most so much of the mass.

        Returns:
            The state, and the total variation distance of the wanted one.
        """
        start = before.log_ratio_by_memory.astype(np.float64)
        step = wanted.log_ratio_by_memory - start
        origin = self._moved(start)

        def distance(share: float) -> float:
            return float(np.abs(self._moved(start + share * step) - origin).sum() / 2)

        whole = distance(1.0)
        if whole <= max_distance:
            return wanted, whole
        low, high = 0.0, 1.0
        for _ in range(N_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if distance(middle) <= max_distance else (low, middle)
        return DensityState(self._memory_days, (start + low * step).astype(np.float32)), whole

    def _moved(self, log_ratio_by_memory: FloatArray) -> FloatArray:
        moved = self.base * np.exp(log_ratio_by_memory.sum(axis=0))
        return np.asarray(moved / moved.sum(), np.float64)


def _covariance(
    one: FloatArray, other: FloatArray, scale: tuple[float, float, float]
) -> FloatArray:
    """Return the covariances of a process at days since the fit, given what the fit knew."""
    memory, variance, unknown = scale
    stationary = np.exp(-np.abs(one[:, None] - other) / memory)
    known = (1 - unknown) * np.exp(-(one[:, None] + other) / memory)
    covariance: FloatArray = variance * (stationary - known)
    return covariance


def learnt_strength(gains: FloatArray) -> float:
    """Return the strength with which states would have forecast best in the past.

    In a city that does not change, what states follow is chance. The most probable strength is taken
    under a normal prior around 1 with standard deviation `STRENGTH_SD`.

    Args:
        gains: (S,) sums of log ratios by `strength_gains`, of all past periods together.
    """
    prior = -0.5 * ((np.array(STRENGTHS) - 1.0) / STRENGTH_SD) ** 2
    return STRENGTHS[int(np.argmax(gains + prior))]


def strength_gains(
    table: NDArray[np.floating[Any]],
    cells: Cells,
    rows: IntArray,
    window: IntArray,
    time_s: IntArray,
    start_s: int,
    days: int,
) -> FloatArray:
    """Return the sums (S,) of log ratios of weekly states over the fit, for each of `STRENGTHS`.

    Each week of a period after the fit is forecast by the state of what happened before it.

    Args:
        table: (168, N) or (1, N) probabilities as fitted.
        rows, window, time_s: (n,) cells, hours of the week and times of the period's incidents.
        start_s: end of the fit's data, the start of the period.
        days: length of the period.
    """
    rates = 1.0 + np.bincount(window, minlength=N_WINDOWS).astype(np.float64)
    refresh = Refresh(mean_over_hours(table, rates), cells)
    day = (time_s - start_s) // DAY_S
    total = np.zeros(len(STRENGTHS))
    for first in range(LOOK_EVERY_DAYS, days, LOOK_EVERY_DAYS):
        known, mine = day < first, (day >= first) & (day < first + LOOK_EVERY_DAYS)
        if not (known.any() and mine.any()):
            continue
        state = refresh.state(rows[known], time_s[known], start_s, start_s + first * DAY_S)
        log_ratio = np.log(state.ratio(LOOK_EVERY_DAYS / 2))
        ratios = np.exp(np.array(STRENGTHS) * log_ratio[:, None])
        total += log_gain(table, ratios, rows[mine], window[mine]).sum(axis=0)
    return total
