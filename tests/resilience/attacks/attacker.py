"""X5: readers, trainers and ingesters who want one incident: its cell, its kind, its hour of the week.

Each round plants one incident among others that nobody of them knows, lets the service go on, and looks
through every door before and after. Chance is what the policy promises: as long as fewer than twenty are
new, nothing may move at all; then one of the twenty or more that were released together.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from scipy.stats import binom
from sqlalchemy import Engine

from app.access.service import NewKey, create_key
from app.core.settings import Settings
from app.main import create_app
from app.monitoring.service import monitor_region
from app.regions.service import add_region
from app.regions.store import get_region
from app.worker.jobs import work_on
from tests.resilience.drill import Drill, repeats
from tests.support.databases.database import database

REGION = "wanted"
WEST, SOUTH, EAST, NORTH = 10.0, 50.0, 10.06, 50.04
BOX = {
    "type": "Polygon",
    "coordinates": [[[WEST, SOUTH], [EAST, SOUTH], [EAST, NORTH], [WEST, NORTH], [WEST, SOUTH]]],
}
KINDS = ("theft", "assault", "burglary", "robbery")
GROUP = 20
ROLES = ("reader", "trainer", "ingester")
DOORS = (
    "",
    "/models",
    "/alarms",
    "/fairness-report",
    "/training-runs",
    "/forecasts/density?window=3",
    "/forecasts/density?window=3&cell_size_m=137",
    "/forecasts/density?window=3&grid=h3",
    "/forecasts/hotspots?window=3",
    "/forecasts/samples?window=3&n=50&seed=1",
    "/tiles/12/2162/1387.png?window=3",
    "/learning-policy",
    "/forecasts/series?from=2030-01-07T00:00&to=2030-01-14T00:00",
    "/forecasts/density?from=2030-01-07T00:00&to=2030-01-14T00:00&f=csv",
    "/backtests",
    "/schedule",
)
WEEK = "/forecasts/series?from=2030-01-07T00:00&to=2030-01-14T00:00"
"""Hours of a week without a holiday, Monday first."""
OF_VERSIONS = ("", "/live-scores", "/card")
CLOCKS = re.compile(rb'"(generated_at|made_at)":"[^"]*"')
FULL_ROUNDS = 100


@dataclass
class Found:
    """What the attacker reached: moves before a release, right guesses after, and what chance gives."""

    rounds: int = 0
    moved: int = 0
    cells: int = 0
    kinds: int = 0
    hours: int = 0
    cell_chance: list[float] = field(default_factory=list)
    kind_chance: list[float] = field(default_factory=list)
    hour_chance: list[float] = field(default_factory=list)
    doors: Counter[str] = field(default_factory=Counter)

    def verdict(self) -> tuple[bool, str]:
        """Whether nothing moved too early and no guess was better than chance, and the numbers."""
        found = {
            "cell": (self.cells, self.cell_chance),
            "kind": (self.kinds, self.kind_chance),
            "hour": (self.hours, self.hour_chance),
        }
        good = self.moved == 0 and all(n <= _limit(chance) for n, chance in found.values())
        told = ", ".join(
            f"{name} {n} (chance {sum(chance):.1f}, up to {_limit(chance)})"
            for name, (n, chance) in found.items()
        )
        seen = f"{self.moved} seen before a release {dict(self.doors) or ''}"
        return good, f"{self.rounds} planted: {seen}; then {told}"


def _limit(chance: list[float]) -> int:
    """The most successes that chance gives but once in a thousand times."""
    return int(binom.ppf(0.999, len(chance), np.mean(chance))) if chance else 0


class World:
    """A region of its own with keys of every role."""

    def __init__(self, client: TestClient, engine: Engine, settings: Settings, seed: int) -> None:
        self.client, self.engine, self.settings = client, engine, settings
        self.random = random.Random(seed)
        self.today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.keys = {
            role: create_key(engine, NewKey(role, (role,), rate_per_s=0)).text
            for role in (*ROLES, "admin")
        }
        add_region(engine, REGION, timezone="UTC", boundary=BOX, cell_size_m=250.0)
        self.send([self.incident(40, 12) for _ in range(800)])

    def ask(self, role: str, method: str, path: str, **options: Any) -> Any:
        """A reply to a role."""
        headers = {"X-API-Key": self.keys[role]}
        path = f"/v1/regions/{REGION}{path}"
        return self.client.request(method, path, headers=headers, **options)

    def incident(self, first: float = 9, last: float = 2) -> dict[str, Any]:
        """One at random between so many days ago."""
        at = self.today - timedelta(days=self.random.uniform(last, first))
        return {
            "occurred_at": at.isoformat(timespec="seconds"),
            "longitude": self.random.uniform(WEST + 0.001, EAST - 0.001),
            "latitude": self.random.uniform(SOUTH + 0.001, NORTH - 0.001),
            "category": self.random.choice(KINDS),
        }

    def send(self, incidents: list[dict[str, Any]]) -> None:
        """Upload them, and let the service look after the region."""
        reply = self.ask("ingester", "POST", "/incidents", json=incidents)
        reply.raise_for_status()
        with self.engine.connect() as connection:
            key = get_region(connection, REGION).key
        monitor_region(self.engine, key, datetime.now(UTC))

    def train(self, role: str = "trainer", **request: Any) -> str | None:
        """Train as a role over HTTP; the version it may see."""
        asked = {"model": "pooled-kde", "validate": False, **request}
        reply = self.ask(role, "POST", "/training-runs", json=asked)
        if reply.status_code != 202:
            return None
        work_on(self.engine, self.settings, "train", reply.json()["id"])
        run = self.ask(role, "GET", f"/training-runs/{reply.json()['id']}").json()
        version: str | None = run["model_version"]
        return version

    def look(self, versions: list[str]) -> dict[str, bytes]:
        """What every door shows to every role, without the clock."""
        seen = {}
        # News are remembered for a minute: what they say must not depend on when that began.
        brief = self.client.app.state.forecasts.brief  # type: ignore[attr-defined]
        for what in ("news", "released news", "kinds", "shown categories"):
            for name in brief.names(what):
                brief.forget(what, name)
        doors = [*DOORS, *(f"/models/{v}{part}" for v in versions for part in OF_VERSIONS)]
        for role in ROLES:
            for door in doors:
                reply = self.ask(role, "GET", door)
                seen[f"{role} {door}"] = CLOCKS.sub(b"", reply.content)
        return seen

    def mass(self, version: str) -> np.ndarray[Any, Any]:
        """Incidents times density of each cell: what differencing works with."""
        shown = self.ask("reader", "GET", f"/forecasts/density?window=3&model={version}").json()
        told = self.ask("reader", "GET", f"/models/{version}").json()
        mass: np.ndarray[Any, Any] = np.array(shown["cells"]["density_per_km2"])
        return mass * float(told["n_incidents"])

    def hours(self, version: str) -> np.ndarray[Any, Any]:
        """Incidents of each hour of the week, in proportion: what differencing works with."""
        shown = self.ask("reader", "GET", f"{WEEK}&model={version}").json()
        told = self.ask("reader", "GET", f"/models/{version}").json()
        expected = np.array([slot["expected_total"] for slot in shown["slots"]])
        hours: np.ndarray[Any, Any] = expected / expected.sum() * float(told["n_incidents"])
        return hours

    def cell_row(self, version: str, incident: dict[str, Any]) -> int:
        """The row of the incident's own cell."""
        asked = {"incidents": [incident]}
        scored = self.ask("admin", "POST", f"/forecasts/score?model={version}", json=asked).json()
        shown = self.ask("admin", "GET", f"/forecasts/density?window=3&model={version}").json()
        return int(shown["cells"]["id"].index(scored["scores"][0]["cell"]))


def attack(world: World, rounds: int) -> Found:
    """Plant so many incidents and look for each."""
    found = Found()
    version = str(world.train())
    for _ in range(rounds):
        version = _round(world, version, found)
    return found


def _round(world: World, version: str, found: Found) -> str:
    before, mass, kinds = world.look([version]), world.mass(version), _kinds(world)
    hours = world.hours(version)
    planted = world.incident()
    others = [world.incident() for _ in range(GROUP + world.random.randrange(5))]
    world.send([planted])
    at = datetime.fromisoformat(planted["occurred_at"])
    for until in (None, at, at + timedelta(seconds=1)):
        asked = {} if until is None else {"until": until.isoformat()}
        world.train(**asked)
    after = world.look([version])
    moved = {name for name in before if before[name] != after[name] and "training-runs" not in name}
    moved = {
        name for name in moved if not name.endswith("/models") or _new_sets(world, before, name)
    }
    found.moved += bool(moved)
    found.doors.update(moved)
    world.send(others)
    newest = str(world.train())
    excess = world.mass(newest) - mass
    found.rounds += 1
    found.cells += int(np.argmax(excess)) == world.cell_row(newest, planted)
    grown = {name: n - kinds.get(name, 0) for name, n in _kinds(world).items()}
    found.kinds += max(grown, key=lambda name: grown[name], default=None) == planted["category"]
    found.hours += int(np.argmax(world.hours(newest) - hours)) == _hour(planted)
    group = [planted, *others]
    found.cell_chance.append(1 / GROUP)
    found.kind_chance.append(max(Counter(one["category"] for one in group).values()) / len(group))
    found.hour_chance.append(max(Counter(map(_hour, group)).values()) / len(group))
    return newest


def _hour(incident: dict[str, Any]) -> int:
    """The hour of the week, from Monday 0:00 on."""
    at = datetime.fromisoformat(incident["occurred_at"])
    return 24 * at.weekday() + at.hour


def _new_sets(world: World, before: dict[str, bytes], name: str) -> bool:
    """Whether the list of versions shows a set of incidents that differs from another by fewer than 20."""
    listed = world.ask(name.split()[0], "GET", "/models").json()["models"]
    counts = sorted({one["n_incidents"] for one in listed})
    return any(b - a < GROUP for a, b in pairwise(counts))


def _kinds(world: World) -> dict[str, int]:
    shown: dict[str, int] = world.ask("reader", "GET", "").json()["categories"]
    return shown


@contextmanager
def world_on(engine: Engine, settings: Settings, seed: int = 5) -> Iterator[World]:
    """A world behind the application on this database."""
    with TestClient(create_app(settings, engine)) as client:
        yield World(client, engine, settings, seed)


def _drill() -> tuple[bool, str]:
    with database() as (engine, settings), world_on(engine, settings) as world:
        return attack(world, repeats(FULL_ROUNDS)).verdict()


DRILLS = (
    Drill(
        "X5",
        "an attacker with the keys of reader, trainer and ingester wants one incident's cell, kind and hour",
        "nothing moves before 20 are new; then no better than chance, over 100 planted incidents",
        _drill,
    ),
)
