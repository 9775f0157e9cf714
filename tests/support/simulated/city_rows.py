"""Rows of the synthetic city, and a region that is trained on them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from app.core.settings import Settings
from app.geo.hour_of_week import windows_of
from app.geo.study_area import to_metres
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.runs.store import Run
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from models.incidents import Incidents


def city_rows(n: int, seed: int) -> list[dict[str, Any]]:
    """Incidents of the synthetic city, n of them over 60 days."""
    frame = synthetic_city().draw(60, max(1.0, n / 40), seed=seed)
    frame = frame.sample(n, random_state=seed).sort_values("occurred_at")
    times = frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    places = zip(times, frame["longitude"], frame["latitude"], strict=True)
    names = ("occurred_at", "longitude", "latitude")
    return [dict(zip(names, row, strict=True)) | {"category": "theft"} for row in places]


def region_of(engine: Engine, settings: Settings, name: str, rows: list[dict[str, Any]]) -> None:
    """A region of the synthetic city with these incidents."""
    area = synthetic_city().area.to_geojson()
    add_region(engine, name, timezone=TIMEZONE, boundary=area, cell_size_m=500.0)
    if rows:
        body = json.dumps(rows).encode()
        ingest(engine, name, [body], UploadSource("application/json"), settings=settings)


def train(engine: Engine, settings: Settings, region: str, model: str, seed: int = 0) -> Run:
    """Train without validation, in this process."""
    request = TrainingRequest(model, seed=seed, validate=False)
    return run_now(engine, settings, region, request, lambda _share, _message: None)


def incidents_of(rows: list[dict[str, Any]]) -> Incidents:
    """Columns of the synthetic city's rows, by time."""
    frame = pd.DataFrame(rows).sort_values("occurred_at", kind="stable")
    time_s = pd.to_datetime(frame["occurred_at"]).astype("datetime64[s, UTC]").astype(np.int64)
    x_m, y_m = to_metres(
        frame["longitude"].to_numpy(), frame["latitude"].to_numpy(), synthetic_city().area.crs
    )
    seconds = np.asarray(time_s.to_numpy(), np.int64)
    window = windows_of(seconds, TIMEZONE)
    category = np.zeros(len(seconds), np.int32)
    return Incidents(x_m.astype(np.float32), y_m.astype(np.float32), seconds, window, category)
