"""What piles up by itself goes by itself."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from app.core.db.engine import open_engine
from app.core.db.locks import TRAIN_LOCK, transaction_lock
from app.region_edits.removal import remove_region
from app.regions.store import get_region
from app.runs.kinds import TRAIN
from app.runs.queue import defer_job
from app.runs.schedules import database_clock
from app.sync.spec import SourceSpec
from app.sync.store import insert_source, new_run
from app.worker import maintenance
from app.worker.maintenance import MAX_ENDED_JOB_AGE, MAX_SYNC_RUN_AGE, maintain

COLUMNS = {"occurred_at": "at", "longitude": "x", "latitude": "y", "category": "c"}
DAY = timedelta(days=1)


def test_failed_jobs_and_runs_of_sources_go_when_they_are_old(engine, settings, town):
    spec = SourceSpec("socrata", "https://example.org/resource/abcd-1234.json", columns=COLUMNS)
    end = text("UPDATE sync_runs SET status = 'failed', created_at = :at WHERE id = :id")
    with engine.begin() as connection:
        now = database_clock(connection)
        region = get_region(connection, town)
        for name, ages in (
            ("busy", (MAX_SYNC_RUN_AGE + DAY, DAY)),
            ("idle", (MAX_SYNC_RUN_AGE + DAY,)),
        ):
            source = insert_source(connection, region.key, name, spec, every_s=60, cron=None)
            for age in ages:
                run = new_run(connection, source)
                connection.execute(end, {"at": now - age, "id": run.id})
        for age in (MAX_ENDED_JOB_AGE + DAY, DAY):
            values = {"id": defer_job(connection, TRAIN, "-"), "at": now - age}
            for change in (
                "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = :id",
                "UPDATE procrastinate_jobs SET status = 'failed' WHERE id = :id",
                "UPDATE procrastinate_events SET at = :at WHERE job_id = :id",
            ):
                connection.execute(text(change), values)
    maintain(engine, settings, now)
    with engine.connect() as connection:
        names = connection.scalars(
            text("SELECT request->>'source' FROM sync_runs ORDER BY 1")
        ).all()
        jobs = connection.scalar(text("SELECT count(*) FROM procrastinate_jobs"))
    assert names == ["busy", "idle"], "one that is old and the last is kept"
    assert jobs == 1


def test_a_region_whose_versions_are_locked_is_monitored_and_cleaned_all_the_same(
    engine, settings, town, monkeypatch, caplog
):
    """As during an erasure; the steps after that one used to wait for the next hour."""
    steps = ("monitor_region", "forget_old_presence", "forget_old_deliveries", "keep_register")
    done = []
    for name in steps:
        monkeypatch.setattr(maintenance, name, _noted(name, getattr(maintenance, name), done))
    impatient = open_engine(settings.model_copy(update={"database_timeout_s": 2.0}))
    with engine.begin() as holder:
        transaction_lock(holder, TRAIN_LOCK, get_region(holder, town).key)
        result = maintain(impatient, settings, database_clock(holder))
    impatient.dispose()
    assert (result.regions, result.failed) == (1, 1)
    assert done == list(steps)
    failures = [r for r in caplog.records if r.getMessage() == "maintenance of a region failed"]
    assert [(r.region, r.step) for r in failures] == [(town, "_drop_versions")]


def _noted(name, step, done):
    def run(*args, **options):
        done.append(name)
        return step(*args, **options)

    return run


def test_the_rows_of_a_removed_region_are_vacuumed(engine, settings, town):
    """Though it was the only one that had incidents, and no erasure preceded."""
    first = text(
        "SELECT min(coalesce(last_vacuum, '-infinity')) FROM pg_stat_user_tables"
        " WHERE relname ~ '^incidents_p[0-9]+$'"
    )
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM erasures"))
        now = database_clock(connection)
    remove_region(engine, town, town)
    maintain(engine, settings, now)
    with engine.connect() as connection:
        assert connection.scalar(first) >= now
