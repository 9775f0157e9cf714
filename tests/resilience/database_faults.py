"""A database that is full, slow, silent, cut off, or killed while its schema changes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import inspect, make_url, text

from app.core.db.engine import open_engine
from app.core.db.schema import migrate, schema_is_current
from app.core.db.tables import metadata
from app.core.devserver.server import ensure_running
from app.core.settings import Settings
from tests.resilience.drill import Drill, repeats
from tests.support.databases.database_proxy import Mode, proxied
from tests.support.services.service import Service, remove_home, service
from tests.support.uploads import batch, stored

DEADLINE_S = 3.0
ASKERS = 8
DISK_MB = 900
BACK_S = 5.0
FILLER = "filler"


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder on a file system of `DISK_MB`, mounted for the block (needs root)."""
    folder = Path(tempfile.mkdtemp(prefix="hotslot-disk-"))
    folder.chmod(0o755)
    size = f"size={DISK_MB}m,mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def disk_full() -> tuple[bool, str]:
    """D4: uploads go on while the disk fills; then there is room again."""
    with small_disk() as disk:
        home = disk / "home"
        home.mkdir(mode=0o755)
        target = Service(home, workers=0)
        try:
            target.start()
            region = {"id": "drill", "name": "Drill", "timezone": "America/Bogota"}
            target.call("POST", "/v1/regions", json=region).raise_for_status()
            return _fill(target, disk)
        finally:
            target.stop()
            target.client.close()
            remove_home(home)


def _fill(target: Service, disk: Path) -> tuple[bool, str]:
    acknowledged, statuses, unread, place = 0, set[str](), 0, 0
    for round_ in range(repeats(5)):
        _take_the_rest(disk)
        refused = 0
        while refused < 3 and place < 400 * (round_ + 1):
            reply = _post(target, place)
            place += 1
            if reply is not None and reply.status_code in (200, 201):
                acknowledged += int(reply.json()["accepted"])
                continue
            refused += 1
            named = "none" if reply is None else str(reply.status_code)
            retry = reply is not None and "retry-after" in reply.headers
            statuses.add(named if retry else f"{named} without Retry-After")
            unread += not target.answers("/v1/regions/drill")
        (disk / FILLER).unlink()
        freed = time.perf_counter()
        while (reply := _post(target, place)) is None or reply.status_code not in (200, 201):
            if time.perf_counter() - freed > 60:
                return False, f"no recovery within 60 s; answers while full {sorted(statuses)}"
            time.sleep(0.5)
        acknowledged += int(reply.json()["accepted"])
        place += 1
    lost = acknowledged - stored(target)
    passed = statuses <= {"503", "507"} and bool(statuses) and unread == lost == 0
    return passed, f"answers while full {sorted(statuses)}, {unread} reads failed, {lost} rows lost"


def _take_the_rest(disk: Path, left_bytes: int = 4 << 20) -> None:
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / FILLER).open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, max(1, free - left_bytes))


def _post(target: Service, place: int) -> httpx.Response | None:
    try:
        return target.call(
            "POST",
            "/v1/regions/drill/incidents",
            content=batch(place),
            headers={"Content-Type": "text/csv", "Idempotency-Key": f"full-{place}"},
        )
    except httpx.TransportError:
        return None


def line_fails() -> tuple[bool, str]:
    """D5: the line between API and database is slow, silent, cut, in turn."""
    with service(workers=0) as owner, proxied(ensure_running(owner.home)) as (proxy, url):
        timeout = {"HOTSLOT_DATABASE_TIMEOUT_S": str(DEADLINE_S), "HOTSLOT_DATABASE_URL": url}
        target = Service(owner.home, 0, timeout)
        target.start()
        waits: list[float] = []
        wrong: dict[int, int] = {}
        slowest_back_s = 0.0
        modes: tuple[Mode, ...] = ("silent", "cut", "slow")
        for n in range(3 * repeats(10)):
            proxy.delay_s = 2 * DEADLINE_S
            proxy.switch(modes[n % 3])
            _ask_all(target, waits, wrong)
            proxy.switch("pass")
            slowest_back_s = max(slowest_back_s, _seconds_until_back(target))
        time.sleep(1.0)
        with psycopg.connect(ensure_running(owner.home)) as connection:
            counted = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hotslot'"
                " AND state LIKE 'idle in transaction%'"
            ).fetchone()
        leaked = counted[0] if counted else -1
        target.stop()
        target.client.close()
    p99_s = sorted(waits)[int(0.99 * (len(waits) - 1))]
    passed = p99_s <= DEADLINE_S + 1.0 and slowest_back_s <= BACK_S and leaked == 0 and not wrong
    return passed, (
        f"{len(waits)} requests: p99 {p99_s:.1f} s (deadline {DEADLINE_S:.0f}), "
        f"back after {slowest_back_s:.1f} s, {leaked} leaked, other answers than 503 {wrong}"
    )


def _ask_all(target: Service, waits: list[float], wrong: dict[int, int]) -> None:
    def ask() -> None:
        started = time.perf_counter()
        url = f"http://127.0.0.1:{target.port}/v1/regions"
        status = httpx.get(url, timeout=60.0).status_code
        waits.append(time.perf_counter() - started)
        if status != 503:
            wrong[status] = wrong.get(status, 0) + 1

    threads = [threading.Thread(target=ask) for _ in range(ASKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _seconds_until_back(target: Service) -> float:
    started = time.perf_counter()
    while not target.answers("/v1/regions") and time.perf_counter() - started < 60:
        time.sleep(0.05)
    return time.perf_counter() - started


def migration_killed() -> tuple[bool, str]:
    """D6: `hotslot migrate` killed at a random moment of its work."""
    n, between, drifted, cut = repeats(20), 0, 0, 0
    rng = random.Random(6)
    home = Path(tempfile.mkdtemp(prefix="hotslot-drill-"))
    server = ensure_running(home)
    try:
        longest_s = 0.0
        for k in range(-1, n):
            url = _new_database(server)
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "migrate"],
                env={**os.environ, "HOTSLOT_DATABASE_URL": url, "HOTSLOT_HOME": str(home)},
                stderr=subprocess.DEVNULL,
            )
            if k >= 0:  # the first one runs to its end and tells how long that takes
                time.sleep(rng.uniform(0.4, 1.0) * longest_s)
                process.send_signal(signal.SIGKILL)
            process.wait()
            longest_s = longest_s or time.perf_counter() - started
            state = _state_of(url)
            cut += state == "old"
            between += state == "between"
            drifted += state == "drifted"
    finally:
        remove_home(home)
    return (
        between == drifted == 0,
        f"{n} kills, {cut} before its end: {between} between, {drifted} drifted",
    )


def _new_database(server: str) -> str:
    name = f"d6{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _state_of(url: str) -> str:
    """Old or current, judged before and after the migration is run to its end; or what is wrong."""
    engine = open_engine(Settings(database_url=SecretStr(url)))
    try:
        with engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            current = schema_is_current(connection)
        if not current and tables:
            return "between"
        migrate(engine)
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"include_name": lambda name, kind, _: _ours(name, kind)}
            )
            if compare_metadata(context, metadata):
                return "drifted"
            connection.execute(text("SELECT 1"))
        return "current" if current else "old"
    finally:
        engine.dispose()


def _ours(name: str | None, kind: str) -> bool:
    return not (
        kind == "table" and str(name).startswith(("procrastinate_", "alembic_", "incidents_p"))
    )


DRILLS = (
    Drill("D4", "disk full", "507 or 503 with Retry-After, 0 rows lost, reads continue", disk_full),
    Drill("D5", "database slow, silent, cut", "p99 <= deadline + 1 s, back <= 5 s", line_fails),
    Drill("D6", "migration killed (-9)", "old or new schema, no drift", migration_killed),
)
