"""Short absences of the database, and jobs that it believes to be worked on: real ones, on PostgreSQL."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.db.engine import conninfo, open_engine
from app.core.errors import Unavailable
from app.core.retry import retry_outages
from app.core.settings import Settings
from app.runs.kinds import TASK_QUEUE
from app.runs.store import claim_run, get_run
from app.training.service import TrainingRequest, request_training
from app.worker.active_jobs import ActiveJobs
from app.worker.jobs import RunMonitor, note_failure, work_on
from app.worker.main import _cancel_all, requeue_stalled
from app.worker.recovery import MAX_ATTEMPTS
from app.worker.run_process import RETRY
from app.worker.tasks import _is_last_try, build_app

REQUEST = TrainingRequest(model="uniform", validate=False)
AWAY_S = 2.0


@contextmanager
def away(engine, server_url):
    """The database takes nobody in and has thrown everybody out."""
    admin = open_engine(Settings(database_url=SecretStr(server_url)))
    name = engine.url.database
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        yield
        connection.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
    admin.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["reading incidents", "fitting counts", "registering"])
def test_a_training_outlives_a_restart_of_the_database(
    engine, settings, town, server_url, step, monkeypatch
):
    run = request_training(engine, settings, town, REQUEST)
    gone, restarts = threading.Event(), []

    def restart():
        with away(engine, server_url):
            gone.set()
            time.sleep(AWAY_S)

    def see(_self, _share, message):
        if str(message).endswith(step) and not restarts:
            restarts.append(threading.Thread(target=restart))
            restarts[0].start()
            gone.wait()

    monkeypatch.setattr("app.worker.jobs.RunMonitor.progress", see)
    work_on(engine, settings, "train", run.id)
    restarts[0].join()
    with engine.connect() as connection:
        ended = get_run(connection, "train", run.id)
    assert (ended.status, ended.attempt) == ("succeeded", 1)


def test_progress_is_told_again_after_an_outage_and_an_end_comes_to_patience(
    engine, settings, town, server_url, monkeypatch
):
    run = request_training(engine, settings, town, REQUEST)
    monkeypatch.setattr("app.worker.jobs.BEAT_EVERY_S", 0.0)
    with engine.begin() as connection:
        claimed = claim_run(connection, "train", run.id)
    monitor = RunMonitor(engine, "train", claimed)
    with away(engine, server_url):
        monitor.progress(0.25, "in the dark")
        monkeypatch.setattr("app.worker.jobs.OUTAGE_S", 0.0)
        with pytest.raises(Unavailable):
            monitor.progress(0.5, "for too long")
        with pytest.raises(Unavailable):
            retry_outages(lambda: monitor.progress(0.5, "still"), outage_s=0.0)
    monitor.progress(0.5, "light")
    with engine.connect() as connection:
        assert get_run(connection, "train", run.id).message == "light"


def test_jobs_whose_end_was_lost_go_back_to_the_queue(engine, settings, town):
    request_training(engine, settings, town, REQUEST)

    async def act():
        active_jobs = ActiveJobs()
        app = build_app(conninfo(engine), settings, engine, active_jobs)
        async with app.open_async():
            worker = await app.job_manager.register_worker()
            job = await app.job_manager.fetch_job(queues=[TASK_QUEUE], worker_id=worker)
            with active_jobs.hold(job):
                while_held = [await active_jobs.dropped(app) for _ in range(3)]
            counts = [await requeue_stalled(app, engine, 3600.0, active_jobs) for _ in range(3)]
            again = await app.job_manager.fetch_job(queues=[TASK_QUEUE], worker_id=worker)
            return job, while_held, counts, again

    job, while_held, counts, again = asyncio.run(act())
    assert while_held == [[], [], []]
    assert counts == [0, 1, 0]
    assert (again.id, again.attempts) == (job.id, 1)


def test_lost_databases_do_not_use_up_a_runs_own_tries(engine, settings, town):
    run = request_training(engine, settings, town, REQUEST)

    class Job:
        attempts = 0

    def last(status, attempts=0):
        Job.attempts = attempts
        return _is_last_try(settings, engine, "train", str(run.id), status, Job)

    assert [last(RETRY, n) for n in range(MAX_ATTEMPTS)] == [False] * (MAX_ATTEMPTS - 1) + [True]
    assert [last(-9) for _ in range(settings.job_max_attempts)] == [False, False, True]
    assert note_failure(engine, "train", run.id) == settings.job_max_attempts + 1


def test_a_task_that_loses_its_cancellation_is_cancelled_again(monkeypatch):
    monkeypatch.setattr("app.worker.main.CANCEL_AGAIN_S", 0.05)
    cancelled = []

    async def deaf():
        while len(cancelled) < 3:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.append(1)

    async def act():
        tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.sleep(3600))]
        await asyncio.sleep(0)
        await asyncio.wait_for(_cancel_all(tasks), 10)
        return [task.done() for task in tasks]

    assert asyncio.run(act()) == [True, True]
