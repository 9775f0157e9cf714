"""The city of the pictures: made incidents and streets, a forecast filed each evening, a backtest.

Its incidents end on the last Friday, so that the page says of it what it says of a feed that is up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Self
from unittest import mock

import numpy as np
import pandas as pd
import shapely
from sqlalchemy import Engine

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.core.zones import zone
from app.evaluation.backtests.request import BacktestRequest
from app.forecasts.service import ForecastService
from app.geo.study_area import StudyArea, to_degrees
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from app.incidents.service import ingest_file
from app.readers.blocks import ReadOptions
from app.regions.service import add_region
from app.regions.store import get_region
from app.register.filing import file_forecast
from app.register.scoring import score_due
from app.runs.store import Run
from app.states.service import assimilate
from app.streets.service import set_streets
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

REGION = "town"
NAME = "Sample city"
MODEL = "stack"
RIVALS = ("prior-counts", "prior-counts-hourly", "pooled-kde", "window-kde", "uniform")
PARTS = (
    "Old Town", "Harbour", "Station", "Market", "University", "Riverside",
    "Mill Hill", "Parkside", "Northgate", "Eastfield", "Southbank", "Westbrook",
)  # fmt: skip
BLOCK_M = 500.0
N_DAYS = 511
PER_DAY = 40
FILED_DAYS = 28
UNTIMED_SHARE = 0.015
MIXED_SHARE = 0.7
"""Of the incidents, whose times change places: hours of real cities differ less than the made ones."""
UNPLACED_ROWS = 3
FRIDAY = 4
EVENING = timedelta(hours=4)
"""Before midnight: when the worker files the next day."""


@dataclass(frozen=True)
class City:
    """The city in a database of its own.

    Args:
        until: local midnight at which its incidents end.
    """

    engine: Engine
    settings: Settings
    until: datetime


class _Clock(datetime):
    """The clock of the audit log, which orders filed forecasts in time."""

    moment = datetime.now(UTC)

    @classmethod
    def now(cls, tz: Any = None) -> Self:
        return cls.fromtimestamp(cls.moment.timestamp(), tz or UTC)


@contextmanager
def sample_city(home: Path) -> Iterator[City]:
    """Fill a database; this takes minutes, most of them for the backtest."""
    settings = Settings(home=home)
    engine = open_engine(settings)
    migrate(engine)
    city = City(engine, settings, _last_friday())
    frame = _incidents(city.until)
    area = synthetic_city().area
    boundary: dict[str, Any] = json.loads(json.dumps(area.to_geojson()))
    add_region(
        engine, REGION, timezone=TIMEZONE, name=NAME, boundary=boundary, neighbourhoods=_parts(area)
    )
    streets = json.dumps(synthetic_streets(area, BLOCK_M)).encode()
    set_streets(engine, REGION, [streets], ReadOptions())
    begin = city.until - timedelta(days=FILED_DAYS)
    _deliver(city, frame[frame["occurred_at"] < begin])
    _done(run_now(engine, settings, REGION, TrainingRequest(MODEL, seed=0), lambda *_: None))
    _file_and_deliver(city, frame)
    assimilate(engine, REGION)
    asked = BacktestRequest((MODEL, *RIVALS), n_origins=4)
    _done(run_now(engine, settings, REGION, asked, lambda *_: None))
    yield city
    engine.dispose()


def _done(run: Run) -> None:
    if run.status != "succeeded":
        raise RuntimeError(run.message)


def _last_friday() -> datetime:
    """Return the local midnight with which the last Friday began."""
    today = datetime.now(zone(TIMEZONE)).date()
    friday = today - timedelta(days=(today.weekday() - FRIDAY) % 7)
    return datetime.combine(friday, time(), zone(TIMEZONE))


def _incidents(until: datetime) -> pd.DataFrame:
    """Draw the incidents of the days before a Friday; some have no known time, the first ones no place."""
    frame = synthetic_city().draw(N_DAYS + 7, PER_DAY, seed=3)
    weeks = (until - frame["occurred_at"].iloc[-1]) // timedelta(days=7) + 1
    at = (frame["occurred_at"] + weeks * timedelta(days=7)).dt.tz_convert(zone(TIMEZONE))
    frame = frame.assign(occurred_at=at)[at < until].reset_index(drop=True)
    rng = np.random.default_rng(4)
    mixed = np.flatnonzero(rng.random(len(frame)) < MIXED_SHARE)
    frame.loc[mixed, "occurred_at"] = frame["occurred_at"].to_numpy()[rng.permutation(mixed)]
    frame = frame.sort_values("occurred_at", kind="stable", ignore_index=True)
    untimed = rng.random(len(frame)) < UNTIMED_SHARE
    frame.loc[untimed, "occurred_at"] = frame.loc[untimed, "occurred_at"].dt.normalize()
    frame.loc[: UNPLACED_ROWS - 1, ["longitude", "latitude"]] = np.nan
    return pd.DataFrame(frame)


def _parts(area: StudyArea) -> dict[str, Any]:
    """Divide the city into neighbourhoods: what is nearest to each of a few places."""
    west, south, east, north = area.polygon_m.bounds
    rng = np.random.default_rng(1)
    columns, rows = np.meshgrid(np.arange(4), np.arange(3))
    places = np.stack([columns.ravel(), rows.ravel()], axis=1) + rng.uniform(0.2, 0.8, (12, 2))
    places = places / (4, 3) * (east - west, north - south) + (west, south)
    cut = shapely.voronoi_polygons(shapely.multipoints(places), extend_to=area.polygon_m)
    features = []
    for name, part in zip(PARTS, shapely.get_parts(cut), strict=True):
        ring = np.asarray(shapely.intersection(part, area.polygon_m).exterior.coords)
        outline = np.column_stack(to_degrees(ring[:, 0], ring[:, 1], area.crs)).tolist()
        geometry = {"type": "Polygon", "coordinates": [outline]}
        features.append({"type": "Feature", "properties": {"name": name}, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}


def _deliver(city: City, part: pd.DataFrame) -> None:
    """Upload incidents as a file."""
    path = city.settings.home / "incidents.csv"
    part.assign(occurred_at=part["occurred_at"].map(datetime.isoformat)).to_csv(path, index=False)
    ingest_file(city.engine, REGION, path, settings=city.settings)


def _file_and_deliver(city: City, frame: pd.DataFrame) -> None:
    """File each day's forecast the evening before, deliver its incidents, then score what can be."""
    service = ForecastService(city.engine, city.settings)
    with mock.patch("app.audit.store.datetime", _Clock):
        for day in range(FILED_DAYS + 1):
            start = city.until - timedelta(days=FILED_DAYS - day)
            _Clock.moment = start - EVENING
            file_forecast(service, REGION, None, _Clock.moment)
            end = start + timedelta(days=1)
            at = frame["occurred_at"]
            if day < FILED_DAYS:
                _deliver(city, frame[(at >= start) & (at < end)])
        _Clock.moment = city.until
        with city.engine.connect() as connection:
            region = get_region(connection, REGION)
        score_due(city.engine, region, city.until)
