"""A city whose days arrive one after another, with a register that is filed the evening before each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.access.service import NewKey, create_key
from app.core.settings import Settings
from app.core.zones import zone
from app.forecasts.service import ForecastService
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.main import create_app
from app.region_edits.removal import remove_region
from app.regions.service import add_region
from app.regions.store import Region, get_region
from app.register.filing import Filed, file_forecast
from app.register.scoring import score_due
from app.register.verification import verify_register
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

START = datetime(2019, 1, 7, 5, tzinfo=UTC)
"""Monday 00:00 in the city."""
TRAINED_DAYS = 70
PER_DAY = 8
ROLES = ("reader", "analyst", "trainer")


class Clock(datetime):
    """The audit log's clock, at the time that a test says it is."""

    moment: datetime | None = None

    @classmethod
    def now(cls, tz=None):
        return cls.moment or datetime.now(tz)


@dataclass
class Diary:
    """The city, its incidents of all days, and what has been delivered so far."""

    engine: Engine
    settings: Settings
    folder: Path
    frame: pd.DataFrame
    client: TestClient | None = None
    day: int = 0

    @property
    def now(self) -> datetime:
        """Midnight in the city, up to which incidents are delivered."""
        return START + timedelta(days=self.day)

    @property
    def evening(self) -> datetime:
        """An hour before that midnight, when the next day is filed."""
        return self.now - timedelta(hours=1)

    @property
    def region(self) -> Region:
        with self.engine.connect() as connection:
            return get_region(connection, "city")

    def of_day(self, day) -> pd.DataFrame:
        """The incidents of a local day."""
        local = self.frame["occurred_at"].dt.tz_convert(zone(TIMEZONE))
        return self.frame[local.dt.date == day]

    def deliver(self, days: int = 1, keep=lambda frame: frame) -> None:
        since, self.day = self.now, self.day + days
        at = self.frame["occurred_at"]
        self.send(keep(self.frame[(at >= since) & (at < self.now)]))

    def send(self, part: pd.DataFrame) -> None:
        shown = part.copy()
        shown["occurred_at"] = shown["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        shown["external_id"] = [f"c{i}" for i in shown.index]
        path = self.folder / f"day-{len(list(self.folder.iterdir()))}.csv"
        shown.to_csv(path, index=False)
        ingest_file(self.engine, "city", path, settings=self.settings)

    def file(self, now: datetime | None = None, day=None) -> Filed:
        Clock.moment = now or self.evening
        service = ForecastService(self.engine, self.settings)
        return file_forecast(service, "city", day, now or self.evening)

    def live(self, days: int = 1) -> list[Filed]:
        """File and deliver some days in turn."""
        filed = []
        for _ in range(days):
            filed.append(self.file())
            self.deliver()
        return filed

    def score(self, now: datetime | None = None) -> int:
        Clock.moment = None
        return score_due(self.engine, self.region, now or self.now)

    def problems(self) -> list[str]:
        return verify_register(self.engine).problems

    def sql(self, statement: str, **values):
        with self.engine.begin() as connection:
            found = connection.execute(text(statement), values)
            return found.all() if found.returns_rows else None

    def ask(self, role: str, path: str = "", method: str = "GET", **options):
        headers = {"X-API-Key": self.keys[role]}
        url = f"/v1/regions/city/register{path}"
        return self.client.request(method, url, headers=headers, **options)


@pytest.fixture
def diary(engine, settings, tmp_path, monkeypatch, open_client):
    """The city anew, with a champion of its first seventy days."""
    monkeypatch.setattr("app.audit.store.datetime", Clock)
    Clock.moment = None
    boundary = json.loads(json.dumps(synthetic_city().area.to_geojson()))
    add_region(engine, "city", timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)
    frame = synthetic_city().draw(TRAINED_DAYS + 150, PER_DAY, seed=11)
    shift = START - datetime(2019, 1, 1, tzinfo=UTC)
    frame = frame.assign(occurred_at=frame["occurred_at"] + shift)
    made = Diary(engine, settings, tmp_path, frame.reset_index(drop=True), open_client)
    made.keys = {
        role: create_key(engine, NewKey("t", (role,), rate_per_s=0)).text for role in ROLES
    }
    made.deliver(TRAINED_DAYS)
    run = run_now(
        engine, settings, "city", TrainingRequest("pooled-kde", validate=False), lambda *_: None
    )
    assert run.status == "succeeded", run.message
    yield made
    Clock.moment = None
    remove_region(engine, "city", "city")


@pytest.fixture
def open_client(engine, settings):
    with TestClient(create_app(settings, engine)) as client:
        yield client


def by_hand(diary: Diary, entry: dict, cells: list[list[int]], percent: str) -> int:
    """Count the incidents of an entry's day whose cell its list of that hour has."""
    filed = diary.of_day(datetime.fromisoformat(entry["day"]).date())
    local = filed["occurred_at"].dt.tz_convert(zone(TIMEZONE)).dt.hour.to_numpy()
    length = entry["list_lengths"][percent]
    ids = cell_ids(diary, filed)
    listed = [set(one[:length]) for one in cells]
    return sum(int(cell) in listed[hour // 3] for cell, hour in zip(ids, local, strict=True))


def cell_ids(diary: Diary, frame: pd.DataFrame) -> np.ndarray:
    """Return the ids of the cells (n,) of incidents, -1 outside."""
    from app.geo.study_area import to_metres
    from app.registry import store as registry

    with diary.engine.connect() as connection:
        version = registry.get_version(connection, diary.region.key)
        grid, _ = registry.grid_of(connection, version)
    x_m, y_m = to_metres(frame["longitude"].to_numpy(), frame["latitude"].to_numpy(), grid.crs)
    rows = grid.locate(x_m.astype(np.float32), y_m.astype(np.float32))
    return np.where(rows >= 0, grid.cell_id[rows], -1)
