"""Live scores, alarms and rollback, on a city whose incidents arrive day by day."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.core.settings import Settings
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.main import create_app
from app.monitoring.live_scores import live_report
from app.monitoring.schedules.service import ScheduleRequest, set_schedule, tick
from app.monitoring.service import monitor_region
from app.regions.service import add_region
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.alarms import ALARMS, open_alarms
from app.registry.champions import get_champion, promote
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from app.worker.maintenance import maintain

START = datetime(2019, 1, 1, tzinfo=UTC)
N_DAYS = 140
TRAINED_DAYS = 100


@dataclass
class Feed:
    """A city, its incidents of all days, and what has been delivered so far."""

    engine: Engine
    settings: Settings
    folder: Path
    frame: pd.DataFrame
    day: int = 0

    @property
    def now(self) -> datetime:
        return START + timedelta(days=self.day)

    @property
    def key(self) -> int:
        with self.engine.connect() as connection:
            return get_region(connection, "city").key

    def deliver(self, days: int, change=lambda frame: frame) -> None:
        since, self.day = self.now, self.day + days
        at = self.frame["occurred_at"]
        part = change(self.frame[(at >= since) & (at < self.now)].copy())
        part["occurred_at"] = part["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        path = self.folder / f"day-{self.day}.csv"
        part.to_csv(path, index=False)
        ingest_file(self.engine, "city", path, settings=self.settings)

    def train(self, model: str, *, validate: bool = True, seed: int = 0) -> str:
        request = TrainingRequest(model, seed=seed, validate=validate)
        run = run_now(self.engine, self.settings, "city", request, lambda *_: None)
        assert run.status == "succeeded", run.message
        return run.model_version

    def champion(self) -> str:
        with self.engine.connect() as connection:
            return get_champion(connection, self.key).version

    def promote(self, version: str) -> None:
        with self.engine.begin() as connection:
            promote(connection, self.key, version, "planted")

    def monitor(self):
        return monitor_region(self.engine, self.key, self.now)

    def open_kinds(self) -> set[str]:
        with self.engine.connect() as connection:
            return {alarm.kind for alarm in open_alarms(connection, self.key)}


@pytest.fixture(scope="module")
def feed(engine, settings, tmp_path_factory):
    boundary = json.loads(json.dumps(synthetic_city().area.to_geojson()))
    add_region(engine, "city", timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)
    frame = synthetic_city().draw(N_DAYS, 60, seed=11)
    made = Feed(engine, settings, tmp_path_factory.mktemp("feed"), frame)
    made.deliver(TRAINED_DAYS)
    made.train("pooled-kde")
    return made


def test_quiet_days_are_scored_and_raise_nothing(feed):
    challenger = feed.train("uniform", validate=False)
    for _ in range(9):
        feed.deliver(1)
        assert feed.monitor().raised == ()
    with feed.engine.connect() as connection:
        looks = connection.execute(text("SELECT kind, days FROM drift_checks")).all()
    assert {(kind, days) for kind, days in looks} == {
        (kind, days) for kind in ("volume", "place", "calibration") for days in (3, 7)
    }
    report = live_report(feed.engine, "city", challenger)
    difference = report["difference_to_champion"]
    assert report["n"] == difference["n"] > 400
    assert difference["lo"] < difference["mean"] < difference["hi"] < 0
    assert sum(week["n"] for week in report["weeks"]) == report["n"]
    own = live_report(feed.engine, "city", feed.champion())
    assert own["difference_to_champion"] is None
    assert own["log_score"] - report["log_score"] == pytest.approx(-difference["mean"], abs=0.002)


def test_scores_are_of_incidents_that_came_later_only(feed):
    with feed.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT s.version, s.day, s.n_seen, (SELECT count(*) FROM incidents AS i WHERE"
                " i.region_key = s.region_key AND i.occurred_at >= v.cutoff"
                " AND i.inserted_at > v.created_at"
                " AND (i.occurred_at AT TIME ZONE r.timezone)::date = s.day) AS later"
                " FROM live_scores AS s JOIN model_versions AS v USING (region_key, version)"
                " JOIN regions AS r ON r.key = s.region_key"
            )
        ).all()
    assert len(rows) > 15
    assert all(row.n_seen == row.later for row in rows)


def test_monitoring_again_changes_nothing(feed):
    before = live_report(feed.engine, "city", feed.champion())
    assert feed.monitor() == (seen := feed.monitor())
    assert (seen.days_scored, seen.raised) == (0, ())
    assert live_report(feed.engine, "city", feed.champion()) == before


def test_monitors_at_once_wait_for_each_other(feed):
    feed.deliver(1)
    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(lambda _: feed.monitor(), range(3)))
    assert sum(one.days_scored > 0 for one in seen) == 1


def test_late_and_erased_incidents_are_scored_anew(feed):
    champion = feed.champion()
    before = live_report(feed.engine, "city", champion)["n"]
    with feed.engine.begin() as connection:
        gone = connection.execute(
            text(
                "DELETE FROM incidents WHERE id = (SELECT id FROM incidents WHERE occurred_at"
                " BETWEEN :a AND :b LIMIT 1)"
            ),
            {"a": feed.now - timedelta(days=4), "b": feed.now - timedelta(days=3)},
        ).rowcount
    assert gone == 1
    assert feed.monitor().days_scored >= 1
    assert live_report(feed.engine, "city", champion)["n"] in (before - 1, before)


def test_a_bad_champion_is_rolled_back(feed):
    good = feed.champion()
    bad = feed.train("uniform", validate=False, seed=1)
    feed.promote(bad)
    seen = []
    for _ in range(8):
        feed.deliver(1)
        seen.append(feed.monitor().rolled_back_to)
    assert [version for version in seen if version] == [good]
    assert feed.champion() == good
    assert feed.open_kinds() == {"rollback"}
    with feed.engine.connect() as connection:
        (alarm,) = open_alarms(connection, feed.key)
    assert alarm.version == bad
    assert alarm.details["difference"] < -0.05


def shifted(frame: pd.DataFrame) -> pd.DataFrame:
    """Twice as many incidents, half of them moved to one corner of the city."""
    west, south = frame["longitude"].min(), frame["latitude"].min()
    more = frame.copy()
    rng = np.random.default_rng(0)
    more["longitude"] = west + 0.002 + 0.004 * rng.random(len(more))
    more["latitude"] = south + 0.002 + 0.004 * rng.random(len(more))
    return pd.concat([frame, more])


def test_a_shift_raises_alarms_that_forecasts_tell_and_schedules_answer(feed):
    champion = feed.train("pooled-kde")
    feed.promote(champion)
    set_schedule(feed.engine, "city", ScheduleRequest("pooled-kde", on_drift=True), feed.now)
    assert tick(feed.engine, feed.now) == []
    for _ in range(5):
        feed.deliver(1, shifted)
        assert feed.monitor().rolled_back_to is None
    assert {"volume", "place"} <= feed.open_kinds()
    assert "rollback" not in feed.open_kinds(), "its successor's term has ended"
    assert len(tick(feed.engine, feed.now)) == 1
    assert tick(feed.engine, feed.now + timedelta(hours=2)) == []
    with TestClient(create_app(feed.settings, feed.engine)) as client:
        told = client.get("/v1/regions/city/forecasts/density?window=3").json()["warnings"]
        assert any(warning["message"].startswith("volume alarm: ") for warning in told)
        shown = client.get("/v1/regions/city/alarms").json()
        open_ones = {a["kind"] for a in shown["alarms"] if a["cleared_at"] is None}
        assert open_ones == feed.open_kinds()
        for alarm in shown["alarms"]:
            assert alarm["code"] == f"{alarm['kind']}_alarm"
            assert ALARMS.make(alarm["code"], **alarm["params"]).message == alarm["message"]
        assert {look["kind"] for look in shown["looks"]} >= {"volume", "place", "calibration"}
        scores = client.get(f"/v1/regions/city/models/{champion}/live-scores").json()
        assert date.fromisoformat(scores["weeks"][0]["from"]).weekday() == 0


def test_upkeep_drops_and_collects(feed):
    settings = feed.settings.model_copy(
        update={"retention_versions": 1, "retention_champion_days": 0}
    )
    done = maintain(feed.engine, settings, datetime.now(UTC) + timedelta(days=1))
    assert (done.regions, done.failed) == (1, 0)
    assert done.versions_dropped >= 2
    assert done.artifacts_dropped == done.versions_dropped
    with feed.engine.connect() as connection:
        assert feed.champion() in {v.version for v in registry.list_versions(connection, feed.key)}


def test_upkeep_whose_worker_died_is_forgotten(feed):
    with feed.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, status)"
                " VALUES ('hotslot-maintenance', 'hotslot.maintenance', 'doing'),"
                " ('hotslot', 'hotslot.train', 'doing')"
            )
        )
    maintain(feed.engine, feed.settings, datetime.now(UTC))
    with feed.engine.connect() as connection:
        left = connection.scalars(
            text("SELECT queue_name FROM procrastinate_jobs WHERE status = 'doing'")
        ).all()
    assert left == ["hotslot"]
