"""Remove a region with all that is its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select, update

from app.audit import store as audit
from app.core.db.engine import long_statements
from app.core.db.locks import INGEST_LOCK, TRAIN_LOCK, transaction_lock
from app.core.db.tables import (
    api_keys,
    incident_history,
    incidents,
    metadata,
    model_versions,
    regions,
    uploads,
)
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.regions.store import get_region
from app.registry.retention import collect, hold_collection
from app.runs.kinds import KINDS
from app.runs.queue import drop_waiting_job

LARGE = incidents, incident_history


@dataclass(frozen=True)
class RemovedRegion:
    """What was removed."""

    region: str
    incidents: int
    uploads: int
    versions: int
    keys_revoked: int


def remove_region(engine: Engine, region_id: str, confirm: str | None) -> RemovedRegion:
    """Remove a region: incidents, history, uploads, versions, runs, sources, releases, grants of keys.

    Its audit entries stay, and one says that it was removed. Work on it that is running ends without
    storing anything.

    Args:
        confirm: the region's id, typed again.

    Raises:
        NotFound: no such region.
        InvalidInput: `confirm` is not the region's id.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        if confirm != region.id:
            raise InvalidInput(
                f"this removes {region.id} with all its incidents and models; to confirm, give its id again "
                f"as confirm={region.id}, got {shortened(confirm)}",
                field="confirm",
                code="not_confirmed",
            )
        long_statements(connection)
        transaction_lock(connection, INGEST_LOCK, region.key)
        # What takes long goes before the lock for which erasures and trainings of all regions wait.
        n_incidents, _ = (_delete(connection, table, region.key) for table in LARGE)
        hold_collection(connection)
        transaction_lock(connection, TRAIN_LOCK, region.key)
        n_uploads, n_versions = (
            _count(connection, table, region.key) for table in (uploads, model_versions)
        )
        _drop_jobs(connection, region.key)
        _delete_rows(connection, region.key)
        collect(connection)
        n_revoked = _revoke_grants(connection, region.id)
        removed = RemovedRegion(region.id, n_incidents, n_uploads, n_versions, n_revoked)
        audit.record(
            connection,
            "region.removed",
            chain=region.id,
            incidents=removed.incidents,
            versions=removed.versions,
        )
        return removed


def _count(connection: Connection, table: Any, region_key: int) -> int:
    query = select(func.count()).select_from(table).where(table.c.region_key == region_key)
    return int(connection.scalar(query) or 0)


def _delete(connection: Connection, table: Any, region_key: int) -> int:
    return connection.execute(delete(table).where(table.c.region_key == region_key)).rowcount


def _drop_jobs(connection: Connection, region_key: int) -> None:
    for kind in KINDS.values():
        queued = select(kind.table.c.job_id).where(
            kind.table.c.region_key == region_key, kind.table.c.status == "queued"
        )
        for job_id in connection.scalars(queued).all():
            drop_waiting_job(connection, job_id)


def _delete_rows(connection: Connection, region_key: int) -> None:
    """Delete the region's rows from every other table that has any, those that refer to others first."""
    for table in reversed(metadata.sorted_tables):
        if "region_key" in table.c and table not in LARGE:
            _delete(connection, table, region_key)
    connection.execute(delete(regions).where(regions.c.key == region_key))


def _revoke_grants(connection: Connection, region_id: str) -> int:
    """Remove a region from the keys that name it; revoke those that name no other. Return how many."""
    named = api_keys.c.regions.contains([region_id])
    rows = connection.execute(select(api_keys.c.id, api_keys.c.regions).where(named)).all()
    revoked = 0
    for row in rows:
        left = [one for one in row.regions if one != region_id]
        values: dict[str, Any] = {"regions": left}
        if not left:
            values = {"revoked_at": func.coalesce(api_keys.c.revoked_at, func.now())}
            revoked += 1
        connection.execute(update(api_keys).where(api_keys.c.id == row.id).values(**values))
    return revoked
