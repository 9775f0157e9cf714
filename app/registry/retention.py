"""Retention of versions, runs, artifacts and grids.

Retained are each region's newest versions, its champion, the one to roll back to, recent champions, and the
newest runs. The next collection deletes bytes that no version names any more.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, exists, func, select

from app.core.db.locks import REGISTER_LOCK, transaction_lock
from app.core.db.tables import (
    artifacts,
    backtests,
    champions,
    grids,
    model_versions,
    promotions,
    training_runs,
)
from app.registry.champions import champion_history
from app.runs.store import FINAL


def hold_unnamed(connection: Connection) -> None:
    """Prevent collection until this transaction ends: it stores bytes that no version names yet."""
    transaction_lock(connection, REGISTER_LOCK, shared=True)


def drop_versions(
    connection: Connection, region_key: int, keep: int, champion_days: int, now: datetime
) -> list[str]:
    """Delete versions beyond retention; return their names.

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
    # The champion's predecessor, however old: rollback needs it.
    before = [promotion.version for promotion in champion_history(connection, region_key)[-2:]]
    retained = (newest, current, before, been, ended)
    spare = (mine, *(model_versions.c.version.not_in(versions) for versions in retained))
    # A version that is being promoted is locked and skipped; one promoted a moment ago is seen as the
    # champion by the second statement, and none can be promoted while this transaction locks it.
    candidates = select(model_versions.c.version).where(*spare).with_for_update(skip_locked=True)
    held = connection.scalars(candidates).all()
    statement = delete(model_versions).where(*spare, model_versions.c.version.in_(held))
    return sorted(connection.scalars(statement.returning(model_versions.c.version)))


def drop_runs(connection: Connection, keep: int) -> int:
    """Delete finished trainings and backtests but the newest of each region; return how many.

    A training that a version names stays, since the version's seal covers its id.

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
    """Wait for registrations in progress, and block new ones until this transaction ends."""
    transaction_lock(connection, REGISTER_LOCK)


def collect(connection: Connection) -> tuple[int, int]:
    """Delete artifacts and grids that no version names; return the number of each."""
    hold_collection(connection)
    named = exists().where(model_versions.c.artifact_sha256 == artifacts.c.sha256)
    n_artifacts = connection.execute(delete(artifacts).where(~named)).rowcount
    used = exists().where(model_versions.c.grid_sha256 == grids.c.sha256)
    n_grids = connection.execute(delete(grids).where(~used)).rowcount
    return n_artifacts, n_grids


def unnamed(connection: Connection) -> int:
    """Count artifacts and grids that no version names."""
    named = exists().where(model_versions.c.artifact_sha256 == artifacts.c.sha256)
    used = exists().where(model_versions.c.grid_sha256 == grids.c.sha256)
    lost = select(func.count()).select_from(artifacts).where(~named).scalar_subquery()
    spare = select(func.count()).select_from(grids).where(~used).scalar_subquery()
    return int(connection.scalar(select(lost + spare)) or 0)
