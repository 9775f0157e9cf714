"""What is kept of the registry, and what goes.

Kept are the newest versions of each region, its champion, the one to roll back to, and what was
champion not long ago; and the newest runs. Bytes that no version names any more go with the next collection.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, exists, func, select, text

from app.core.db.tables import (
    artifacts,
    backtests,
    champions,
    grids,
    model_versions,
    promotions,
    training_runs,
)
from app.registry.champions import line
from app.runs.store import FINAL

REGISTER_LOCK = 0x686F7472
"""Shared by those that register versions, taken alone by the one that collects what none names."""


def hold_unnamed(connection: Connection) -> None:
    """Until this transaction ends, collect nothing: it stores bytes that no version names yet."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": REGISTER_LOCK})


def drop_versions(
    connection: Connection, region_key: int, keep: int, champion_days: int, now: datetime
) -> list[str]:
    """Delete versions beyond retention; returns their names.

    Args:
        keep: newest versions to keep.
        champion_days: keep what was champion within so many days before `now`.
    """
    mine = model_versions.c.region_key == region_key
    newest = (
        select(model_versions.c.version)
        .where(mine)
        .order_by(model_versions.c.created_at.desc(), model_versions.c.version)
        .limit(keep)
    )
    current = select(champions.c.version).where(champions.c.region_key == region_key)
    since = now - timedelta(days=champion_days)
    # A promotion ends the term of the version before it.
    lately = (promotions.c.region_key == region_key) & (promotions.c.created_at >= since)
    been = select(promotions.c.version).where(lately)
    ended = select(promotions.c.previous_version).where(
        lately, promotions.c.previous_version.is_not(None)
    )
    # The champion's predecessor, however long ago: without it there is no way back.
    before = [promotion.version for promotion in line(connection, region_key)[-2:]]
    kept = (newest, current, before, been, ended)
    spare = (mine, *(model_versions.c.version.not_in(versions) for versions in kept))
    # A version that is being promoted is held and stays; one that was, a moment ago, is seen to be
    # champion by the second statement, and none can be while this transaction holds it.
    candidates = select(model_versions.c.version).where(*spare).with_for_update(skip_locked=True)
    held = connection.scalars(candidates).all()
    statement = delete(model_versions).where(*spare, model_versions.c.version.in_(held))
    return sorted(connection.scalars(statement.returning(model_versions.c.version)))


def drop_runs(connection: Connection, keep: int) -> int:
    """Forget finished trainings and backtests but the newest of each region; returns how many.

    A training that a version names stays: the version's seal covers its id.

    Args:
        keep: of each kind in a region.
    """
    named = exists().where(model_versions.c.run_id == training_runs.c.id)
    dropped = 0
    for table, conditions in ((training_runs, [~named]), (backtests, [])):
        place = func.row_number().over(
            partition_by=table.c.region_key, order_by=table.c.created_at.desc()
        )
        placed = select(table.c.id, place.label("place")).subquery()
        old = select(placed.c.id).where(placed.c.place > keep)
        over = (table.c.id.in_(old), table.c.status.in_(FINAL), *conditions)
        dropped += connection.execute(delete(table).where(*over)).rowcount
    return dropped


def hold_collection(connection: Connection) -> None:
    """Wait for registrations under way; those that follow wait for this transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": REGISTER_LOCK})


def collect(connection: Connection) -> tuple[int, int]:
    """Delete artifacts and grids that no version names, none being registered; return how many of each."""
    hold_collection(connection)
    named = exists().where(model_versions.c.artifact_sha256 == artifacts.c.sha256)
    n_artifacts = connection.execute(delete(artifacts).where(~named)).rowcount
    used = exists().where(model_versions.c.grid_sha256 == grids.c.sha256)
    n_grids = connection.execute(delete(grids).where(~used)).rowcount
    return n_artifacts, n_grids


def unnamed(connection: Connection) -> int:
    """Artifacts and grids that no version names."""
    named = exists().where(model_versions.c.artifact_sha256 == artifacts.c.sha256)
    used = exists().where(model_versions.c.grid_sha256 == grids.c.sha256)
    lost = select(func.count()).select_from(artifacts).where(~named).scalar_subquery()
    spare = select(func.count()).select_from(grids).where(~used).scalar_subquery()
    return int(connection.scalar(select(lost + spare)) or 0)
