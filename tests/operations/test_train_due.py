"""`hotslot train --due` where no other worker is: it alone has to bring its runs to an end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.commands import operations
from app.commands.operations import train_due
from app.services.schedule import ScheduleRequest, set_schedule, tick
from app.worker import tasks


@pytest.fixture
def due(engine, town, monkeypatch):
    """A region whose schedule asks for a training now, and no patience with failures."""
    monkeypatch.setattr(tasks, "RETRY_WAIT_S", 1)
    monkeypatch.setattr(operations, "WORK_AGAIN_S", 1.0)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE training_runs, schedule_ticks CASCADE"))
        connection.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
    set_schedule(engine, town, ScheduleRequest("uniform", new_incidents=1), datetime.now(UTC))


@pytest.mark.timeout(120)
def test_a_fit_that_is_killed_is_tried_again(due, settings, monkeypatch):
    died = []
    real = tasks.run_child

    async def run_child(settings, kind, run_id):
        if not died:
            died.append(run_id)
            return tasks.KILLED_BY_SIGKILL
        return await real(settings, kind, run_id)

    monkeypatch.setattr(tasks, "run_child", run_child)
    runs, _ = train_due(settings)
    assert died == [str(runs[0].id)]
    assert [run.status for run in runs] == ["succeeded"]


@pytest.mark.timeout(120)
def test_what_a_killed_call_left_is_worked_on_by_the_next(due, engine, settings):
    (left,) = tick(engine, datetime.now(UTC))
    with engine.begin() as connection:
        # As its worker left it: fetched, and nobody beats for it.
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    runs, _ = train_due(settings)
    assert [(run.id, run.status) for run in runs] == [(left, "succeeded")]
