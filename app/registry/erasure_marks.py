"""Which versions had learnt from incidents that are erased since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db.engine import long_statements
from app.core.db.tables import erased_versions, erasures, model_versions, regions, training_runs
from app.core.errors import NotFound

HOLDERS = (
    "incidents", "incident_history", "categories", "uploads", "artifacts", "forecast_grids",
    "model_versions", "training_runs", "backtests", "live_scores",
    "backtest_data", "backtest_units",
)  # fmt: skip
"""Tables from which an erasure removes rows or parts, besides the partitions of incidents."""


def mark(
    connection: Connection, region_key: int, erasure_ids: list[int], versions: list[str]
) -> None:
    """Mark versions as having learnt from what these erasures removed."""
    rows = [
        {"erasure_id": e, "region_key": region_key, "version": v}
        for e in erasure_ids
        for v in versions
    ]
    if rows:
        connection.execute(upsert(erased_versions).on_conflict_do_nothing(), rows)


def mark_if_late(connection: Connection, region_key: int, version: str, run_id: UUID) -> None:
    """Mark a version that is being registered when something was erased after its run had started.

    Its run may have read erased incidents; the retraining that the erasure queued comes after it.
    """
    mark(
        connection,
        region_key,
        since_start(connection, training_runs, region_key, run_id),
        [version],
    )


def since_start(connection: Connection, runs: Table, region_key: int, run_id: UUID) -> list[int]:
    """List erasures made since a run started, whose incidents its data may contain."""
    late = select(erasures.c.id).where(
        erasures.c.region_key == region_key,
        erasures.c.created_at
        >= select(runs.c.started_at).where(runs.c.id == run_id).scalar_subquery(),
    )
    return list(connection.scalars(late))


def marked_versions(connection: Connection, region_key: int) -> dict[str, int]:
    """Return {version: number of its training incidents that are erased} of marked versions."""
    rows = connection.execute(
        select(erased_versions.c.version, func.sum(erasures.c.n_incidents))
        .join(erasures, erasures.c.id == erased_versions.c.erasure_id)
        .where(erased_versions.c.region_key == region_key)
        .group_by(erased_versions.c.version)
    )
    return {str(version): int(n) for version, n in rows}


def shown_marks(connection: Connection, region_key: int, *, exact: bool) -> dict[str, int]:
    """Return {version: number of its training incidents that are erased}.

    Args:
        exact: for callers who may list incidents. Others see how many of the region were erased since the
            version was made: the versions that had learnt from one would reveal its category and day.
    """
    if exact:
        return marked_versions(connection, region_key)
    rows = connection.execute(
        select(model_versions.c.version, func.sum(erasures.c.n_incidents))
        .join(erasures, erasures.c.region_key == model_versions.c.region_key)
        .where(
            model_versions.c.region_key == region_key,
            erasures.c.created_at >= model_versions.c.created_at,
        )
        .group_by(model_versions.c.version)
    )
    return {str(version): int(n) for version, n in rows}


def erased_since(connection: Connection, region_key: int, since: datetime) -> bool:
    """Return whether anything of a region was erased after a moment."""
    query = select(erasures.c.id).where(
        erasures.c.region_key == region_key, erasures.c.created_at > since
    )
    return connection.execute(query.limit(1)).first() is not None


def newest_erasure(connection: Connection) -> datetime | None:
    """Return when something was last erased, in any region."""
    found: datetime | None = connection.scalar(select(func.max(erasures.c.created_at)))
    return found


def vacuum_erased(engine: Engine, since: datetime) -> None:
    """Vacuum the tables that held erased rows, unless that was done since.

    Until then they remain as dead rows in the database's files, though no query sees them.
    """
    query = text(
        "SELECT s.relname FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = relid"
        " WHERE relkind = 'r' AND (s.relname = ANY(:names) OR s.relname ~ '^incidents_p[0-9]+$')"
        " AND coalesce(greatest(last_vacuum, last_autovacuum), '-infinity') < :since"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        names = connection.scalars(query, {"names": list(HOLDERS), "since": since}).all()
        if names:
            long_statements(connection)
            connection.execute(text("SET statement_timeout = '1h'"))
        for name in names:
            connection.execute(text(f'VACUUM "{name}"'))
        connection.execute(text("RESET statement_timeout"))


@dataclass(frozen=True)
class Epoch:
    """The last erasure and the last change of a region: what was made before either is discarded."""

    region_key: int
    region: str
    erasure: int
    revision: int

    @property
    def owner(self) -> str:
        """Name of the region's folder in caches on disk until the next erasure or change."""
        return f"{self.region_key}-{self.erasure}-{self.revision}"


def epochs(connection: Connection, region_key: int | None = None) -> dict[int, Epoch]:
    """Return the epochs of all regions, or of one, by key."""
    last = func.coalesce(func.max(erasures.c.id), 0)
    query = (
        select(regions.c.key, regions.c.id, last, regions.c.revision)
        .outerjoin(erasures, erasures.c.region_key == regions.c.key)
        .group_by(regions.c.key)
    )
    if region_key is not None:
        query = query.where(regions.c.key == region_key)
    return {row[0]: Epoch(*row) for row in connection.execute(query)}


def epoch_of(connection: Connection, region_key: int) -> Epoch:
    """Return a region's epoch.

    Raises:
        NotFound: the region was removed meanwhile.
    """
    found = epochs(connection, region_key)
    if not found:
        raise NotFound("no such region", field="region")
    return found[region_key]
