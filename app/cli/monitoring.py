"""`hotslot schedule`, `models`, `status`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from app.cli.console import console, echo_json, opened, results
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.core.texts import shortened
from app.monitoring.schedules.service import (
    ScheduleRequest,
    remove_schedule,
    set_schedule,
    show_schedule,
)
from app.monitoring.status import read_status
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.champions import get_champion, promote_by_hand, roll_back
from app.runs.schedules import database_clock


def schedule(
    region: str,
    cron: Annotated[str | None, typer.Option(help="Five fields, in the region's zone.")] = None,
    new_incidents: Annotated[
        int | None, typer.Option(help="Train after so many new incidents.")
    ] = None,
    new_share: Annotated[
        float | None, typer.Option(help="Train after this share of new incidents.")
    ] = None,
    on_drift: Annotated[bool, typer.Option(help="Train when an alarm is raised.")] = False,
    model: Annotated[str, typer.Option(help="Model to train.")] = "stack",
    off: Annotated[bool, typer.Option(help="Remove the schedule.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show or set a region's schedule of trainings."""
    given = cron is not None or new_incidents is not None or new_share is not None or on_drift
    if given and off:
        raise InvalidInput("--off cannot be combined with other options", field="off")
    with opened(Settings()) as engine:
        with engine.connect() as connection:
            now = database_clock(connection)
        if off:
            remove_schedule(engine, region)
            console.print(f"schedule of {region} removed")
            return
        if given:
            request = ScheduleRequest(model, cron, new_incidents, new_share, on_drift)
            found = set_schedule(engine, region, request, now)
        else:
            found = show_schedule(engine, region, now)
    if as_json:
        echo_json(found)
    else:
        results().print(_schedule_table(found))


def _schedule_table(found: dict[str, Any]) -> Table:
    table = Table(title=f"{found['region']}: {found['model']}", show_header=False)
    causes = {
        "cron": found["cron"] and f"{found['cron']} ({found['timezone']})",
        "new incidents": found["new_incidents"],
        "new share": found["new_share"],
        "on drift": "yes" if found["on_drift"] else None,
        "next": found["next_at"] and _local(found["next_at"], found["timezone"]),
    }
    for name, value in causes.items():
        if value is not None:
            table.add_row(name, str(value))
    for past in found["last_ticks"]:
        table.add_row(
            _local(past["at"], found["timezone"]),
            f"{past['cause']}: {past['status'] or 'run deleted'}",
        )
    return table


def _local(at: str, timezone: str) -> str:
    """Format an instant in the region's local time."""
    return datetime.fromisoformat(at).astimezone(ZoneInfo(timezone)).isoformat(timespec="minutes")


def models(
    region: str,
    action: Annotated[str | None, typer.Argument(help="promote or rollback.")] = None,
    version: Annotated[str | None, typer.Argument(help="The version to promote.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List a region's versions, promote one, or roll back to the previous champion."""
    if action not in (None, "promote", "rollback"):
        raise InvalidInput(
            f"action must be promote or rollback, got {shortened(action)}", field="action"
        )
    if (action == "promote") != (version is not None):
        raise InvalidInput("give a version with promote, and only with it", field="version")
    with opened(Settings()) as engine, engine.begin() as connection:
        key = get_region(connection, region).key
        if action == "rollback":
            roll_back(connection, key, "rolled back manually")
        elif version is not None:
            promote_by_hand(connection, key, version)
        champion = get_champion(connection, key)
        versions = registry.list_versions(connection, key)
    sound = [v for v in versions if v.is_sound]
    for version_ in versions:
        if not version_.is_sound:
            console.print(
                f"{version_.version} is left out: its record differs from what was registered"
            )
    rows = [_model_row(v, champion.version if champion else None) for v in sound]
    if as_json:
        echo_json(rows)
    else:
        results().print(_versions_table(region, rows))


def _versions_table(region: str, rows: list[dict[str, Any]]) -> Table:
    headings = ("", "version", "trained until (UTC)", "incidents", "log score", "created (UTC)")
    table = Table(*headings, title=f"versions of {region}")
    for row in rows:
        score = row["log_score"]
        table.add_row(
            "*" if row["champion"] else "",
            row["version"],
            row["trained_until"][:16],
            str(row["n_incidents"]),
            "" if score is None else f"{score:.4f}",
            row["created_at"][:16],
        )
    return table


def _model_row(record: registry.VersionRecord, champion: str | None) -> dict[str, Any]:
    return {
        "version": record.version,
        "champion": record.version == champion,
        "trained_until": record.cutoff.isoformat(),
        "n_incidents": record.n_incidents,
        "log_score": record.scores.get("log_score"),
        "created_at": record.created_at.isoformat(),
    }


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show regions, champions, queue, workers and alarms."""
    settings = Settings()
    with opened(settings) as engine, engine.connect() as connection:
        found = read_status(connection, settings.job_stalled_s)
    if as_json:
        echo_json(asdict(found))
        return
    jobs = ", ".join(f"{count} {name}" for name, count in sorted(found.queue.items())) or "none"
    waited = (
        "" if found.oldest_job_s is None else f"; the oldest has waited {_age(found.oldest_job_s)}"
    )
    table = Table(title=f"jobs: {jobs}{waited}; workers: {found.workers}")
    for heading in ("region", "champion", "data end", "last incident", "live score", "alarms"):
        table.add_column(heading)
    for region in found.regions:
        score = region.live_log_score
        table.add_row(
            region.region,
            region.champion or "none",
            _age(region.model_age_s),
            _age(region.ingest_lag_s),
            "" if score is None else f"{score:.3f}",
            ", ".join([*region.alarms, *(["schedule fails"] if region.schedule_failure else [])]),
        )
    results().print(table)


def _age(seconds: float | None) -> str:
    """Format a duration in the largest unit that fits."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
