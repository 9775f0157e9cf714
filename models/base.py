"""Types and the base class that all density models share.

This module has no database, file or clock. Densities are held on the cells of a study area:
inside one cell (clipped to the study area) a density is constant, outside all cells it is zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.estimator import Estimator
from models.times.intervals import HOUR_S as HOUR_S
from models.times.intervals import HourShares, Intervals

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]

Progress = Callable[[float, str], None]
"""Called with the share done, 0..1, and what is being done."""
Precision = Literal["float32", "tf32", "bf16", "float64"]

N_WINDOWS = 168
"""Hours of the local week; window 0 starts on Monday at midnight."""
HOURS_PER_DAY = 24
SATURDAY = 5
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
HORIZON_DAYS = 28
"""How far past its cutoff a fitted density is meant to be used, and the length of a test period."""

COVERAGE = 0.9
"""Share of the truth that a band is meant to hold."""
NORMAL_QUANTILE = 1.6448536269514722
"""Of (1 + COVERAGE) / 2."""


class FitCancelled(Exception):
    """Raised by a fit whose caller asked it to stop."""


class TooFewIncidents(ValueError):
    """Raised when there is too little data to fit a model."""


class Cells(Protocol):
    """Square cells clipped to a study area (`app.geo.grid.Grid` is one).

    `cell_id` (N,) ascending, `iy * nx + ix`; `area_km2` (N,) exact clipped areas;
    `ix`, `iy` (N,) integer positions counted east and north from the lower-left corner;
    coordinates are metres in the region's projected CRS.
    """

    @property
    def x0_m(self) -> float: ...
    @property
    def y0_m(self) -> float: ...
    @property
    def cell_size_m(self) -> float: ...
    @property
    def nx(self) -> int: ...
    @property
    def ny(self) -> int: ...
    @property
    def cell_id(self) -> IntArray: ...
    @property
    def ix(self) -> IntArray: ...
    @property
    def iy(self) -> IntArray: ...
    @property
    def area_km2(self) -> FloatArray: ...

    def locate(self, x_m: NDArray[Any], y_m: NDArray[Any]) -> IntArray:
        """Return the row (0..N-1) of the cell of each point (n,), -1 outside all cells."""
        ...


@dataclass(frozen=True)
class Incidents:
    """Columns of equal length n, sorted by time.

    Args:
        x_m, y_m: (n,) float32, metres in the projected CRS (0.5 m is lost at UTM northings).
        time_s: (n,) int64, UTC seconds since 1970; of an interval its start.
        window: (n,) int16, hour of the local week, 0..167; of an interval one drawn by its shares.
        category: (n,) int32, code of the category.
        arrived_s: (n,) int64, when each was first known, UTC seconds; None: not read.
        intervals: what is known of times that are not exact; None: all are exact to the hour.
        minute: (n,) int16, minute of the local hour, to find placeholders; None: not read.
    """

    x_m: Float32Array
    y_m: Float32Array
    time_s: IntArray
    window: NDArray[np.int16]
    category: NDArray[np.int32]
    arrived_s: IntArray | None = None
    intervals: Intervals | None = None
    minute: NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.time_s)

    def take(self, rows: NDArray[Any] | slice) -> Incidents:
        """Return the incidents at these rows (a mask, indices or a slice)."""
        return Incidents(
            self.x_m[rows],
            self.y_m[rows],
            self.time_s[rows],
            self.window[rows],
            self.category[rows],
            None if self.arrived_s is None else self.arrived_s[rows],
            None if self.intervals is None else self.intervals.take(rows),
            None if self.minute is None else self.minute[rows],
        )

    @property
    def at_s(self) -> IntArray:
        """Instants (n,) to count incidents at, UTC seconds: of an interval one in an hour drawn by share."""
        return self.time_s if self.intervals is None else self.intervals.at_s

    def by_hour(self) -> HourShares:
        """Return the incidents by hour of the week, those known as an interval once per hour it touches."""
        window = self.window.astype(np.int64)
        if self.intervals is None:
            return HourShares(np.arange(len(self)), window, np.ones(len(self)))
        found = self.intervals
        exact = np.flatnonzero(~found.is_interval)
        incident = np.concatenate([exact, found.incident])
        order = np.argsort(incident, kind="stable")
        return HourShares(
            incident[order],
            np.concatenate([window[exact], found.window.astype(np.int64)])[order],
            np.concatenate([np.ones(len(exact)), found.share.astype(np.float64)])[order],
        )

    def between(self, start_s: int, end_s: int) -> Incidents:
        """Return the incidents at or after the start and before the end; of an interval its start counts."""
        first, last = np.searchsorted(self.time_s, [start_s, end_s], side="left")
        return self.take(slice(int(first), int(last)))

    def shared_by(
        self, profiles: FloatArray, row: IntArray | None = None, seed: int = 0
    ) -> Incidents:
        """Return the incidents with intervals shared out by profiles of the week, and windows drawn by that.

        Args:
            profiles: (R, 168) positive rates of the hours of the week.
            row: (n,) profile of each incident; None: the first of all.
            seed: seeds the draws.
        """
        if self.intervals is None:
            return self
        found = self.intervals
        rate = profiles[0 if row is None else row[found.incident], found.window]
        shared, hour = found.with_weights(found.overlap * rate).drawn(seed)
        window = self.window.copy()
        window[shared.is_interval] = shared.window[hour]
        return replace(self, window=window, intervals=shared)

    def known_at(self, time_s: int) -> Incidents:
        """Return the incidents that had arrived by this instant; all, where arrivals were not read."""
        return self if self.arrived_s is None else self.take(self.arrived_s <= time_s)

    def before(self, time_s: int) -> Incidents:
        """Return the incidents strictly before this instant, those whose interval has ended by then."""
        early = self.take(slice(0, int(np.searchsorted(self.time_s, time_s, side="left"))))
        if early.intervals is None or early.intervals.end_s.max() <= time_s:
            return early
        return early.take(early.intervals.end_s <= time_s)

    def since(self, time_s: int) -> Incidents:
        """Return the incidents at or after this instant."""
        return self.take(slice(int(np.searchsorted(self.time_s, time_s, side="left")), None))


@dataclass(frozen=True)
class FitContext:
    """Everything a fit depends on besides its data.

    Args:
        cutoff_s: the origin, UTC seconds; every incident passed to `fit` is earlier.
        seed: seeds every random draw; the same data, seed and machine give identical bits.
        device: torch device for models that use one, `cpu` or `cuda`.
        n_threads: number of CPU threads the fit may use.
        precision: precision of training. `float64` gives the same fit on every machine (to 1e-4 nats)
            but is slower; `tf32` and `bf16` apply to matrix products on CUDA. Densities are always 32-bit.
        cuda_graphs: record training steps and replay them.
        progress: receives reports of progress.
        cancelled: polled repeatedly; true makes the fit raise `FitCancelled`.
    """

    cutoff_s: int
    seed: int = 0
    device: str = "cpu"
    n_threads: int = 1
    precision: Precision = "float32"
    cuda_graphs: bool = False
    progress: Progress = field(default=lambda _share, _message: None)
    cancelled: Callable[[], bool] = field(default=lambda: False)

    def report(self, share: float, message: str) -> None:
        """Report progress, and raise if the caller has cancelled.

        Raises:
            FitCancelled: the caller asked the fit to stop.
        """
        if self.cancelled():
            raise FitCancelled(message)
        self.progress(share, message)

    def part(self, start: float, end: float, prefix: str = "") -> FitContext:
        """Return the context of a sub-task that covers [start, end] of this one's progress."""

        def progress(share: float, message: str) -> None:
            self.progress(start + (end - start) * share, f"{prefix}{message}")

        return replace(self, progress=progress)


@dataclass(frozen=True)
class CategoryDensity:
    """One category's density, as a change to the density of each window.

    Its probabilities are a mixture of a part that varies by hour, proportional to the window's
    probabilities times `ratio`, and a part that is the same at all hours, `fixed`.

    Args:
        ratio: (N,) non-negative; 0 where small counts are pooled, which are then in `fixed` only.
        fixed: (N,) sums to the share of this part, 0..1; the rest is the other part's share.
    """

    ratio: FloatArray
    fixed: FloatArray

    def given(self, probability: FloatArray) -> FloatArray:
        """Return the category's probabilities (..., N), given those of the window (..., N)."""
        tilted = probability * self.ratio
        share = (1.0 - self.fixed.sum()) / tilted.sum(axis=-1, keepdims=True)
        result: FloatArray = share * tilted + self.fixed
        return result

    def at(self, table: FloatArray, window: IntArray, rows: IntArray) -> FloatArray:
        """Return the same for single cells `rows` (n,) and rows `window` (n,) of a table (W, N)."""
        share = (1.0 - self.fixed.sum()) / (table @ self.ratio)
        result: FloatArray = share[window] * table[window, rows] * self.ratio[rows]
        return result + self.fixed[rows]


@dataclass(frozen=True)
class Band:
    """Variances of the logarithms of probabilities (168, N), as a product of two factors.

    Args:
        loading: (168, K) non-negative.
        variance: (K, N) non-negative.
    """

    loading: FloatArray
    variance: FloatArray

    def log_variance(self, windows: IntArray | int) -> FloatArray:
        """Return variances (N,) in one window, or (W, N) in several."""
        result: FloatArray = self.loading[windows] @ self.variance
        return result

    def factor(self, window: int) -> FloatArray:
        """Return the factor (N,) by which a cell's probability may be off, either way."""
        deviation = np.sqrt(self.log_variance(window))
        factor: FloatArray = np.exp(NORMAL_QUANTILE * deviation)
        return factor

    def report(self) -> dict[str, float]:
        """Return the share that bands are meant to hold, and their usual factor."""
        usual = float(
            np.median([np.median(self.factor(w)) for w in range(0, len(self.loading), 7)])
        )
        return {"coverage": COVERAGE, "median_factor": usual}

    def pooled(self, cells: NDArray[np.bool_]) -> Band:
        """Return the band with the mean variance of some cells (N,) at all of them."""
        variance = self.variance.copy()
        if cells.any():
            variance[:, cells] = variance[:, cells].mean(axis=1, keepdims=True)
        return Band(self.loading, variance)


class DensityModel(Estimator, ABC):
    """Base class: a forecast of where incidents fall, per window, on the cells of a study area.

    `__init__` only stores settings and `fit` returns self. Fitted attributes end in `_`; reading one
    before `fit` raises `NotFittedError`:

    * `probability_` (W, N) float64, W = 168, or 1 when all windows share one density; rows sum to
      one: the probability of each cell given that an incident happens in the window.
    * `category_density_` {category code: CategoryDensity}, for models that distinguish categories.
    * `area_km2_` (N,) the areas of the cells passed to `fit`.
    * `band_`: how far the probabilities may be off, for models that know.
    * `state_strength_`: how far states should follow what arrives later, for models that know.
    """

    name: ClassVar[str]

    probability_: FloatArray
    area_km2_: FloatArray
    category_density_: dict[int, CategoryDensity]
    band_: Band | None = None
    state_strength_: float | None = None

    @abstractmethod
    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit to the incidents before `context.cutoff_s`; ignore those outside every cell."""

    def report(self) -> Mapping[str, Any]:
        """Return JSON-ready facts about the fit: chosen settings, weights, leaked mass, fallbacks."""
        return {}

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """Return fitted parameters to store with the probabilities."""
        if self.band_ is None:
            return {}
        return {"band.loading": self.band_.loading, "band.variance": self.band_.variance}

    def cell_probability(self, window: int, category: int | None = None) -> FloatArray:
        """Return the probabilities of the cells in one window (N,); they sum to one."""
        table = self.probability_
        row: FloatArray = table[window % len(table)] if len(table) > 1 else table[0]
        own = None if category is None else self.category_density_.get(category)
        return row if own is None else own.given(row)

    def sample(
        self, n: int, window: int, category: int | None = None, seed: int | None = None
    ) -> IntArray:
        """Draw the rows of n cells by their probability in one window."""
        cumulative = np.cumsum(self.cell_probability(window, category))
        draws = np.random.default_rng(seed).random(n) * cumulative[-1]
        rows: IntArray = np.searchsorted(cumulative, draws, side="right")
        return rows.clip(max=len(cumulative) - 1)

    def log_density(
        self, rows: IntArray, window: NDArray[Any], category: NDArray[Any] | None = None
    ) -> FloatArray:
        """Return log densities per km2 (n,), in nats, at cells `rows` (>= 0) in the given windows.

        With `category`, score each incident by the density of its category where the model has one.
        """
        table = self.probability_
        window_row = window.astype(np.int64) if len(table) > 1 else np.zeros(len(rows), np.int64)
        log_probability = np.log(table[window_row, rows])
        if category is not None:
            for code, own in self.category_density_.items():
                mine = category == code
                log_probability[mine] = np.log(own.at(table, window_row[mine], rows[mine]))
        result: FloatArray = log_probability - np.log(self.area_km2_[rows])
        return result


def normalised(weights: FloatArray, area_km2: FloatArray, floor: float = 1e-3) -> FloatArray:
    """Normalise rows of weights to probabilities, mixed with a uniform share of `floor`.

    The defensive uniform component keeps every log density finite (Hesterberg 1995, "Weighted
    average importance sampling and defensive mixture distributions"). A row without any mass
    becomes uniform.

    Args:
        weights: (..., N) finite and non-negative.
        area_km2: (N,) areas of the cells.
        floor: share of the uniform component, 0..1.

    Raises:
        ValueError: a weight is negative or not finite.
    """
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise ValueError("weights must be finite and non-negative")
    uniform = area_km2 / area_km2.sum()
    total = weights.sum(axis=-1, keepdims=True)
    shares = np.where(total > 0, weights / np.where(total > 0, total, 1.0), uniform)
    # In place, because the table of a city with small cells takes a hundred megabytes.
    shares *= 1.0 - floor
    shares += floor * uniform
    shares /= shares.sum(axis=-1, keepdims=True)
    result: FloatArray = shares
    return result
