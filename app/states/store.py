"""States of versions in the database: immutable, numbered, each bound by a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save
from sqlalchemy import Connection, Row, delete, func, insert, select, text

from app.core.db.tables import forecast_states
from app.registry.artifacts import ArtifactCorrupt
from models.densities.state import DensityState

FROZEN = "frozen"
"""Names a version as trained, without a state."""
STATE_PATTERN = f"^({FROZEN}|[0-9]{{1,18}})$"
_c = forecast_states.c
_NEXT = text("SELECT nextval(pg_get_serial_sequence('forecast_states', 'number'))")


@dataclass(frozen=True)
class NewState:
    """A state to store; `release` is the release that it knows, up to `data_until`."""

    region_key: int
    version: str
    release: int
    data_until: datetime
    n_incidents: int
    counts: Mapping[str, Any]
    density: DensityState


@dataclass(frozen=True)
class State(NewState):
    """A stored state."""

    number: int
    created_at: datetime

    @property
    def id(self) -> str:
        """Its name in requests and replies."""
        return str(self.number)


def add_state(connection: Connection, new: NewState) -> State:
    """Store a state under the next number; the caller holds the region's lock."""
    fields = save(
        {"memory_days": new.density.memory_days, "log_ratio": new.density.log_ratio_by_memory}
    )
    number = connection.execute(_NEXT).scalar_one()
    values = {
        "region_key": new.region_key,
        "version": new.version,
        "number": number,
        "release": new.release,
        "data_until": new.data_until,
        "n_incidents": new.n_incidents,
        "counts": json.loads(json.dumps(new.counts)),
        "fields": fields,
    }
    statement = insert(forecast_states).values(**values, digest=_digest(values))
    created = connection.execute(statement.returning(_c.created_at)).scalar_one()
    return State(**vars(new), number=number, created_at=created)


def last_number(connection: Connection, region_key: int, version: str) -> int | None:
    """Return the number of a version's last state."""
    query = select(_c.number).where(_c.region_key == region_key, _c.version == version)
    found: int | None = connection.scalar(query.order_by(_c.number.desc()).limit(1))
    return found


def number_before(connection: Connection, region_key: int, version: str, number: int) -> int | None:
    """Return the number of the state that a version had before one of its states; None: it was the first."""
    query = select(func.max(_c.number)).where(
        _c.region_key == region_key, _c.version == version, _c.number < number
    )
    found: int | None = connection.scalar(query)
    return found


def last_release(connection: Connection, region_key: int, version: str) -> int:
    """Return the last release that a state of a version knows; 0: it has no states."""
    query = select(func.max(_c.release)).where(_c.region_key == region_key, _c.version == version)
    return int(connection.scalar(query) or 0)


def latest_state(
    connection: Connection,
    region_key: int,
    version: str,
    *,
    data_until: datetime | None = None,
    known_at: datetime | None = None,
) -> State | None:
    """Find a version's last state.

    Args:
        data_until: only states that know nothing after this instant.
        known_at: only states that existed at that moment.

    Raises:
        ArtifactCorrupt: it is not what was stored.
    """
    query = select(forecast_states).where(_c.region_key == region_key, _c.version == version)
    if data_until is not None:
        query = query.where(_c.data_until <= data_until)
    if known_at is not None:
        query = query.where(_c.created_at <= known_at)
    row = connection.execute(query.order_by(_c.number.desc()).limit(1)).one_or_none()
    return None if row is None else _checked(row)


def find_state(connection: Connection, region_key: int, version: str, number: int) -> State | None:
    """Find one state of a version.

    Raises:
        ArtifactCorrupt: it is not what was stored.
    """
    query = select(forecast_states).where(
        _c.region_key == region_key, _c.version == version, _c.number == number
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _checked(row)


def drop_states(connection: Connection, region_key: int) -> int:
    """Delete all states of a region; returns how many there were."""
    return connection.execute(delete(forecast_states).where(_c.region_key == region_key)).rowcount


def _checked(row: Row[Any]) -> State:
    values = dict(row._mapping)
    digest, created_at = values.pop("digest"), values.pop("created_at")
    name = f"state {row.number} of version {row.version}"
    if _digest(values) != bytes(digest):
        raise ArtifactCorrupt(f"{name} is not what was stored")
    try:
        tensors = load(bytes(values.pop("fields")))
        density = DensityState(tensors["memory_days"], tensors["log_ratio"])
    except (SafetensorError, KeyError) as error:
        raise ArtifactCorrupt(f"{name} cannot be read: {error}") from error
    return State(**values, density=density, created_at=created_at)


def _digest(values: Mapping[str, Any]) -> bytes:
    """Return a digest of everything stored besides itself and the time of storing."""
    whole = hashlib.sha256()
    for name in ("region_key", "version", "number", "release", "n_incidents"):
        whole.update(f"{values[name]}:".encode())
    whole.update(values["data_until"].astimezone(UTC).isoformat().encode())
    whole.update(json.dumps(values["counts"], sort_keys=True).encode())
    whole.update(bytes(values["fields"]))
    return whole.digest()
