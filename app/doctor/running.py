"""What runs: keys, workers and their queue, feeds, forecasts, stored models, the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.audit.verification import check_tails
from app.core.cron import next_tick
from app.core.db.partitions import copy_progress
from app.core.errors import InvalidInput
from app.core.messages import Message
from app.core.settings import Settings
from app.core.zones import zone
from app.doctor import store
from app.doctor.database import MAX_CLOCK_S
from app.doctor.findings import Finding, finding
from app.forecasts.warnings import STALE_AFTER_DAYS
from app.monitoring.status import oldest_waiting_s
from app.regions.store import get_region_by_key, list_regions
from app.registry.artifacts import ArtifactCorrupt
from app.registry.retention import unnamed
from app.registry.store import get_version, sound_version
from app.runs.queue import queue_depth
from app.runs.schedules import database_clock, failures_by_region
from app.runs.workers import count_workers
from app.states.service import may_have_states
from app.sync.store import Source, list_sources

MAX_WAIT_S = 3600.0
LOST_TIMES = 3.0
"""A living worker takes lost jobs over within `job_stalled_s`; so many times later, none did."""
LATE = timedelta(minutes=30)
FEED_GRACE = timedelta(hours=1)
STATE_LATE_S = 86_400.0
MIN_RELEASES = 2
"""A first release may add too few incidents to those of the training for a state of its own."""
FAILED_TRAININGS = 3
DEAD_DAYS = 7
READ_BYTES = 128 << 20
AUDIT_ENTRIES = 100


def check_queue(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Find missing workers, jobs that wait or were lost, and maintenance that does not come."""
    workers = count_workers(connection, settings.job_stalled_s)
    depth = queue_depth(connection)
    unfinished = depth.get("todo", 0) + depth.get("doing", 0)
    if not workers:
        found = {"jobs": unfinished}
        yield finding("workers_missing", **found) if unfinished else finding("no_workers")
        return
    if count_workers(connection, settings.job_stalled_s, takes="gpu") == workers:
        yield finding("only_gpu_workers")
    waited_s = oldest_waiting_s(connection)
    if waited_s is not None and waited_s > MAX_WAIT_S:
        yield finding("job_waits", minutes=waited_s / 60)
    lost = store.lost_jobs(connection, LOST_TIMES * settings.job_stalled_s)
    if lost:
        yield finding("jobs_lost", jobs=lost)
    for clock in store.wrong_worker_clocks(connection, settings.job_stalled_s, MAX_CLOCK_S):
        yield finding("worker_clock_differs", machine=clock.machine, seconds=clock.clock_ahead_s)
    last = store.last_maintenance(connection)
    if last is not None:
        due = next_tick(settings.maintenance_cron, "UTC", last)
        if due is not None and due + LATE < database_clock(connection):
            yield finding("maintenance_late", last=f"{last:%Y-%m-%d %H:%M} UTC")


def check_feeds(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Find sources that were not read to their end within two spans of their schedule."""
    now = database_clock(connection)
    for region in list_regions(connection):
        for source in list_sources(connection, region.key):
            due = _second_due(source, region.timezone)
            if due is None or due + FEED_GRACE >= now:
                continue
            yield _late_feed(region.id, source)
    for region_id, reason in failures_by_region(connection).items():
        yield finding("schedule_failing", region=region_id, reason=reason)
    for failed in store.failed_schedules(connection, FAILED_TRAININGS):
        yield finding(
            "scheduled_trainings_fail", region=failed.region, n=failed.failed, reason=failed.message
        )


def check_deliveries(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Find subscriptions whose deliveries were given up."""
    for dead in store.dead_deliveries(connection, DEAD_DAYS):
        names = {"region": dead.region, "subscription": dead.subscription}
        reason = "unknown" if dead.failure is None else Message.from_json(dead.failure).message
        yield finding("deliveries_dead", n=dead.n, days=DEAD_DAYS, reason=reason, **names)


def check_copy(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Say how far an upgrade's copy of incidents into partitions is, and whether it rests."""
    progress = copy_progress(connection)
    if progress is None:
        return
    if progress.stage == "differs":
        yield finding("copy_differs")
    else:
        yield finding("copy_under_way", stage=progress.stage, share=round(progress.share, 3))


def _late_feed(region_id: str, source: Source) -> Finding:
    last = source.last_success_at
    params = {
        "region": region_id,
        "source": source.name,
        "last": "never" if last is None else f"{last:%Y-%m-%d %H:%M} UTC",
        "schedule": source.cron or f"every {(source.every_s or 0) / 3600:g} h",
    }
    if source.last_error:
        return finding("feed_failing", error=source.last_error, **params)
    return finding("feed_stale", **params)


def _second_due(source: Source, timezone: str) -> datetime | None:
    """Return when a source is due for the second time after its last success; None: never."""
    since = source.last_success_at or source.created_at
    if source.every_s is not None:
        return since + timedelta(seconds=2 * source.every_s)
    if source.cron is None:
        return None
    first = next_tick(source.cron, timezone, since)
    return None if first is None else next_tick(source.cron, timezone, first)


def check_forecasts(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Find forecasts of long ago, and states that do not follow the releases."""
    now = database_clock(connection)
    for served in store.served_versions(connection, STATE_LATE_S):
        if (now - served.data_until).days > STALE_AFTER_DAYS:
            yield finding(
                "forecast_old", region=served.region, until=f"{served.data_until:%Y-%m-%d}"
            )
        if served.releases < MIN_RELEASES or served.since is None:
            continue
        version = sound_version(connection, served.region_key, served.version)
        region = get_region_by_key(connection, served.region_key)
        if version is not None and may_have_states(region, version):
            since = f"{served.since:%Y-%m-%d}"
            yield finding(
                "state_behind", region=served.region, releases=served.releases, since=since
            )


def check_models(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Find champions whose record or artifact is not what was registered, and unused ones in store."""
    for served in store.served_versions(connection, STATE_LATE_S):
        try:
            get_version(connection, served.region_key, served.version)
        except ArtifactCorrupt as error:
            names = {"region": served.region, "version": served.version}
            yield finding("champion_damaged", reason=error.message, **names)
    for damaged in store.damaged_artifacts(connection, READ_BYTES):
        reason = "its artifact does not match its hash"
        names = {"region": damaged.region, "version": damaged.version}
        yield finding("champion_damaged", reason=reason, **names)
    unused = unnamed(connection)
    if unused:
        yield finding("unused_stored", n=unused)


def check_audit(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Verify the last entries of every chain of the audit log."""
    faults = check_tails(connection, AUDIT_ENTRIES)
    if faults:
        yield finding("audit_broken", faults=faults)


def check_zones(connection: Connection, _settings: Settings) -> Iterator[Finding]:
    """Find time zones of regions that this machine or the database does not know."""
    for name in sorted({"UTC", *(region.timezone for region in list_regions(connection))}):
        try:
            zone(name)
        except InvalidInput:
            yield finding("no_zone_data", zone=name)
        if not store.knows_zone(connection, name):
            yield finding("zone_unknown_to_database", zone=name)
