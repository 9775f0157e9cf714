"""When regions are trained by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.core.cron import check_cron, latest_tick, next_tick
from app.core.errors import InvalidInput, NotFound
from app.monitoring.schedules.service import (
    ScheduleRequest,
    remove_schedule,
    set_schedule,
    show_schedule,
    tick,
)
from app.monitoring.status import read_status
from app.regions.service import add_region
from app.runs.kinds import SCHEDULED_PRIORITY, TRAIN_PRIORITY
from app.runs.schedules import failures_by_region
from app.training.service import TrainingRequest, request_training
from app.worker.recovery import requeue_lost_runs
from tests.resilience import operations as drill
from tests.support.simulated.town import add_town

NOW = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)


@pytest.fixture
def clean(engine):
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions CASCADE"))
        connection.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
    return engine


def runs_of(engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT status FROM training_runs")))


def finish_all(engine, status="succeeded") -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE training_runs SET status = :s"), {"s": status})


@pytest.mark.slow
def test_two_schedulers_and_jumping_clocks_queue_one_job_a_tick(clean):
    drill.prepare(clean)
    assert drill.misses(clean, 40) == 0
    with clean.connect() as connection:
        jobs, priority = connection.execute(
            text("SELECT count(*), max(priority) FROM procrastinate_jobs")
        ).one()
    assert (jobs, priority) == (40, SCHEDULED_PRIORITY)


def test_a_tick_by_a_clock_far_ahead_does_not_silence_the_schedule(clean):
    drill.prepare(clean)
    tick(clean, drill.START + timedelta(days=400))
    finish_all(clean)
    for hours in (1, 2, 3):
        tick(clean, drill.START + timedelta(hours=hours, seconds=5))
        finish_all(clean)
    assert len(runs_of(clean)) == 4


def test_a_tick_finds_the_run_of_the_one_before_still_waiting(clean):
    drill.prepare(clean)
    for hours in (1, 2, 3):
        tick(clean, drill.START + timedelta(hours=hours))
    ticks, runs = drill.ticks_taken(clean)
    assert (ticks, runs) == (3, 1)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        # 02:30 does not exist on 10 March: it runs when the hour is over, once.
        ("30 2 * * *", "2024-03-10T00:00-05:00", "2024-03-10T03:00-04:00"),
        # 01:30 comes twice on 3 November and runs once.
        ("30 1 * * *", "2024-11-03T01:30-04:00", "2024-11-04T01:30-05:00"),
        ("0 * * * *", "2024-11-03T01:00-04:00", "2024-11-03T01:00-05:00"),
    ],
)
def test_clock_changes(expression, after, expected):
    after, expected = datetime.fromisoformat(after), datetime.fromisoformat(expected)
    assert next_tick(expression, "America/New_York", after) == expected
    assert latest_tick(expression, "America/New_York", expected) == expected
    just_before = expected - timedelta(seconds=1)
    assert latest_tick(expression, "America/New_York", just_before) <= after.astimezone(UTC)


@pytest.mark.parametrize("wrong", ["* * *", "61 * * * *", "0 0 30 2 *", "0 0 * * * *", "x"])
def test_wrong_expressions(wrong):
    with pytest.raises(InvalidInput):
        check_cron(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        ScheduleRequest(),
        ScheduleRequest("nonsense", on_drift=True),
        ScheduleRequest(new_incidents=0),
        ScheduleRequest(new_share=float("nan")),
    ],
)
def test_wrong_schedules(clean, wrong):
    add_region(clean, "town", timezone="UTC")
    with pytest.raises(InvalidInput):
        set_schedule(clean, "town", wrong, NOW)


def test_new_incidents_ask_for_a_training(clean, settings, town_csv):
    from app.incidents.service import ingest_file

    add_region(clean, "town", timezone="UTC")
    set_schedule(clean, "town", ScheduleRequest("uniform", new_incidents=1000), NOW)
    assert tick(clean, NOW) == []
    ingest_file(clean, "town", town_csv, settings=settings)
    assert len(tick(clean, NOW)) == 1
    assert tick(clean, NOW + timedelta(days=2)) == [], "one waits already"
    finish_all(clean, "failed")
    assert tick(clean, NOW + timedelta(hours=2)) == [], "a failure is not repeated at once"
    assert len(tick(clean, NOW + timedelta(hours=25))) == 1
    causes = [t["cause"] for t in show_schedule(clean, "town", NOW)["last_ticks"]]
    assert causes == ["new_incidents", "new_incidents"]


def test_people_go_before_the_clock(clean, settings):
    drill.prepare(clean)
    tick(clean, drill.START + timedelta(hours=1))
    add_region(clean, "other", timezone="UTC")
    request_training(clean, settings, "other", TrainingRequest("uniform"))
    with clean.connect() as connection:
        order = connection.execute(
            text("SELECT lock FROM procrastinate_jobs ORDER BY priority DESC, id")
        )
        keys = [int(lock.partition(":")[2]) for lock in order.scalars()]
    assert len(keys) == 2
    assert keys[0] > keys[1], "the region that was added last goes first"


def test_a_lost_run_keeps_its_place_in_the_queue(clean, settings):
    drill.prepare(clean)
    tick(clean, drill.START + timedelta(hours=1))
    add_region(clean, "other", timezone="UTC")
    request_training(clean, settings, "other", TrainingRequest("uniform"))
    with clean.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs"))
        connection.execute(text("UPDATE training_runs SET created_at = now() - interval '1 h'"))
    assert requeue_lost_runs(clean, 60.0) == 2
    with clean.connect() as connection:
        found = connection.scalars(text("SELECT priority FROM procrastinate_jobs ORDER BY lock"))
        assert found.all() == [SCHEDULED_PRIORITY, TRAIN_PRIORITY]


def test_a_clock_that_was_far_ahead_silences_no_trigger_and_no_schedule(clean, settings, town_csv):
    add_town(clean, settings, town_csv)
    ahead, back = NOW + timedelta(days=400), NOW + timedelta(hours=2)
    set_schedule(clean, "town", ScheduleRequest("uniform", new_incidents=1), NOW)
    assert len(tick(clean, ahead)) == 1
    finish_all(clean)
    assert len(tick(clean, back)) == 1, "new data"
    finish_all(clean)
    set_schedule(clean, "town", ScheduleRequest("uniform", cron="0 * * * *"), ahead)
    assert len(tick(clean, back + timedelta(minutes=1))) == 1, "the hour's tick"


def test_a_schedule_that_is_edited_while_it_is_due_keeps_its_tick(clean):
    drill.prepare(clean)
    due, later = NOW + timedelta(hours=1), NOW + timedelta(hours=1, minutes=1)
    set_schedule(clean, drill.REGION, ScheduleRequest("uniform", cron="0 * * * *"), NOW)
    set_schedule(clean, drill.REGION, ScheduleRequest("pooled-kde", cron="0 * * * *"), later)
    assert len(tick(clean, later)) == 1
    ticks = show_schedule(clean, drill.REGION, later)["last_ticks"]
    assert [one["at"] for one in ticks] == [due.isoformat()]
    finish_all(clean)
    other = ScheduleRequest("uniform", cron="5 * * * *")
    set_schedule(clean, drill.REGION, other, due + timedelta(minutes=10))
    assert tick(clean, due + timedelta(minutes=11)) == [], "a new expression looks ahead"


def test_new_data_ask_for_nothing_while_a_first_training_is_under_way(clean, settings, town_csv):
    add_town(clean, settings, town_csv)
    set_schedule(clean, "town", ScheduleRequest("uniform", new_incidents=1), NOW)
    request_training(clean, settings, "town", TrainingRequest("uniform"))
    assert tick(clean, NOW + timedelta(hours=2)) == []


def test_a_region_that_cannot_be_looked_at_keeps_no_other_from_its_tick(clean, caplog):
    """The first region's time zone is one that nobody knows."""
    drill.prepare(clean)
    add_region(clean, "other", timezone="UTC")
    set_schedule(clean, "other", ScheduleRequest("uniform", cron="0 * * * *"), drill.START)
    zone = text("UPDATE regions SET timezone = :zone WHERE id = :id")
    with clean.begin() as connection:
        known = connection.scalar(text("SELECT timezone FROM regions ORDER BY key LIMIT 1"))
        connection.execute(zone, {"zone": "Nowhere/Atall", "id": drill.REGION})
    at = drill.START + timedelta(hours=1)
    assert len(tick(clean, at)) == 1
    assert "checking a schedule failed" in caplog.text
    with clean.begin() as connection:
        states = {state.region: state for state in read_status(connection, 60.0).regions}
        assert list(failures_by_region(connection)) == [drill.REGION]
        connection.execute(zone, {"zone": known, "id": drill.REGION})
    assert "Nowhere/Atall" in str(states[drill.REGION].schedule_failure)
    assert states["other"].schedule_failure is None
    assert len(tick(clean, at)) == 1, "mended, it has the tick that it missed"
    assert show_schedule(clean, drill.REGION, at)["failure"] is None


def test_removed_schedules_are_silent(clean):
    drill.prepare(clean)
    remove_schedule(clean, drill.REGION)
    assert tick(clean, drill.START + timedelta(days=1)) == []
    with pytest.raises(NotFound):
        show_schedule(clean, drill.REGION, NOW)
