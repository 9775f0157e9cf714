"""A quarter of a region that is left alone with a schedule, at the speed of the machine.

Days are delivered one by one through the real ingest into a real database; the clock is handed to the
scheduler and to the upkeep, trainings are done by a real worker. Planted are two weeks with more
incidents, incidents that move to a quiet place, and a bad model that someone promotes. The picture of
what happened is docs/quarter.png.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Engine

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.devserver.server import release
from app.core.settings import Settings
from app.incidents.service import ingest_file
from app.monitoring.live_score_store import read_days
from app.monitoring.schedules.service import ScheduleRequest, set_schedule, tick
from app.regions.service import add_region
from app.regions.store import get_region
from app.registry.alarms import list_alarms
from app.registry.champions import all_promotions, get_champion, promote
from app.runs.schedules import latest_ticks
from app.runs.store import list_runs
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from app.worker.main import run_worker
from app.worker.maintenance import maintain
from benchmarks.cities import machine
from benchmarks.studies.quarter_city import (
    BAD_DAY,
    MORE_DAYS,
    MOVED_FROM_DAY,
    N_DAYS,
    QuarterCity,
    load,
)
from benchmarks.studies.quarter_picture import draw

REGION = "quarter"
MODEL = "multi-kde"
CRON = "30 4 * * MON"
PICTURE = Path(__file__).parents[2] / "docs" / "quarter.png"


@dataclass
class Quarter:
    """The region, its clock, and the days so far."""

    engine: Engine
    settings: Settings
    city: QuarterCity
    folder: Path
    day: int = 0
    champions: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    trained: list[tuple[int, str, str]] = field(default_factory=list)
    """Day, cause and outcome of each scheduled training."""

    @property
    def now(self) -> datetime:
        """Five in the morning after the last day that was delivered."""
        local = (self.city.first_day + pd.Timedelta(days=self.day)).to_pydatetime()
        return (local + timedelta(hours=5)).replace(tzinfo=ZoneInfo(self.city.timezone))

    def deliver(self, frame: pd.DataFrame) -> None:
        """Ingest a file of incidents."""
        path = self.folder / f"{self.day}.csv"
        stamped = frame.assign(occurred_at=frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
        stamped.to_csv(path, index=False)
        ingest_file(self.engine, REGION, path, settings=self.settings)

    def live(self) -> None:
        """One day: its incidents arrive, the schedule is looked at, the worker works, upkeep runs."""
        frame = self.city.day(self.day)
        self.deliver(frame)
        self.counts.append(len(frame))
        self.day += 1
        started = tick(self.engine, self.now)
        if started:
            run_worker(self.settings, wait=False)
        with self.engine.connect() as connection:
            key = get_region(connection, REGION).key
            for run in list_runs(connection, "train", key):
                if run.id in started:
                    cause = latest_ticks(connection, key, 1)[0].cause
                    self.trained.append((self.day, cause, run.message))
        maintain(self.engine, self.settings, self.now)
        self.champions.append(self.champion())

    def champion(self) -> str:
        """Who is served now."""
        with self.engine.connect() as connection:
            found = get_champion(connection, get_region(connection, REGION).key)
        return found.version if found else ""

    def plant_bad_model(self) -> None:
        """Someone trains a model that knows nothing of places, and promotes it by hand."""
        request = TrainingRequest("uniform", validate=False)
        run = run_now(self.engine, self.settings, REGION, request, lambda _share, _message: None)
        with self.engine.begin() as connection:
            key = get_region(connection, REGION).key
            promote(connection, key, str(run.model_version), "promoted by hand")


def main() -> None:
    """Run the quarter, draw it, print what happened."""
    print(machine())
    started = time.perf_counter()
    home = Path(tempfile.mkdtemp(prefix="hotslot-quarter-"))
    settings = Settings(home=home, database_url=None)
    engine = open_engine(settings)
    try:
        migrate(engine)
        quarter = Quarter(engine, settings, load(), home)
        run_quarter(quarter)
        facts = facts_of(quarter)
    finally:
        engine.dispose()
        release(home)
        shutil.rmtree(home, ignore_errors=True)
    draw(facts, PICTURE)
    tell(facts, time.perf_counter() - started)


def run_quarter(quarter: Quarter) -> None:
    """From the first training to the end of the last day."""
    city = quarter.city
    add_region(
        quarter.engine, REGION, timezone=city.timezone, boundary=city.boundary, name=city.name
    )
    quarter.deliver(city.history())
    run_now(
        quarter.engine,
        quarter.settings,
        REGION,
        TrainingRequest(MODEL),
        lambda _share, _message: None,
    )
    request = ScheduleRequest(MODEL, cron=CRON, on_drift=True)
    set_schedule(quarter.engine, REGION, request, quarter.now)
    for day in range(N_DAYS):
        if day == BAD_DAY:
            quarter.plant_bad_model()
        quarter.live()
        if day % 7 == 6:
            print(f"day {day + 1}: {quarter.champions[-1]}", flush=True)


def facts_of(quarter: Quarter) -> dict[str, Any]:
    """What the picture and the summary need, days counted from the quarter's first."""
    first = quarter.city.first_day.date()
    with quarter.engine.connect() as connection:
        key = get_region(connection, REGION).key
        scores = {v: read_days(connection, key, v) for v in set(quarter.champions)}
        raised = list_alarms(connection, key)
        changes = all_promotions(connection, key)
    zone = ZoneInfo(quarter.city.timezone)
    of_day = [
        next((d for d in scores[v] if (d.day - first).days == day), None)
        for day, v in enumerate(quarter.champions)
    ]
    return {
        "city": quarter.city.name,
        "first": first,
        "counts": quarter.counts,
        "champions": quarter.champions,
        "scores": [d.log_density_sum / d.n if d and d.n else None for d in of_day],
        "expected": [d.expected_sum / d.n if d and d.n else None for d in of_day],
        "trained": quarter.trained,
        "alarms": [
            ((a.raised_at.astimezone(zone).date() - first).days, a.kind, a.message) for a in raised
        ],
        "changes": [(c.action, c.version, c.reason) for c in changes],
    }


def tell(facts: dict[str, Any], seconds: float) -> None:
    """A line for each event, and the result."""
    for day, cause, outcome in facts["trained"]:
        print(f"day {day:3d} trained ({cause}): {outcome}")
    for day, kind, message in sorted(facts["alarms"]):
        print(f"day {day:3d} {kind}: {message}")
    alarms = facts["alarms"]
    quiet = [day for day, kind, _ in alarms if kind != "rollback" and day <= MORE_DAYS[0]]
    keys = {
        "trained": len(facts["trained"]),
        "promoted": sum(outcome.startswith("promoted") for _, _, outcome in facts["trained"]),
        "volume_alarm": int(any(k == "volume" and d > MORE_DAYS[0] for d, k, _ in alarms)),
        "place_alarm": int(any(k == "place" and d > MOVED_FROM_DAY for d, k, _ in alarms)),
        "rolled_back": sum(action == "rolled_back" for action, _, _ in facts["changes"]),
        "alarms_before_any_shift": len(quiet),
        "seconds": round(seconds),
    }
    print("RESULT simulated-quarter " + " ".join(f"{k}={v}" for k, v in keys.items()))
