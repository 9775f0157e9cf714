"""X6: the stored record of the champion is altered anywhere, one column or one JSON leaf at a time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.exc import IntegrityError

from app.core.db.tables import model_versions
from app.core.settings import Settings
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt
from tests.resilience.attacks.corrupted_versions import REGION, attacked
from tests.resilience.drill import Drill, repeats
from tests.support.databases.database import database
from tests.support.inputs.corruptions import Target

SERVED_EVERY = 50
Path = tuple[str | int, ...]


def _leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of everything that stands in a JSON value, empty lists and objects too."""
    parts: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    if not parts:
        yield path
    for key, one in parts:
        yield from _leaves(one, (*path, key))


def _other(value: Any, rng: random.Random) -> Any:
    """Another value of the same kind."""
    changed: Any = "forged"
    if isinstance(value, bool) or value is None:
        changed = value is not True
    elif isinstance(value, int):
        changed = rng.choice([value + 1, -value - 1])
    elif isinstance(value, float):
        changed = rng.choice([math.nextafter(value, math.inf), value + 1, -value - 1])
    elif isinstance(value, str):
        changed = rng.choice([value + "x", value[::-1] + "y"])
    elif isinstance(value, bytes):
        changed = bytes([value[0] ^ 1]) + value[1:] if value else b"x"
    elif isinstance(value, datetime):
        changed = value + timedelta(microseconds=rng.randrange(1, 10**9))
    elif isinstance(value, UUID):
        changed = uuid4()
    return changed


def _at(value: Any, path: Path, rng: random.Random) -> Any:
    """JSON with another leaf at a path."""
    if not path:
        return _other(value, rng)
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _at(copy[path[0]], path[1:], rng)
    return copy


def _alterations(row: dict[str, Any]) -> list[tuple[str, Path]]:
    return [(column, path) for column, value in row.items() for path in _leaves(value)]


def _alter(connection: Connection, target: Target, column: str, value: Any) -> None:
    """Write over a column as one who may switch the database's own checks off."""
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    mine = (model_versions.c.region_key == target.key) & (
        model_versions.c.version == target.version
    )
    connection.execute(update(model_versions).where(mine).values({column: value}))


def _accepted(connection: Connection, target: Target) -> bool:
    try:
        found = registry.get_version(connection, target.key)
    except ArtifactCorrupt:
        return False
    return found.version == target.version


def _served(engine: Engine, settings: Settings, target: Target) -> bool:
    """Whether the version before serves, and says why."""
    made = ForecastService(engine, settings).forecast(REGION, Selector(window=5))
    said = any(warning.code == "champion_damaged" for warning in made.warnings)
    return made.plan.version.record.version == target.other and said


def altered() -> tuple[bool, str]:
    """X6: every column and every JSON leaf in turn; refused, the version before serves and says so."""
    n, accepted, unserved, rng = repeats(2000), [], 0, random.Random(6)
    with database() as (engine, settings):
        target = attacked(engine, settings)
        mine = (model_versions.c.region_key == target.key) & (
            model_versions.c.version == target.version
        )
        with engine.connect() as connection:
            row = dict(connection.execute(select(model_versions).where(mine)).one()._mapping)
        places = _alterations(row)
        rng.shuffle(places)
        for k in range(n):
            column, path = places[k % len(places)]
            value = _at(row[column], path, rng)
            try:
                with engine.connect() as connection:
                    _alter(connection, target, column, value)
                    if _accepted(connection, target):
                        accepted.append((column, path))
                    connection.rollback()
            except IntegrityError:  # the database itself refuses it
                continue
            if k % SERVED_EVERY == 0 and column not in ("region_key", "version"):
                with engine.begin() as connection:
                    _alter(connection, target, column, value)
                unserved += not _served(engine, settings, target)
                with engine.begin() as connection:
                    _alter(connection, target, column, row[column])
    told = f"{n} alterations at {len(places)} places, {len(accepted)} accepted {accepted[:3]}"
    return (
        not accepted and not unserved,
        f"{told}; the version before served and said so, except {unserved} times",
    )


DRILLS = (
    Drill("X6", "a stored version's row altered", "0 accepted, predecessor serves, said", altered),
)
