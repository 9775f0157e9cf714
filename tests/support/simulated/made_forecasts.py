"""Forecasts of a small area whose every number is known, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import shapely

from app.forecasts.forecast import Forecast
from app.forecasts.plan import Plan, Selector
from app.forecasts.versions.loaded import Ground, LoadedVersion
from app.forecasts.zones.selection import ChosenZones, ZoneOptions, check_budget
from app.forecasts.zones.selection import Ground as ZoneGround
from app.geo.grid import build_grid
from app.geo.study_area import StudyArea
from app.regions.store import Region
from app.registry.store import VersionRecord
from models.counts.model import CountModel

CRS = "EPSG:32618"
CUTOFF = datetime(2024, 1, 8, tzinfo=UTC)
"""A Monday."""
WEST_M, SOUTH_M = 604_000.0, 514_000.0


def region_of(**more: Any) -> Region:
    """A region as the database has it."""
    known = {
        "key": 1, "id": "town", "name": "Town", "timezone": "America/Bogota", "crs": CRS,
        "cell_size_m": 500.0, "boundary_derived": False, "has_boundary": True,
        "has_neighbourhoods": False, "settings": {}, "created_at": CUTOFF,
    }  # fmt: skip
    return Region(**{**known, **more})


def record_of(**more: Any) -> VersionRecord:
    """A version as it is registered: enough incidents, no peculiarities."""
    known = {
        "region_key": 1, "version": "v1", "model": "stack", "artifact_sha256": "a",
        "grid_sha256": "b", "run_id": None, "data_hash": "c", "n_incidents": 9_000,
        "cutoff": CUTOFF, "seed": 0, "categories": ["theft", "arson"], "settings": {},
        "provenance": {}, "report": {}, "scores": {}, "counts": {}, "gate": {},
        "created_at": CUTOFF, "forecasts_sha256": "d", "sealed_at": CUTOFF, "seal": b"",
    }  # fmt: skip
    return VersionRecord(**{**known, **more})


def square_area(nx: int = 4, ny: int = 3, crs: str = CRS, size_m: float = 500.0) -> StudyArea:
    """A rectangle of whole cells without its upper right one."""
    east, north = WEST_M + nx * size_m, SOUTH_M + ny * size_m
    whole = shapely.box(WEST_M, SOUTH_M, east, north)
    return StudyArea(
        shapely.difference(whole, shapely.box(east - size_m, north - size_m, east, north)), crs
    )


def version_of(area: StudyArea | None = None, **more: Any) -> LoadedVersion:
    """A version on a grid of 500 m; an incident an hour is expected."""
    area = square_area() if area is None else area
    counts = CountModel(
        (1.0,) * 168, (0.0,) * 4, 1.0, 1.0, 1.0, int(CUTOFF.timestamp()), by_slot=0.1,
        category_shares=((0.75,) * 8, (0.25,) * 8),
    )  # fmt: skip
    known = LoadedVersion(region_of(), record_of(), Ground(build_grid(area, 500.0), area), counts)
    return replace(known, **more)


def forecast_of(
    version: LoadedVersion | None = None, n_slots: int = 1, **selector: Any
) -> Forecast:
    """A forecast from the cutoff on, in which cell k (from 1) is k times as likely as cell 1."""
    version = version_of() if version is None else version
    weight = np.arange(1.0, len(version.grid) + 1)
    plan = Plan(version, Selector(window=0, **selector), int(CUTOFF.timestamp()), n_slots)
    return Forecast(plan, version.cells, weight / weight.sum(), np.full(n_slots, 2.0))


def chosen_zones(forecast: Forecast, options: ZoneOptions) -> ChosenZones:
    """The zones of a forecast, chosen from all its cells."""
    ground = ZoneGround.of(forecast, options)
    check_budget(options.max_km2, forecast.cells.area_km2[ground.rows])
    return ground.chosen(ground.best(options.n, options.max_km2), options.max_km2)
