"""Start runs on request, by schedule, or in this process; one run per source at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.cron import next_tick
from app.core.errors import NotReady
from app.regions.store import get_region, get_region_by_key
from app.runs.schedules import database_clock
from app.runs.store import Run, get_run, queue_run
from app.runs.words import RUN_FAILURES
from app.sync.store import (
    Source,
    active_run,
    due_sources,
    end_active_run,
    forget_state,
    get_source,
    is_held,
    list_sources,
    lock_idle_source,
    lock_source,
    new_claimed_run,
    new_run,
    set_next_due,
)

ABANDONED = RUN_FAILURES.make("run_sync_abandoned")


def request_sync(engine: Engine, region_id: str, name: str | None = None) -> list[Run]:
    """Queue a run of one source, or of all; return a source's unfinished run if it has one.

    Raises:
        NotFound: no such region or source.
        NotReady: the region has no source.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        sources = (
            [get_source(connection, region.key, name)]
            if name is not None
            else list_sources(connection, region.key)
        )
        if not sources:
            raise NotReady(
                "the region has no source: an administrator adds one with `hotslot source add`",
                code="no_source",
            )
        runs = [_queued(connection, source) for source in sources]
        names = [source.name for source in sources]
        audit.record(connection, "sync.requested", chain=region.id, sources=names)
        return runs


def queue_due(engine: Engine) -> int:
    """Queue a run of every due source; return how many.

    Safe for any number of concurrent workers: a source is due once.
    """
    with engine.begin() as connection:
        sources = due_sources(connection)
        for source in sources:
            region = get_region_by_key(connection, source.region_key)
            _queued(connection, source)
            set_next_due(connection, source, _next_due(connection, source, region.timezone))
    return len(sources)


def _next_due(connection: Connection, source: Source, timezone: str) -> datetime | None:
    """Return the next due time after now: after an outage there is one catch-up run, not many."""
    now = database_clock(connection)
    if source.cron is not None:
        return next_tick(source.cron, timezone, now)
    return None if source.every_s is None else now + timedelta(seconds=source.every_s)


def claim_here(engine: Engine, region_id: str, name: str, *, full: bool = False) -> Run:
    """Create a run for this process to work on; it replaces one that is still queued.

    Args:
        full: discard the cursor and read the whole source again.

    Raises:
        NotFound: no such region or source.
        Conflict: another process reads this source.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        source = get_source(connection, region.key, name)
        lock_idle_source(connection, source)
        end_active_run(connection, source, RUN_FAILURES.make("run_ended_for_another"))
        if full:
            forget_state(connection, source)
        set_next_due(connection, source, _next_due(connection, source, region.timezone))
        audit.record(connection, "sync.started", chain=region.id, sources=[name], full=full)
        return new_claimed_run(connection, source)


def _queued(connection: Connection, source: Source) -> Run:
    lock_source(connection, source)
    active = active_run(connection, source)
    if active is not None:
        run, has_job = active
        if has_job or is_held(connection, source):
            return run
        end_active_run(connection, source, ABANDONED)
    run = new_run(connection, source)
    queue_run(connection, "sync", run.id, source.region_key)
    return get_run(connection, "sync", run.id)
