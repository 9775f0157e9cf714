"""Sources and their runs: one run per source at a time, cursors written with the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Row,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from app.core.db.locks import SYNC_LOCK
from app.core.db.tables import sync_runs, sync_sources
from app.core.errors import Conflict, NotFound
from app.core.messages import Message
from app.core.texts import shortened
from app.runs.store import Run, claim_run, get_run
from app.runs.words import columns_of, words
from app.sync.spec import SourceSpec

ACTIVE = ("queued", "running")
IN_PROGRESS = "another sync of this source is in progress"


@dataclass(frozen=True)
class Source:
    """A source of a region, and how far it has been read."""

    key: int
    region_key: int
    name: str
    spec: SourceSpec
    state: dict[str, Any]
    counts: dict[str, int]
    every_s: int | None
    cron: str | None
    next_due_at: datetime | None
    last_success_at: datetime | None
    last_error: str | None
    created_at: datetime


def _as_source(row: Row[Any]) -> Source:
    names = Source.__dataclass_fields__
    values = {name: value for name, value in row._mapping.items() if name in names}
    return Source(**{**values, "spec": SourceSpec.from_json(values["spec"])})


def insert_source(
    connection: Connection,
    region_key: int,
    name: str,
    spec: SourceSpec,
    *,
    every_s: int | None,
    cron: str | None,
) -> Source:
    """Store a new source; it is due at once if it has a schedule.

    Args:
        every_s: between two runs, or `cron`, their start times; at most one of them.

    Raises:
        Conflict: the region has one of that name.
    """
    taken = connection.scalar(
        select(sync_sources.c.key).where(
            sync_sources.c.region_key == region_key, sync_sources.c.name == name
        )
    )
    if taken is not None:
        raise Conflict(f"a source {shortened(name)} exists; remove it first", code="source_exists")
    row = connection.execute(
        insert(sync_sources)
        .values(
            region_key=region_key,
            name=name,
            spec=spec.to_json(),
            every_s=every_s,
            cron=cron,
            next_due_at=func.now() if every_s or cron else None,
        )
        .returning(*sync_sources.c)
    ).one()
    return _as_source(row)


def list_sources(connection: Connection, region_key: int) -> list[Source]:
    """List a region's sources, by name."""
    query = select(sync_sources).where(sync_sources.c.region_key == region_key)
    return [_as_source(row) for row in connection.execute(query.order_by(sync_sources.c.name))]


def get_source(connection: Connection, region_key: int, name: str) -> Source:
    """Return a source by name.

    Raises:
        NotFound: there is none of that name.
    """
    row = connection.execute(
        select(sync_sources).where(
            sync_sources.c.region_key == region_key, sync_sources.c.name == name
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"no source {shortened(name)}", field="source")
    return _as_source(row)


def get_source_by_key(connection: Connection, key: int) -> Source:
    """Return a source by key.

    Raises:
        NotFound: it was removed.
    """
    row = connection.execute(select(sync_sources).where(sync_sources.c.key == key)).one_or_none()
    if row is None:
        raise NotFound("the source was removed", field="source")
    return _as_source(row)


def delete_source(connection: Connection, source: Source) -> None:
    """Remove a source and the record of its runs; its incidents stay."""
    connection.execute(delete(sync_sources).where(sync_sources.c.key == source.key))


def due_sources(connection: Connection) -> list[Source]:
    """List due sources, each locked for this transaction; sources locked by others are skipped."""
    query = (
        select(sync_sources)
        .where(sync_sources.c.next_due_at <= func.now())
        .order_by(sync_sources.c.next_due_at)
        .with_for_update(skip_locked=True)
    )
    return [_as_source(row) for row in connection.execute(query)]


def set_next_due(connection: Connection, source: Source, at: datetime | None) -> None:
    """Store when a source is read next; None: only on request."""
    _change(connection, source, next_due_at=at)


def _change(connection: Connection, source: Source, **values: Any) -> None:
    mine = sync_sources.c.key == source.key
    connection.execute(update(sync_sources).where(mine).values(**values))


def active_run(connection: Connection, source: Source) -> tuple[Run, bool] | None:
    """Return a source's unfinished run, and whether a queued job works on it."""
    row = connection.execute(
        select(sync_runs.c.id, sync_runs.c.job_id).where(
            sync_runs.c.source_key == source.key, sync_runs.c.status.in_(ACTIVE)
        )
    ).one_or_none()
    if row is None:
        return None
    return get_run(connection, "sync", row.id), row.job_id is not None


def end_active_run(connection: Connection, source: Source, why: Message) -> None:
    """End a run that nobody works on; a process that still does will be refused."""
    connection.execute(
        update(sync_runs)
        .where(sync_runs.c.source_key == source.key, sync_runs.c.status.in_(ACTIVE))
        .values(status="failed", **columns_of(why), finished_at=func.now())
    )


def new_run(connection: Connection, source: Source) -> Run:
    """Create a queued run of a source; the caller has checked that there is no other."""
    run_id = uuid4()
    connection.execute(
        insert(sync_runs).values(
            id=run_id,
            region_key=source.region_key,
            source_key=source.key,
            request={"source": source.name, "source_key": source.key},
            **words("run_queued"),
        )
    )
    return get_run(connection, "sync", run_id)


def new_claimed_run(connection: Connection, source: Source) -> Run:
    """Create a run and claim it for this process."""
    run = claim_run(connection, "sync", new_run(connection, source).id)
    if run is None:
        raise Conflict("the run ended before it started")
    return run


def drop_old_runs(connection: Connection, before: datetime) -> int:
    """Delete old runs, of which a source may have one a minute; return how many.

    The last runs of an inactive source stay: they show how it ended.
    """
    newer = sync_runs.alias()
    later = exists().where(
        newer.c.source_key == sync_runs.c.source_key,
        newer.c.region_key == sync_runs.c.region_key,
        newer.c.created_at > before,
    )
    return connection.execute(
        delete(sync_runs).where(
            sync_runs.c.created_at < before, sync_runs.c.status.not_in(ACTIVE), later
        )
    ).rowcount


@contextmanager
def held_source(engine: Engine, source_key: int) -> Iterator[None]:
    """Hold a source until the block ends, or this process dies.

    Raises:
        Conflict: another process reads it.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(select(func.pg_try_advisory_lock(SYNC_LOCK, source_key))):
            raise Conflict(IN_PROGRESS, code="sync_under_way")
        try:
            yield
        finally:
            connection.execute(select(func.pg_advisory_unlock(SYNC_LOCK, source_key)))


def is_held(connection: Connection, source: Source) -> bool:
    """Return whether a process reads this source now."""
    free = connection.scalar(select(func.pg_try_advisory_xact_lock(SYNC_LOCK, source.key)))
    return not free


def lock_source(connection: Connection, source: Source) -> None:
    """Lock a source: one transaction at a time decides about its runs."""
    connection.execute(
        select(sync_sources.c.key).where(sync_sources.c.key == source.key).with_for_update()
    )


def lock_idle_source(connection: Connection, source: Source, refusal: str = IN_PROGRESS) -> None:
    """Lock a source that no process reads now.

    Raises:
        Conflict: one does; the message is `refusal`.
    """
    lock_source(connection, source)
    if is_held(connection, source):
        raise Conflict(refusal, code="sync_under_way")


def save_page(
    connection: Connection,
    source: Source,
    run: Run,
    state: Mapping[str, Any],
    added: Mapping[str, int],
) -> None:
    """Store the cursor and add to the counts of the source and the run."""
    counts = _sum(sync_sources.c.counts, added)
    _change(connection, source, state=dict(state), counts=counts)
    connection.execute(
        update(sync_runs)
        .where(sync_runs.c.id == run.id)
        .values(metrics=_sum(sync_runs.c.metrics, added))
    )


def forget_state(connection: Connection, source: Source) -> None:
    """Make the next run read the whole source again."""
    _change(connection, source, state={})


def _sum(column: Any, added: Mapping[str, int]) -> Any:
    pairs: list[Any] = []
    for name, n in added.items():
        before = func.coalesce(column[name].astext.cast(BigInteger), 0)
        pairs += [literal(name), before + n]
    return column.concat(func.jsonb_build_object(*pairs))


def note_success(connection: Connection, source: Source) -> None:
    """Record that the portal was read to its end."""
    _change(connection, source, last_success_at=func.now(), last_error=None)


def note_failure(connection: Connection, source: Source, message: str) -> None:
    """Record why the last run failed."""
    _change(connection, source, last_error=message)
