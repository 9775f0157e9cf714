"""Keys of every role at every route of a running service; an audit log that its owner changes."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from sqlalchemy import Engine, text
from starlette.routing import Route

from app.core.db.engine import open_engine
from app.core.roles import Role, with_included
from app.core.settings import Settings
from app.http.permissions import rule_of
from app.main import PARTS
from tests.resilience.drill import Drill, repeats
from tests.support.services.service import Service, service
from tests.support.uploads import upload

SHUT = (401, 403)
UNKNOWN_KEY = "hsk_000000000000_" + "A" * 43
N_FORGED = 50


def routes() -> Iterator[tuple[str, Route]]:
    """Every method of every route."""
    for part in PARTS:
        for route in part.router.routes:
            if isinstance(route, Route):
                yield from ((method, route) for method in sorted(route.methods or ()))


def path_of(route: Route, region: str = "drill") -> str:
    """A path that leads to a route."""
    path = route.path.replace("{region}", region)
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda m: "1" if m[1] in "zxy" else "x", path)


def make_key(target: Service, admin: str | None, *roles: str, **more: object) -> str:
    """The text of a new key, asked for over HTTP."""
    headers = {"X-API-Key": admin} if admin else {}
    body = {"name": "drill", "roles": roles, "rate_per_s": 0, **more}
    reply = target.call("POST", "/v1/keys", json=body, headers=headers).raise_for_status()
    return str(reply.json()["key"])


def _answer(target: Service, method: str, path: str, key: str | None = None) -> httpx.Response:
    return target.call(method, path, headers={"X-API-Key": key} if key else {})


def every_route_by_every_role() -> tuple[bool, str]:
    """A5: without a key, with a wrong one, of each role, and of another region."""
    wrong, asked = [], 0
    with service(workers=0) as target:
        admin = make_key(target, None, "admin")
        keys = {role: make_key(target, admin, role.value) for role in Role}
        confined = make_key(target, admin, "admin", regions=["drill"])
        for method, route in routes():
            rule, path = rule_of(route), path_of(route)
            if rule.roles is None:
                asked += 1
                if _answer(target, method, path).status_code in SHUT:
                    wrong.append(f"{method} {path} is shut")
                continue
            expected = [(None, "none", False), (UNKNOWN_KEY, "unknown", False)]
            expected += [
                (keys[role], role.value, bool(with_included([role]) & rule.roles)) for role in Role
            ]
            for key, who, may in expected:
                asked += 1
                if (_answer(target, method, path, key).status_code not in SHUT) != may:
                    wrong.append(f"{method} {path} as {who}")
            if "{region}" in route.path:
                asked += 1
                status = _answer(target, method, path_of(route, "other"), confined).status_code
                if status != 403:
                    wrong.append(f"{method} {path} of another region")
        wrong += _unsafe_starts(target.home)
    return not wrong, f"{asked} requests, {len(wrong)} answered wrongly {wrong[:5]}"


def _unsafe_starts(home: Path) -> list[str]:
    """A service without keys that is told to listen on all addresses and does not refuse."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        command = [sys.executable, "-m", "app.cli", "serve", "--host", "0.0.0.0", "--port", "0"]
        bare = Service(Path(folder))
        environment = {**os.environ, "HOTSLOT_HOME": folder}
        try:
            done = subprocess.run(
                [*command[:-1], str(bare.port), "--workers", "0"],
                env=environment, capture_output=True, timeout=60, check=False,
            )  # fmt: skip
            return [] if done.returncode != 0 else ["it served others without a key"]
        except subprocess.TimeoutExpired:
            return ["it serves others without a key"]
        finally:
            bare.client.close()
            _forget_server(Path(folder))


def _forget_server(home: Path) -> None:
    from app.core.devserver.server import release

    release(home)


def _forgeries(rng: random.Random, n: int) -> dict[str, list[str]]:
    """SQL by what it does to a log of the chain `drill` with n entries."""
    at = rng.randint(2, n - 2)
    where = f"WHERE chain = 'drill' AND seq = {at}"
    column = rng.choice(["actor", "action", "details"])
    head = "UPDATE audit_heads SET (seq, hash) = (SELECT seq, hash FROM audit_log"
    return {
        "edited": [f"UPDATE audit_log SET {column} = {column} || ' ' {where}"],
        "backdated": [f"UPDATE audit_log SET at = at - interval '1 day' {where}"],
        "deleted": [f"DELETE FROM audit_log {where}"],
        "reordered": [
            f"UPDATE audit_log SET seq = 1000000 {where}",
            f"UPDATE audit_log SET seq = {at} WHERE chain = 'drill' AND seq = {at + 1}",
            f"UPDATE audit_log SET seq = {at + 1} WHERE chain = 'drill' AND seq = 1000000",
        ],
        "tail cut": [f"DELETE FROM audit_log WHERE chain = 'drill' AND seq > {at}"],
        "tail and head cut": [
            f"DELETE FROM audit_log WHERE chain = 'drill' AND seq > {at}",
            f"{head} {where}) WHERE chain = 'drill'",
        ],
    }


@contextmanager
def _forged(engine: Engine, statements: list[str]) -> Iterator[None]:
    """A log changed by the owner of its table, and put back."""
    tables = ("audit_log", "audit_heads")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        for table in tables:
            connection.execute(text(f"CREATE TABLE kept_{table} AS TABLE {table}"))
        for statement in statements:
            connection.execute(text(statement))
    try:
        yield
    finally:
        with engine.begin() as connection:
            for table in tables:
                connection.execute(text(f"DELETE FROM {table}"))
                connection.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))
                connection.execute(text(f"DROP TABLE kept_{table}"))
            connection.execute(text("ALTER TABLE audit_log ENABLE TRIGGER USER"))


def _audit(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "audit", *arguments],
        env={**os.environ, "HOTSLOT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def log_forged() -> tuple[bool, str]:
    """O1: what a running service wrote is forged in six ways; `hotslot audit verify` must say so."""
    rng = random.Random(11)
    found: dict[str, int] = {}
    n_rounds = max(1, repeats(N_FORGED) // 6)
    with service(workers=0) as target:
        for place in range(6):
            upload(target, place, f"batch-{place}")
        engine = open_engine(Settings(home=target.home))
        anchor = target.home / "anchor.json"
        anchor.write_text(_audit(target.home, "head").stdout)
        n = json.loads(anchor.read_text())["heads"]["drill"]["seq"]
        for _ in range(n_rounds):
            for name, statements in _forgeries(rng, n).items():
                with _forged(engine, statements):
                    done = _audit(target.home, "verify", "--anchor", str(anchor))
                found[name] = found.get(name, 0) + (done.returncode == 1 and "drill" in done.stderr)
        sound = _audit(target.home, "verify", "--anchor", str(anchor)).returncode == 0
        engine.dispose()
    passed = sound and all(count == n_rounds for count in found.values())
    return passed, f"of {n_rounds} each were found: {found}; the log put back is sound: {sound}"


DRILLS = (
    Drill("A5", "every role at every route", "exactly as declared", every_route_by_every_role),
    Drill("O1", "audit log edited, cut, reordered", "every forgery found", log_forged),
)
