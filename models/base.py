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

from models.bands import Band
from models.densities.ingredients import Ingredients
from models.estimator import Estimator
from models.hour_table import times
from models.incidents import Incidents
from models.units import FloatArray, IntArray

Progress = Callable[[float, str], None]
"""Called with the share done, 0..1, and what is being done."""
Precision = Literal["float32", "tf32", "bf16", "float64"]

HORIZON_DAYS = 28
"""How far past its cutoff a fitted density is meant to be used, and the length of a test period."""


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
        memo: what fits of the same caller may keep for each other; None: nothing.
    """

    cutoff_s: int
    seed: int = 0
    device: str = "cpu"
    n_threads: int = 1
    precision: Precision = "float32"
    cuda_graphs: bool = False
    progress: Progress = field(default=lambda _share, _message: None)
    cancelled: Callable[[], bool] = field(default=lambda: False)
    memo: dict[object, Any] | None = None

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

    def at(self, table: NDArray[Any], window: IntArray, rows: IntArray) -> FloatArray:
        """Return the same for single cells `rows` (n,) and rows `window` (n,) of a table (W, N)."""
        share = (1.0 - self.fixed.sum()) / times(table, self.ratio)
        result: FloatArray = share[window] * table[window, rows] * self.ratio[rows]
        return result + self.fixed[rows]


class DensityModel(Estimator, ABC):
    """Base class: a forecast of where incidents fall, per window, on the cells of a study area.

    `__init__` only stores settings and `fit` returns self. Fitted attributes end in `_`; reading one
    before `fit` raises `NotFittedError`:

    * `probability_` (W, N) float64, W = 168, or 1 when all windows share one density; rows sum to
      one: the probability of each cell given that an incident happens in the window.
    * `category_density_` {category code: CategoryDensity}, for models that distinguish categories.
    * `area_km2_` (N,) the areas of the cells passed to `fit`.
    * `band_`: how far the probabilities may be off, for models that know.
    * `ingredients_`: densities without some of what makes them, for models that have several.
    * `state_strength_`: how far states should follow what arrives later, for models that know.
    """

    name: ClassVar[str]

    probability_: FloatArray
    area_km2_: FloatArray
    category_density_: dict[int, CategoryDensity]
    band_: Band | None = None
    ingredients_: Ingredients | None = None
    state_strength_: float | None = None

    @abstractmethod
    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit to the incidents before `context.cutoff_s`; ignore those outside every cell."""

    def report(self) -> Mapping[str, Any]:
        """Return JSON-ready facts about the fit: chosen settings, weights, leaked mass, fallbacks."""
        return {}

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """Return fitted parameters to store with the probabilities."""
        found: dict[str, NDArray[Any]] = {}
        if self.band_ is not None:
            found = {"band.loading": self.band_.loading, "band.variance": self.band_.variance}
        if self.ingredients_ is not None:
            found.update(self.ingredients_.tensors())
        return found

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
    # In place, because the table of a city with small cells takes a hundred megabytes.
    shares = weights / np.where(total > 0, total, 1.0)
    np.copyto(shares, uniform, where=total <= 0)
    shares *= 1.0 - floor
    shares += floor * uniform
    shares /= shares.sum(axis=-1, keepdims=True)
    result: FloatArray = shares
    return result
