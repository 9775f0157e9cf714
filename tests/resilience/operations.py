"""Schedules under two schedulers, clocks that jump, and downtime; registrations that are killed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.devserver.server import release
from app.core.settings import Settings
from app.monitoring.schedules.service import ScheduleRequest, set_schedule, tick
from app.regions.service import add_region
from app.registry import retention
from tests.resilience.drill import Drill, repeats

START = datetime(2024, 3, 9, 0, 0, tzinfo=UTC)
"""The night before New York's clocks go forward."""
TIMEZONE = "America/New_York"
REGION = "clock"
HOUR = timedelta(hours=1)


_HALF_STORED = """
import os, signal
import numpy as np
from app.core.settings import Settings
from app.registry.artifacts import pack, store_artifact
from app.core.db.engine import open_engine
from app.registry.retention import hold_unnamed

with open_engine(Settings()).begin() as connection:
    hold_unnamed(connection)
    store_artifact(connection, *pack({"killed": True}, {"x": np.zeros(3)}))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def database() -> Iterator[tuple[Engine, Path]]:
    """An engine on an embedded server of its own, and that server's home."""
    home = Path(tempfile.mkdtemp(prefix="hotslot-drill-"))
    engine = open_engine(Settings(home=home))
    migrate(engine)
    try:
        yield engine, home
    finally:
        engine.dispose()
        release(home)
        shutil.rmtree(home, ignore_errors=True)


def prepare(engine: Engine) -> None:
    """A region that is trained every hour from `START`."""
    add_region(engine, REGION, timezone=TIMEZONE)
    set_schedule(engine, REGION, ScheduleRequest("uniform", cron="0 * * * *"), START)


def from_two(engine: Engine, now: datetime) -> None:
    """Two schedulers tick at the same moment; what they queue is then done."""
    gate = threading.Barrier(2)

    def scheduler() -> None:
        gate.wait()
        tick(engine, now)

    threads = [threading.Thread(target=scheduler) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.begin() as connection:
        connection.execute(text("UPDATE training_runs SET status = 'succeeded'"))


def ticks_taken(engine: Engine) -> tuple[int, int]:
    """Ticks and training runs so far."""
    with engine.connect() as connection:
        ticks = connection.scalar(text("SELECT count(*) FROM schedule_ticks"))
        runs = connection.scalar(text("SELECT count(*) FROM training_runs"))
    return int(ticks or 0), int(runs or 0)


def misses(engine: Engine, n_ticks: int, seed: int = 4) -> int:
    """Steps at which other than the expected runs were queued; `prepare` comes first.

    The clock goes on by up to 40 minutes at a time; now and then it jumps ahead by hours (or the
    service was down), back by up to the half of an hour, or to the very second of a tick.
    """
    rng = random.Random(seed)
    now, newest, expected, wrong = START, START, 0, 0
    while expected < n_ticks:
        now = _moved(now, rng)
        latest = now.replace(minute=0, second=0, microsecond=0)
        if latest > newest:
            expected, newest = expected + 1, latest
        from_two(engine, now)
        wrong += ticks_taken(engine) != (expected, expected)
    return wrong


def _moved(now: datetime, rng: random.Random) -> datetime:
    moves: list[Callable[[], datetime]] = [
        lambda: now + timedelta(hours=rng.randint(2, 40)),
        lambda: now - timedelta(minutes=rng.randint(1, 30)),
        lambda: now.replace(minute=0, second=0) + HOUR,
        lambda: now + timedelta(seconds=rng.randint(1, 2400)),
    ]
    return rng.choices(moves, weights=[3, 5, 10, 82])[0]()


def two_schedulers() -> tuple[bool, str]:
    """J4: hourly ticks over both kinds of clock change, by two schedulers."""
    n = 500 if repeats(50) == 50 else 60
    with database() as (engine, _):
        prepare(engine)
        wrong = misses(engine, n)
        ticks, runs = ticks_taken(engine)
    return wrong == 0, f"{ticks} ticks, {runs} jobs, {wrong} steps with other than one job a tick"


def store_half_and_die(home: Path, url: str | None = None) -> int:
    """Store an artifact and be killed (-9) before the version is registered; the exit status."""
    where = {"HOTSLOT_DATABASE_URL": url} if url else {"HOTSLOT_HOME": str(home)}
    command = [sys.executable, "-c", _HALF_STORED]
    return subprocess.run(command, env={**os.environ, **where}, check=False).returncode


def killed_registrations() -> tuple[bool, str]:
    """R2: what killed registrations leave, and what older versions of hotslot left, is collected."""
    n = repeats(20)
    with database() as (engine, home):
        for place in range(n):
            store_half_and_die(home)
            with engine.begin() as connection:
                connection.execute(
                    text("INSERT INTO artifacts (sha256, content, size_bytes) VALUES (:s, '', 0)"),
                    {"s": f"orphan {place}"},
                )
        with engine.begin() as connection:
            found = retention.unnamed(connection)
            retention.collect(connection)
            left = retention.unnamed(connection)
    return left == 0 and found == n, f"{n} kills, {n} orphans planted: {found} found, {left} left"


DRILLS = (
    Drill("R2", "killed between artifact and registration", "0 dangling", killed_registrations),
    Drill("J4", "two schedulers, clock jumps, downtime", "one job per tick", two_schedulers),
)
