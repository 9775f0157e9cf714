"""A forecast: probabilities, counts and bounds of some cells, and what replies say about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.caching.once import once
from app.core.messages import Message
from app.core.zones import zone
from app.forecasts.areas.layers import CellLayers
from app.forecasts.cells import CellSet, rows_in_bbox
from app.forecasts.plan import Plan, Selector
from app.forecasts.versions.loaded import LoadedVersion
from app.forecasts.warnings import warnings_of
from models.bands import NORMAL_QUANTILE
from models.counts.model import CountModel
from models.counts.negative_binomial import LEVEL, nearest_interval
from models.evaluation.metrics import ranked_rows
from models.units import FloatArray


def rows_shown(cells: CellSet, layers: CellLayers, selector: Selector) -> NDArray[np.int64]:
    """Return rows of the cells to show: all, or those that touch the box and belong to the area asked for."""
    rows = np.arange(len(cells)) if selector.bbox is None else rows_in_bbox(cells, selector.bbox)
    return rows if layers.inside is None else rows[layers.inside[rows]]


@dataclass(frozen=True)
class Forecast:
    """The forecast of some slots together on some cells.

    `probability` (N,) of the cell of an incident in these slots sums to one over the study area, of
    which `cells` may be a part; `slot_mean` (K,) is the expected number of incidents of each slot. With
    weights, `probability` is the cell's share of the harm, `count_share` that of the incidents, and
    `harm_total` the expected harm.
    """

    plan: Plan
    cells: CellSet
    probability: FloatArray
    slot_mean: FloatArray
    weighted_count_share: FloatArray | None = None
    harm_total: float | None = None
    log_variance: FloatArray | None = None
    """Variance (N,) of the logarithm of each cell's probability, if the version knows it."""
    layers: CellLayers = field(default_factory=CellLayers)
    """What the request's layers say of the cells."""

    @property
    def count_share(self) -> FloatArray:
        """Each cell's share of the expected incidents."""
        return self.probability if self.weighted_count_share is None else self.weighted_count_share

    @property
    def version(self) -> LoadedVersion:
        """The version of the forecast."""
        return self.plan.version

    @property
    def selector(self) -> Selector:
        """The selector of the request."""
        return self.plan.selector

    @property
    def at(self) -> datetime:
        """UTC start of the (first) slot."""
        return datetime.fromtimestamp(self.plan.start_s, UTC)

    @property
    def until(self) -> datetime:
        """UTC end of the last slot."""
        return self.at + timedelta(hours=self.plan.n_slots)

    @property
    def window(self) -> int | None:
        """The slot's hour of the week; None for several slots."""
        windows = self.plan.slots.window
        return int(windows[0]) if len(windows) == 1 else None

    @once
    def rows(self) -> NDArray[np.int64]:
        """Rows of the cells to show: all, or those that touch the box and belong to the area asked for."""
        return rows_shown(self.cells, self.layers, self.selector)

    @once
    def expected_total(self) -> float:
        """Expected number of incidents in all slots and cells."""
        return float(self.slot_mean.sum())

    @once
    def counts(self) -> CountModel:
        """The count model as of the middle of the slots."""
        return self.plan.counts_at(float(self.plan.lead_days.mean()))

    @once
    def dispersion(self) -> float:
        """Dispersion of any share of the total."""
        counts = self.counts
        if len(self.slot_mean) == 1:
            return counts.dispersion
        return counts.sum_dispersion(self.slot_mean, self.plan.slots.time_s)

    def interval_of(self, mean: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Return inclusive 90 % bounds of shares of the total, of any shape.

        For several slots the dispersion of the total is used for shares, because the Poisson variance
        dominates for cells.
        """
        if len(self.slot_mean) == 1:
            return self.counts.interval(mean.astype(np.float64))
        return nearest_interval(mean, self.dispersion, LEVEL)

    @once
    def total_interval(self) -> tuple[float, float]:
        """Bounds of the total."""
        low, high = self.interval_of(np.array([self.expected_total]))
        return float(low[0]), float(high[0])

    @once
    def density_per_km2(self) -> FloatArray:
        """Probability per km2."""
        return self.probability / self.cells.area_km2

    @once
    def expected_count(self) -> FloatArray:
        """Expected number of incidents of each cell."""
        return self.count_share * self.expected_total

    def band_of(self, rows: NDArray[np.int64]) -> tuple[FloatArray, FloatArray] | None:
        """Return 90 % bounds of some cells' expected counts, or None if the version knows none.

        The forecast may be off so far; chance comes on top of it (`interval_of`).
        """
        if self.log_variance is None:
            return None
        factor = np.exp(NORMAL_QUANTILE * np.sqrt(self.log_variance[rows]))
        count = self.expected_count[rows]
        return count / factor, count * factor

    def of_cells(self, rows: NDArray[np.int64]) -> Forecast:
        """Return the same forecast of some cells, whose `probability` is as of all."""
        share, variance = self.weighted_count_share, self.log_variance
        return replace(
            self,
            cells=self.cells.take(rows),
            probability=self.probability[rows],
            weighted_count_share=None if share is None else share[rows],
            log_variance=None if variance is None else variance[rows],
            layers=CellLayers(),
        )

    @once
    def ranking(self) -> NDArray[np.int64]:
        """Rows to show by descending probability, ties by cell id."""
        return self.rows[ranked_rows(self.probability[self.rows])]

    @once
    def warnings(self) -> list[Message]:
        """Return the warnings about this forecast."""
        version = self.version
        return [
            *version.reasons,
            *self.plan.news,
            *warnings_of(
                version.record,
                version.region,
                version.shown_categories,
                self.until,
                version.data_until,
            ),
        ]

    @property
    def warned(self) -> str:
        """The warnings as one text."""
        return "; ".join(warning.message for warning in self.warnings)

    def heading(self) -> dict[str, Any]:
        """Return the members common to all replies."""
        record = self.version.record
        region = self.version.region
        local = zone(region.timezone)
        low, high = self.total_interval
        several = len(self.slot_mean) > 1
        span = {
            "from": self.at.astimezone(local).isoformat(),
            "to": self.until.astimezone(local).isoformat(),
            "n_slots": len(self.slot_mean),
        }
        return {
            "region": region.id,
            "window": self.window,
            "at": self.at.astimezone(local).isoformat(),
            **(span if several else {}),
            **({"shift": self.selector.shift} if self.selector.shift else {}),
            "model": record.model,
            "model_version": record.version,
            "trained_until": record.cutoff.isoformat(),
            **self.provenance(),
            "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "category": " + ".join(self.selector.categories) or None,
            **({"categories": self.plan.kinds} if self.selector.categories else {}),
            "warnings": [warning.to_json() for warning in self.warnings],
            "expected_total": round(self.expected_total, 6),
            "expected_total_lo": low,
            "expected_total_hi": high,
            **self._harm_heading(),
            **self._part_heading(),
        }

    def provenance(self) -> dict[str, Any]:
        """Return the state, the end of its data, and how far ahead of it the (first) slot lies."""
        until = self.version.data_until
        return {
            "state": self.version.state_id,
            "data_until": until.isoformat(),
            "assimilated_incidents": 0
            if self.version.state is None
            else self.version.state.record.n_incidents,
            "lead_hours": round((self.at - until) / timedelta(hours=1), 2),
        }

    def labels(self) -> dict[str, Any]:
        """Return the members of each flagged cell and line by which saved layers differ."""
        local = zone(self.version.region.timezone)
        begin = self.at.astimezone(local)
        head = self.cells.head()
        return {
            "region": self.version.region.id,
            "model": self.version.record.model,
            "model_version": self.version.record.version,
            "state": self.version.state_id,
            "data_until": self.version.data_until.isoformat(),
            "at": begin.isoformat(),
            "from": begin.isoformat(),
            "to": self.until.astimezone(local).isoformat(),
            "utc_offset": begin.isoformat()[-6:],
            "window": self.window,
            "category": " + ".join(self.selector.categories) or None,
            "cell_size_m": head.get("cell_size_m"),
        }

    def _harm_heading(self) -> dict[str, Any]:
        if self.plan.harm is None:
            return {}
        return {**self.plan.harm.heading(), "expected_harm_total": self.harm_total}

    def _part_heading(self) -> dict[str, Any]:
        """Return what the cells of the requested box, or area, expect together."""
        box, inside = self.selector.bbox, self.selector.inside
        asked: dict[str, Any] = {} if box is None else {"bbox": list(box)}
        if inside is not None:
            asked["inside"] = {"layer": inside.layer, "area": inside.area}
        if not asked:
            return {}
        share = float(self.count_share[self.rows].sum())
        low, high = self.interval_of(np.array([share * self.expected_total]))
        found = {
            "share": share,
            "expected": share * self.expected_total,
            "expected_lo": float(low[0]),
            "expected_hi": float(high[0]),
        }
        return asked | {f"{name}_{what}": v for name in asked for what, v in found.items()}
