"""Databases of earlier releases are upgraded: killed in the middle of it, and while that release serves.

HOTSLOT_DRILL_ROWS sets the incidents of the served one; under 200,000 are copied by the migration itself.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from app.core.db.engine import open_engine
from app.core.db.locks import MIGRATION_LOCK
from app.core.db.schema import head_revision
from app.core.devserver.server import ensure_running
from app.core.settings import Settings
from tests.resilience.drill import Drill, repeats
from tests.resilience.work.upgrade_load import Callers
from tests.support.databases.database_digest import Digest, columns_by_table, digest, digests
from tests.support.databases.previous_release import KEY, previous_release
from tests.support.services.service import Service, remove_home
from tests.support.uploads import batch

ROOT = Path(__file__).parents[3]
NEWEST = "migrations/versions/0038_partitions.py"
"""The release before it is the one that serves."""
N_ROWS, UPLOAD_ROWS = int(os.environ.get("HOTSLOT_DRILL_ROWS", "300000")), 50_000
MOST_S = 300.0
_OF_LOG = ("alembic_version", "audit_heads", "audit_log")
_OF_UPLOADS = ("categories", "feeds", "incident_history", "regions", "release_groups", "releases")
CHANGING = frozenset((*_OF_LOG, *_OF_UPLOADS, "uploads"))
"""Uploads write to these; the others must stay as they are."""
Asking = psycopg.Connection[Any]
_COPY = "SELECT stage, region, copied FROM incident_copy"
# A bigint key is stored in two halves.
_MIGRATES = """
    SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND classid = (%(key)s::bigint >> 32)::oid AND objid = (%(key)s::bigint & 4294967295)::oid)
"""


@contextmanager
def embedded() -> Iterator[tuple[Path, str]]:
    """A server of the drill's own, and its home."""
    home = Path(tempfile.mkdtemp(prefix="hotslot-drill-"))
    try:
        yield home, ensure_running(home)
    finally:
        remove_home(home)


@contextmanager
def code_before(newest: str) -> Iterator[Path]:
    """Unpack the code as it was before a migration was added.

    Raises:
        RuntimeError: this is no checkout with its history.
    """
    folder = Path(tempfile.mkdtemp(prefix="hotslot-release-"))
    try:
        found = ["git", "log", "--diff-filter=A", "--format=%H", "--", newest]
        added = subprocess.run(found, cwd=ROOT, capture_output=True, text=True, check=False).stdout
        if not added.split():
            raise RuntimeError(
                f"no commit that adds {newest}: a checkout with its history is needed"
            )
        archive = ["git", "archive", f"{added.split()[-1]}^"]
        packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def command(
    url: str, home: Path, *arguments: str, code: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a command of hotslot on a database."""
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**os.environ, "HOTSLOT_DATABASE_URL": url, "HOTSLOT_HOME": str(home)},
        cwd=code,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_within(
    process: subprocess.Popen[bytes], begun: Callable[[], bool], most_s: float, rng: random.Random
) -> bool:
    """Kill (-9) a process some moment after its work has begun; return whether it still ran."""
    until = time.monotonic() + MOST_S
    while process.poll() is None and not begun() and time.monotonic() < until:
        time.sleep(0.002)
    time.sleep(rng.uniform(0.0, most_s))
    ran = process.poll() is None
    process.kill()
    process.wait()
    return ran


def _asked(connection: Asking, query: str, **values: Any) -> Any:
    return connection.execute(query.encode(), values).fetchone()


def migrates(connection: Asking) -> bool:
    """Return whether somebody migrates a database of the server now."""
    return bool(_asked(connection, _MIGRATES, key=MIGRATION_LOCK)[0])


def revision(connection: Asking) -> str:
    """Return the schema's migration."""
    return str(_asked(connection, "SELECT version_num FROM alembic_version")[0])


def _engine(url: str) -> Engine:
    return open_engine(Settings(database_url=SecretStr(url)))


def _all_digests(url: str) -> dict[str, Digest]:
    engine = _engine(url)
    with engine.connect() as connection:
        found = digests(connection)
    engine.dispose()
    return found


def dump_upgraded() -> tuple[bool, str]:
    """The release of 2026-11-29, its migration killed again and again, against two undisturbed upgrades."""
    n, cut, between, rng = repeats(20), 0, 0, random.Random(24)
    with embedded() as (home, server):
        calm = []
        for _ in range(2):
            with previous_release(server) as url:
                started = time.perf_counter()
                if command(url, home, "migrate").wait():
                    return False, "the undisturbed migration failed"
                longest_s = time.perf_counter() - started
                calm.append(_all_digests(url))
        with previous_release(server) as url, psycopg.connect(url, autocommit=True) as asking:
            old = revision(asking)
            for _ in range(n):
                most_s = min(1.0, longest_s / 2)
                cut += kill_within(
                    command(url, home, "migrate"), partial(migrates, asking), most_s, rng
                )
                between += revision(asking) not in (old, head_revision())
            done = command(url, home, "migrate").wait() == 0
            found = _all_digests(url)
            verified = command(url, home, "audit", "verify").wait() == 0
            answered = _answer_of_dump(url, home)
    # Secrets, seals and times differ from one upgrade to the next.
    fixed = [name for name in calm[0] if calm[0][name] == calm[1].get(name)]
    lost = [name for name in fixed if found.get(name) != calm[0][name]]
    rows = [name for name in calm[0] if found.get(name, (0,))[0] != calm[0][name][0]]
    passed = done and verified and answered and cut > 0 and not (between or lost or rows)
    return passed, (
        f"{n} kills, {cut} before its end: {between} between; {len(fixed)} of {len(calm[0])} tables and "
        f"sequences are the same in any two upgrades, of these {len(lost)} other {lost}; rows of all: "
        f"{len(rows)} other {rows}; audit log verified: {verified}; its old forecast answered: {answered}"
    )


def _answer_of_dump(url: str, home: Path) -> bool:
    """Return whether the service on the upgraded dump answers with the old champion."""
    target = Service(home, 0, {"HOTSLOT_DATABASE_URL": url})
    target.client.headers["X-API-Key"] = KEY
    try:
        target.start()
        return target.answers("/v1/regions/town/forecasts/density?at=2019-07-26T21:00:00-05:00")
    finally:
        target.stop()
        target.client.close()


def served_through() -> tuple[bool, str]:
    """The release before partitions serves while it is upgraded, then this one while incidents are copied."""
    with embedded() as (home, url), code_before(NEWEST) as old_code:
        environment = {"HOTSLOT_DATABASE_URL": url}
        if command(url, home, "migrate", code=old_code).wait():
            return False, "the old release cannot make its schema"
        homes = [home / "old", home / "new"]
        for made in homes:
            made.mkdir(mode=0o700)
        old = Service(homes[0], 0, environment, code=old_code)
        new = Service(homes[1], 0, environment)
        old.start()
        try:
            _fill(old, url, home, old_code)
            return _upgrade(old, new, url, home)
        finally:
            for each in (old, new):
                each.stop()
                each.client.close()


def _fill(target: Service, url: str, home: Path, code: Path) -> None:
    """Store incidents and train, by the old release itself."""
    body = {"id": "drill", "name": "Drill", "timezone": "America/Bogota"}
    target.call("POST", "/v1/regions", json=body).raise_for_status()
    for place in range(max(1, N_ROWS // UPLOAD_ROWS)):
        rows = min(N_ROWS, UPLOAD_ROWS)
        headers = {"Content-Type": "text/csv", "Idempotency-Key": f"fill-{place}"}
        # Years of their own: the batches of one year begin to repeat places and times.
        content = batch(place, rows).replace(b"2024-", f"{2023 - place}-".encode())
        sent: dict[str, Any] = {"content": content, "headers": headers, "timeout": 300.0}
        target.call("POST", "/v1/regions/drill/incidents", **sent).raise_for_status()
    if command(url, home, "train", "drill", "--model", "pooled-kde", code=code).wait():
        raise RuntimeError("the old release cannot train")


def _upgrade(old: Service, new: Service, url: str, home: Path) -> tuple[bool, str]:
    n, rng, cut, copies_cut = repeats(20), random.Random(38), 0, 0
    engine = _engine(url)
    before = Content(engine)
    callers = Callers(old.port)
    with psycopg.connect(url, autocommit=True) as asking:
        for _ in range(n // 2):
            cut += kill_within(command(url, home, "migrate"), partial(migrates, asking), 1.0, rng)
        if command(url, home, "migrate").wait():
            return False, f"the migration failed; {callers.said()}"
        new.start()
        callers.go_to(new.port)
        old.stop()
        for _ in range(n - n // 2):
            at = _asked(asking, _COPY)
            moved = lambda at=at: _asked(asking, _COPY) != at  # noqa: E731
            copy = command(url, home, "migrate", "--copy-incidents")
            copies_cut += kill_within(copy, moved, 1.5, rng)
        done = command(url, home, "migrate", "--copy-incidents").wait() == 0
        callers.end()
        left = _asked(asking, _COPY)
    verified = command(url, home, "audit", "verify").wait() == 0
    n_new, other = before.compared(engine)
    engine.dispose()
    lost = callers.acknowledged - n_new
    well = done and verified and left is None and callers.all_well() and not (lost or other)
    passed = well and cut > 0 and copies_cut > 0
    return passed, (
        f"{N_ROWS:,} incidents; {cut} migrations and {copies_cut} copies killed; {callers.said()}; "
        f"{lost} of {callers.acknowledged:,} new incidents lost; of what was there before, "
        f"{len(before.digests)} tables, {len(other)} changed {other}; audit log verified: {verified}"
    )


class Content:
    """What a database holds: incidents up to now, and all tables that uploads leave alone."""

    def __init__(self, engine: Engine) -> None:
        with engine.connect() as connection:
            self.last_id = int(connection.scalar(text("SELECT max(id) FROM incidents")) or 0)
            # Later releases may have further columns.
            found = columns_by_table(connection)
            self.columns = {name: found[name] for name in found if name not in CHANGING}
            self.digests = self._digests(connection)

    def _digests(self, connection: Connection) -> dict[str, Digest]:
        of_old = {"incidents": f"id <= {self.last_id}"}
        return {
            name: digest(connection, name, columns, of_old.get(name, "true"))
            for name, columns in self.columns.items()
        }

    def compared(self, engine: Engine) -> tuple[int, list[str]]:
        """Return how many incidents have come since, and which tables differ in what they had."""
        with engine.connect() as connection:
            now = self._digests(connection)
            later = text("SELECT count(*) FROM incidents WHERE id > :id")
            n_new = int(connection.scalar(later, {"id": self.last_id}) or 0)
        return n_new, sorted(name for name in now if now[name] != self.digests[name])


DRILLS = (
    Drill(
        "upgrade",
        "the release before serves and is written to while migration and copy are killed (-9)",
        "always 200, or 503 with Retry-After; 0 lost, 0 changed",
        served_through,
    ),
    Drill(
        "upgrade-dump",
        "migration of a database of 2026-11-29 killed (-9)",
        "old or new schema, the same as undisturbed",
        dump_upgraded,
    ),
)
