"""Worker processes are counted once each, whatever runs inside them and wherever they are."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app.incidents.service import ingest_file
from app.monitoring.status import read_status
from app.regions.service import add_region
from app.runs import workers
from app.runs.store import get_run
from app.runs.workers import forget_lost_workers, forget_worker, note_worker
from app.training.service import TrainingRequest, request_training
from tests.support.services.processes import processes_of
from tests.support.simulated.town import add_town

STALLED_S = 5.0


@contextmanager
def worker(settings, **changed: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process of its own home, as on a machine of its own."""
    environment = {
        **os.environ,
        "HOTSLOT_HOME": str(settings.home),
        "HOTSLOT_DATABASE_URL": settings.database_url.get_secret_value(),
        "HOTSLOT_JOB_HEARTBEAT_S": "0.5",
        "HOTSLOT_JOB_STALLED_S": str(STALLED_S),
        **{f"HOTSLOT_{name.upper()}": value for name, value in changed.items()},
    }
    process = subprocess.Popen([sys.executable, "-m", "app.cli", "worker"], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)


def counted(engine) -> int:
    with engine.connect() as connection:
        return read_status(connection, STALLED_S).workers


def becomes(engine, n: int) -> bool:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if counted(engine) == n:
            return True
        time.sleep(0.2)
    return False


def lanes(engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM procrastinate_workers")) or 0)


@pytest.mark.slow
def test_each_process_counts_once_until_it_stops_or_dies(engine, settings):
    assert counted(engine) == 0
    with worker(settings) as first, worker(settings) as second:
        assert becomes(engine, 2)
        end = time.monotonic() + 60
        while lanes(engine) < 6 and time.monotonic() < end:
            time.sleep(0.2)
        assert lanes(engine) == 6, "each has a lane for every queue"
        assert counted(engine) == 2
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
        assert counted(engine) == 1, "one that stops is gone at once"
        second.kill()
        second.wait(60)
        assert becomes(engine, 0), "one that was killed is gone when its heartbeat is old"


def test_processes_that_died_are_forgotten(engine):
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO worker_processes (id, heartbeat_at)"
                " SELECT gen_random_uuid(), now() - make_interval(hours => h)"
                " FROM unnest(ARRAY[1, 23, 25]) AS h"
            )
        )
        before = connection.scalar(text("SELECT count(*) FROM worker_processes"))
        assert forget_lost_workers(connection) >= 1
        ages = text("SELECT max(now() - heartbeat_at) < '24 h' FROM worker_processes")
        assert connection.scalar(ages)
        assert connection.scalar(text("SELECT count(*) FROM worker_processes")) < before


def test_a_heartbeat_is_one_row(engine):
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM worker_processes"))
        worker_id = connection.scalar(text("SELECT gen_random_uuid()"))
        for _ in range(3):
            note_worker(connection, worker_id)
        assert read_status(connection, STALLED_S).workers == 1


def test_a_heartbeat_says_how_far_the_clock_is_off(engine, monkeypatch):
    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=1)

    said = text("SELECT clock_ahead_s, machine FROM worker_processes WHERE id = :id")
    with engine.begin() as connection:
        worker_id = connection.scalar(text("SELECT gen_random_uuid()"))
        note_worker(connection, worker_id)
        true_s, machine = connection.execute(said, {"id": worker_id}).one()
        monkeypatch.setattr(workers, "datetime", Ahead)
        note_worker(connection, worker_id)
        ahead_s, _ = connection.execute(said, {"id": worker_id}).one()
        forget_worker(connection, worker_id)
    assert machine == socket.gethostname()
    assert abs(true_s) < 60, "one clock, read twice"
    assert 3540 < ahead_s < 3660


@pytest.mark.slow
def test_a_worker_that_is_stopped_gives_the_jobs_of_all_its_slots_back(engine, settings, town_csv):
    add_town(engine, settings, town_csv)
    add_region(engine, "village", timezone="UTC", cell_size_m=500.0)
    ingest_file(engine, "village", town_csv, settings=settings)
    runs = [
        request_training(engine, settings, region, TrainingRequest("stack")).id
        for region in ("town", "village")
    ]
    jobs = text("SELECT status::text FROM procrastinate_jobs WHERE task_name = 'hotslot.train'")

    def states():
        with engine.connect() as connection:
            return [get_run(connection, "train", run).status for run in runs]

    with worker(settings, worker_slots="2", worker_memory_bytes=str(100 << 30)) as process:
        end = time.monotonic() + 120
        while states() != ["running"] * 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert states() == ["running"] * 2
        assert counted(engine) == 1, "whatever runs in it, it is one process"
        children = processes_of(settings.home, "app.worker.run_process")
        assert len(children) >= 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    with engine.connect() as connection:
        assert list(connection.scalars(jobs)) == ["todo"] * 2
        assert list(connection.scalars(text("SELECT id FROM procrastinate_workers"))) == []
    assert processes_of(settings.home, "app.worker.run_process") == []
