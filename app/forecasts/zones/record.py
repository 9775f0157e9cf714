"""What such plans caught before: zones of the same number and area at the origins of a backtest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from app.core.caching.once import once
from app.core.processes.priority import give_way
from app.core.roles import sees_unreleased
from app.evaluation.backtests.plans import DAY_HOURS, N_CELLS, grid_digest, read_plan
from app.forecasts.forecast import Forecast
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from app.forecasts.zones.adjacency import neighbours_of
from app.forecasts.zones.selection import Rows, ZoneOptions, among, places_of_cells_m
from app.incidents.column_store import read_columns
from app.regions.category_store import kind_names
from app.regions.kinds import folded
from app.regions.store import get_region
from app.registry.new_incidents import incidents_of
from app.runs.store import get_run, latest_with
from models.evaluation.metrics import ranked_rows
from models.evaluation.significance import wilson_interval
from models.units import DAY_S, FloatArray, IntArray
from models.zones.problem import TOLERANCE, ZoneProblem
from models.zones.search import best_zones

WORK = 60_000
"""Steps of a search: there are two for each origin."""
YEAR_DAYS = 365
RECORD_BYTES = 2_000


def record_of(service: ForecastService, forecast: Forecast, options: ZoneOptions) -> dict[str, Any]:
    """Return the members `record` and `record_reason` of a reply; one of them is null.

    Zones of the model's fit at each origin, of the counts of the year before it (of all hours, and of the
    same hours), and single cells of the fit have the same number and area; incidents of these hours of the
    day are counted in them, those of unknown time by the share of their hours among these. Figures for
    any number and area would let readers work out single cells' counts, so they are for those who may list
    incidents. They are of all categories, on the region's own cells, and do not heed what a plan avoids.
    """
    reason = _reason(forecast)
    if reason is not None:
        return {"record": None, "record_reason": reason}
    version = forecast.version
    with service.engine.connect() as connection:
        key = version.record.region_key
        run_id = latest_with(connection, "backtest", key, ("plans", version.record.model))
    hours = tuple(sorted({int(window) % DAY_HOURS for window in forecast.plan.slots.window}))
    asked = (options.n, options.max_km2, options.compactness, options.min_separation_m)
    if run_id is None:
        return {"record": None, "record_reason": "no_backtest"}

    def make() -> dict[str, Any]:
        with service.engine.connect() as connection:
            result = get_run(connection, "backtest", run_id).result or {}
        stored = result["plans"][version.record.model]
        if result["provenance"]["grid"] != grid_digest(version.grid):
            return {"record": None, "record_reason": "other_cells"}
        found = _Record(service, version, options, hours, stored, result["horizon_days"]).count()
        about = {"backtest": str(run_id), "model": version.record.model, "hours": list(hours)}
        return {"record": {**about, **found}, "record_reason": None}

    what = ("record", str(run_id), version.record.version, hours, asked)
    name = service.past_key(version.region.id, *what)
    found: dict[str, Any] = service.cache.get_or_make(name, dict, make, lambda _: RECORD_BYTES)
    return found


def _reason(forecast: Forecast) -> str | None:
    """Return why there can be no record."""
    if not sees_unreleased.get():
        return "not_released"
    if forecast.plan.codes is not None or forecast.plan.harm is not None:
        return "some_categories"
    return None if forecast.cells is forecast.version.cells else "other_cells"


@dataclass(frozen=True)
class _Record:
    service: ForecastService
    version: LoadedVersion
    options: ZoneOptions
    hours: tuple[int, ...]
    stored: Mapping[str, Mapping[str, str]]
    days: int

    def count(self) -> dict[str, Any]:
        """Count incidents of all test periods in zones, in those of last year's counts, and in free cells."""
        grid = self.version.grid
        origins = sorted(map(int, self.stored))
        rows, time_s, in_hours = self._incidents(origins)
        caught = dict.fromkeys(("zones", "last_year", "last_year_hours", "free_cells"), 0.0)
        n = 0.0
        for origin_s in origins:
            give_way()
            cells, shares = read_plan(self.stored[str(origin_s)])
            best = grid.rows_of_ids(cells)
            value = np.zeros(len(grid))
            value[best] = shares[list(self.hours)].sum(axis=0)
            tested = (time_s >= origin_s) & (time_s < origin_s + self.days * DAY_S)
            counts = np.bincount(rows[tested], in_hours[tested], len(grid))
            before = (time_s >= origin_s - YEAR_DAYS * DAY_S) & (time_s < origin_s)
            last_year = np.bincount(rows[before], minlength=len(grid)).astype(np.float64)
            last_year_hours = np.bincount(rows[before], in_hours[before], len(grid)).astype(
                np.float64
            )
            zones = self._zones(value)
            caught["zones"] += counts[zones].sum()
            caught["last_year"] += counts[self._zones(last_year)].sum()
            caught["last_year_hours"] += counts[self._zones(last_year_hours)].sum()
            caught["free_cells"] += counts[self._free(value, zones)].sum()
            n += counts.sum()
        return {
            "origins": len(origins),
            "first": datetime.fromtimestamp(origins[0], UTC).isoformat(),
            "days": self.days,
            "incidents": round(n),
            "n": self.options.n,
            "max_km2": self.options.max_km2,
            **{name: _share(float(hits), round(n)) for name, hits in caught.items()},
        }

    def _incidents(self, origins: list[int]) -> tuple[IntArray, IntArray, FloatArray]:
        """Return cell and time (n,) of the incidents that count, and the share of each in the hours."""
        start = datetime.fromtimestamp(origins[0], UTC) - timedelta(days=YEAR_DAYS)
        end = datetime.fromtimestamp(origins[-1], UTC) + timedelta(days=self.days)
        with self.service.engine.connect() as connection:
            region = get_region(connection, self.version.region.id)
            wanted = None
            if self.version.not_learnt:
                left_out = {folded(name) for name in self.version.not_learnt}
                known = kind_names(connection, region)
                wanted = [name for name in known if folded(name) not in left_out]
            columns = read_columns(connection, region, start, end, wanted)
        rows = self.version.grid.locate(columns.x_m, columns.y_m)
        inside = rows >= 0
        record = self.version.record
        found = incidents_of(columns, self.version.region.timezone, record.report.get("data", {}))
        shared = found.take(inside).shared_by(np.array([record.counts["profile"]])).by_hour()
        weight = shared.weight * np.isin(shared.window % DAY_HOURS, self.hours)
        in_hours = np.bincount(shared.incident, weight, int(inside.sum())).astype(np.float64)
        return rows[inside], columns.time_s[inside], in_hours

    def _zones(self, value: FloatArray) -> Rows:
        """Return the rows of the best zones, among the best cells."""
        rows = np.sort(ranked_rows(value)[:N_CELLS])
        problem = ZoneProblem(
            value[rows],
            self.version.grid.area_km2[rows],
            among(self._neighbours, rows),
            self._places_m[rows],
            self.options.max_km2,
            self.options.n,
            self.options.compactness,
            self.options.min_separation_m or 0.0,
        )
        found = best_zones(problem, give_way, WORK)
        return rows[np.array([cell for zone in found for cell in zone], np.int64)]

    def _free(self, value: FloatArray, zones: Rows) -> Rows:
        """Return as many of the best cells, wherever they lie, as fit the zones' area."""
        area_km2 = self.version.grid.area_km2
        order = ranked_rows(value)
        budget_km2 = float(area_km2[zones].sum()) * (1 + TOLERANCE)
        n = int(np.searchsorted(np.cumsum(area_km2[order]), budget_km2, side="right"))
        return order[:n]

    @once
    def _neighbours(self) -> IntArray:
        return neighbours_of(self.version.cells)

    @once
    def _places_m(self) -> FloatArray:
        return places_of_cells_m(self.version.cells)


def _share(hits: float, n: int) -> dict[str, Any]:
    """Return hits and their share, with the 95 % interval by Wilson."""
    hits = int(hits) if hits == int(hits) else round(hits, 1)
    if n == 0:
        return {"hits": 0, "share": None, "lo": None, "hi": None}
    low, high = wilson_interval(hits, n)
    return {"hits": hits, "share": hits / n, "lo": low, "hi": high}
