"""`/v1/regions/{region}`: schedule, rollback, live scores, alarms."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from app.core.roles import Role
from app.forecasts.state import Forecasts
from app.http.app_state import ApiState, CallerOf, State
from app.http.permissions import allow
from app.monitoring.live_scores import live_report
from app.monitoring.schedules.service import (
    ScheduleRequest,
    remove_schedule,
    set_schedule,
    show_schedule,
)
from app.regions.store import get_region
from app.registry.alarms import list_alarms, list_looks
from app.registry.champions import roll_back
from app.registry.visibility import served, withheld_of
from app.releases.disclosure import shown_alarm, shown_look
from app.runs.schedules import database_clock

router = APIRouter(prefix="/v1/regions/{region}", tags=["operations"])


class NewSchedule(BaseModel):
    """When to train; any cause that is given makes a tick."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"model": "maf", "cron": "15 3 * * MON", "on_drift": True}]
        },
    )

    model: Annotated[str, Field(max_length=64)] = "stack"
    cron: Annotated[
        str | None,
        Field(max_length=200, description="Five fields, in the region's time zone"),
    ] = None
    new_incidents: Annotated[
        int | None, Field(ge=1, le=10**9, description="Incidents since the newest version's cutoff")
    ] = None
    new_share: Annotated[
        float | None,
        Field(
            ge=0.001, le=100, allow_inf_nan=False, description="The same, as a share of its data"
        ),
    ] = None
    on_drift: Annotated[bool, Field(description="Also when an alarm is raised")] = False


def _now(state: ApiState) -> Any:
    with state.engine.connect() as connection:
        return database_clock(connection)


@router.put("/schedule")
@allow(Role.TRAINER)
def put_schedule(state: State, region: str, new: NewSchedule) -> dict[str, Any]:
    """Train the region by itself from now on; replaces the schedule before."""
    request = ScheduleRequest(**new.model_dump())
    return set_schedule(state.engine, region, request, _now(state))


@router.get("/schedule")
@allow(Role.READER)
def schedule(state: State, region: str) -> dict[str, Any]:
    """The region's schedule, its next tick by the clock and its last ticks."""
    return show_schedule(state.engine, region, _now(state))


@router.delete("/schedule", status_code=204)
@allow(Role.TRAINER)
def delete_schedule(state: State, region: str) -> Response:
    """Train the region only when asked to."""
    remove_schedule(state.engine, region)
    return Response(status_code=204)


@router.post("/models/rollback")
@allow(Role.TRAINER)
def rollback(state: State, forecasts: Forecasts, region: str) -> dict[str, Any]:
    """Make the champion's predecessor the champion again."""
    with state.engine.begin() as connection:
        key = get_region(connection, region).key
        champion = roll_back(connection, key, "rolled back by hand")
        shown = served(connection, key)
    forecasts.forget_champion(region)
    return {"champion": shown, "revision": champion.revision}


@router.get("/models/{version}/live-scores")
@allow(Role.READER)
def live_scores(state: State, caller: CallerOf, region: str, version: str) -> dict[str, Any]:
    """How a version does on incidents that arrived after it, beside the champion, by week."""
    return live_report(state.engine, region, version, exact=caller.lists_incidents)


@router.get("/alarms")
@allow(Role.READER)
def alarms(state: State, caller: CallerOf, region: str) -> dict[str, Any]:
    """Alarms, newest first, and every look that was taken at the champion."""
    with state.engine.connect() as connection:
        key = get_region(connection, region).key
        champion = served(connection, key)
        found = list_alarms(connection, key)
        looks = list_looks(connection, key, champion) if champion else []
        exact = caller.lists_incidents
        hidden = set() if exact else withheld_of(connection, key)
    return {
        "alarms": [
            shown_alarm(
                {
                    **asdict(alarm),
                    "raised_at": alarm.raised_at.isoformat(),
                    "cleared_at": alarm.cleared_at.isoformat() if alarm.cleared_at else None,
                },
                exact=exact,
            )
            for alarm in found
            if hidden.isdisjoint((alarm.version, alarm.details.get("to")))
        ],
        "looks": [shown_look(asdict(look), exact=exact) for look in looks],
    }
