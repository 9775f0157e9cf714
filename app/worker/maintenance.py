"""Periodic maintenance: monitoring, retention and clean-up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from app.audit import store as audit
from app.audit.pruning import prune_reads
from app.core.db.engine import long_statements
from app.core.db.locks import TRAIN_LOCK, transaction_lock
from app.core.db.partitions import advance_copy
from app.core.errors import HotslotError
from app.core.roles import UPKEEP_ACTOR, acting_as
from app.core.settings import Settings
from app.evaluation.backtests.checkpoints import delete_saved_tasks
from app.monitoring.service import monitor_region
from app.presence.service import forget_old_presence
from app.readers.folders import sweep_parser_folders
from app.regions.store import Region, list_regions
from app.register.service import keep_register
from app.registry import retention
from app.registry.alarms import drop_old_alarms
from app.registry.erasure_marks import newest_erasure, vacuum_erased
from app.runs.queue import forget_ended_jobs, forget_lost_upkeep
from app.runs.schedules import drop_old_ticks
from app.runs.workers import forget_lost_workers
from app.subscriptions.service import forget_old_deliveries
from app.sync.store import drop_old_runs
from app.worker.recovery import end_abandoned_runs

MAX_RECORD_AGE = timedelta(days=400)
MAX_SYNC_RUN_AGE = timedelta(days=90)
FILE_CLEANUP_PERIOD = timedelta(days=1)
MAX_ENDED_JOB_AGE = timedelta(days=30)
COPY_S = 240.0
"""For the copy of incidents into partitions, once after an upgrade: less than until the next time."""
_log = logging.getLogger("hotslot.maintenance")

Step = Callable[[Engine, Settings, Region, datetime], int | None]


@dataclass(frozen=True)
class MaintenanceResult:
    """Result of a maintenance."""

    regions: int
    failed: int
    versions_dropped: int
    artifacts_dropped: int
    grids_dropped: int


def maintain(engine: Engine, settings: Settings, now: datetime) -> MaintenanceResult:
    """Monitor every region, delete what retention allows, and collect unused artifacts.

    A step that fails for a region stops neither its other steps nor other regions: dropping versions, for
    one, waits in vain for an erasure or a correction of the region that takes longer than a statement may.
    """
    with acting_as(UPKEEP_ACTOR):
        return _maintain(engine, settings, now)


def _maintain(engine: Engine, settings: Settings, now: datetime) -> MaintenanceResult:
    with engine.connect() as connection:
        regions = list_regions(connection)
    failed: set[str] = set()
    dropped = 0

    def tried(step: Step, region: Region) -> int:
        try:
            return step(engine, settings, region, now) or 0
        except HotslotError as error:
            failed.add(region.id)
            details = {"region": region.id, "step": step.__name__, "reason": error.message}
            _log.error("maintenance of a region failed", extra=details)
            return 0

    for region in regions:
        tried(_monitor, region)
        dropped += tried(_drop_versions, region)
        tried(forget_old_presence, region)
        tried(forget_old_deliveries, region)
        tried(keep_register, region)
    end_abandoned_runs(engine)
    prune_reads(engine, settings.audit_reads_retention_days, now)
    with engine.begin() as connection:
        long_statements(connection)
        artifacts, grids = retention.collect(connection)
        retention.drop_runs(connection, settings.retention_runs)
        drop_old_ticks(connection, now - MAX_RECORD_AGE)
        drop_old_alarms(connection, now - MAX_RECORD_AGE)
        forget_lost_upkeep(connection)
        forget_lost_workers(connection)
        forget_ended_jobs(connection, now - MAX_ENDED_JOB_AGE)
        drop_old_runs(connection, now - MAX_SYNC_RUN_AGE)
        if artifacts or grids:
            audit.record(connection, "unnamed.collected", artifacts=artifacts, grids=grids)
    _clean_up_after_erasures(engine, settings)
    sweep_parser_folders()
    _copy_into_partitions(engine)
    return MaintenanceResult(len(regions), len(failed), dropped, artifacts, grids)


def _copy_into_partitions(engine: Engine) -> None:
    progress = advance_copy(engine, COPY_S)
    if progress is not None:
        found = {"stage": progress.stage, "share": round(progress.share, 3)}
        _log.info("incidents are being copied into partitions", extra=found)


def _clean_up_after_erasures(engine: Engine, settings: Settings) -> None:
    """After recent erasures and removals, delete files that may contain erased incidents, and vacuum.

    A day is added, because a task may write its file hours after reading the incidents.
    """
    with engine.connect() as connection:
        moments = newest_erasure(connection), audit.last_removal(connection)
    newest = max((moment for moment in moments if moment is not None), default=None)
    if newest is None:
        return
    delete_saved_tasks(settings, (newest + FILE_CLEANUP_PERIOD).timestamp())
    try:
        vacuum_erased(engine, newest)
    except HotslotError as error:
        _log.warning("vacuuming after an erasure failed", extra={"reason": error.message})


def _monitor(engine: Engine, settings: Settings, region: Region, now: datetime) -> None:
    seen = monitor_region(engine, region.key, now, auto_rollback=settings.auto_rollback)
    if seen.raised:
        _log.warning("alarm", extra={"region": region.id, "kinds": list(seen.raised)})


def _drop_versions(engine: Engine, settings: Settings, region: Region, now: datetime) -> int:
    with engine.begin() as connection:
        transaction_lock(connection, TRAIN_LOCK, region.key)
        dropped = retention.drop_versions(
            connection,
            region.key,
            settings.retention_versions,
            settings.retention_champion_days,
            now,
        )
        if dropped:
            audit.record_for(connection, "versions.dropped", region.key, versions=dropped)
        return len(dropped)
