"""`hotslot train --due` where no other worker is: it alone has to bring its runs to an end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.cli import training
from app.cli.training import train_due
from app.core.settings import Settings
from app.monitoring.schedules.service import ScheduleRequest, set_schedule, tick
from app.runs.store import get_run
from app.worker import tasks
from app.worker.health import beat, is_alive
from app.worker.main import run_worker


@pytest.fixture
def due(engine, town, monkeypatch):
    """A region whose schedule asks for a training now, and no patience with failures."""
    monkeypatch.setattr(tasks, "RETRY_WAIT_S", 1)
    monkeypatch.setattr(training, "WORK_AGAIN_S", 1.0)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE training_runs, schedule_ticks CASCADE"))
        connection.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
    set_schedule(engine, town, ScheduleRequest("uniform", new_incidents=1), datetime.now(UTC))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_fit_that_is_killed_is_tried_again(due, settings, monkeypatch):
    died = []
    real = tasks.run_child

    async def run_child(settings, kind, run_id, *rest):
        if not died:
            died.append(run_id)
            return tasks.KILLED_BY_SIGKILL
        return await real(settings, kind, run_id, *rest)

    monkeypatch.setattr(tasks, "run_child", run_child)
    runs, _ = train_due(settings)
    assert died == [str(runs[0].id)]
    assert [run.status for run in runs] == ["succeeded"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_a_killed_call_left_is_worked_on_by_the_next(due, engine, settings):
    (left,) = tick(engine, datetime.now(UTC))
    with engine.begin() as connection:
        # As its worker left it: fetched, and nobody beats for it.
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    runs, _ = train_due(settings)
    assert [(run.id, run.status) for run in runs] == [(left, "succeeded")]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_worker_without_a_home_looks_after_jobs_all_the_same(due, engine, settings, tmp_path):
    """All that a worker of another machine is given is the database's address."""
    elsewhere = settings.model_copy(update={"home": tmp_path / "not" / "there"})
    (left,) = tick(engine, datetime.now(UTC))
    with engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    run_worker(elsewhere, wait=False)
    assert is_alive(elsewhere)
    with engine.connect() as connection:
        assert get_run(connection, "train", left).status == "succeeded"


def test_a_home_that_cannot_be_written_stops_no_worker(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    beat(Settings(home=tmp_path / "file" / "home"))
    assert "writing the heartbeat file failed" in caplog.text
