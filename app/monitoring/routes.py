"""`/v1/regions/{region}`: schedule, rollback, live scores, alarms."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response

from app.core.roles import Role
from app.forecasts.selectors import Forecasts
from app.http.app_state import ApiState, CallerOf, State
from app.http.parameters import RegionId, VersionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.monitoring.live_scores import live_report
from app.monitoring.schedules.service import (
    ScheduleRequest,
    remove_schedule,
    set_schedule,
    show_schedule,
)
from app.monitoring.schemas import AlarmList, AlarmReply, LiveScores, Look, NewSchedule, Schedule
from app.regions.store import get_region
from app.registry.alarms import alarm_json, list_alarms, list_checks
from app.registry.champions import roll_back
from app.registry.visibility import served, withheld_of
from app.releases.disclosure import shown_look
from app.runs.schedules import database_clock
from app.training.schemas import Promotion

router = APIRouter(prefix="/v1/regions/{region}", tags=["operations"], responses=DOCUMENTED)


def _now(state: ApiState) -> datetime:
    with state.engine.connect() as connection:
        return database_clock(connection)


@router.put("/schedule")
@allow(Role.TRAINER)
def put_schedule(state: State, region: RegionId, new: NewSchedule) -> Schedule:
    """Train the region automatically from now on; replaces an earlier schedule."""
    request = ScheduleRequest(**new.model_dump())
    return Schedule.model_validate(set_schedule(state.engine, region, request, _now(state)))


@router.get("/schedule")
@allow(Role.READER)
def schedule(state: State, region: RegionId) -> Schedule:
    """Show the region's schedule, its next tick by the clock and its last ticks."""
    return Schedule.model_validate(show_schedule(state.engine, region, _now(state)))


@router.delete("/schedule", status_code=204)
@allow(Role.TRAINER)
def delete_schedule(state: State, region: RegionId) -> Response:
    """Remove the schedule: the region is then trained on request only."""
    remove_schedule(state.engine, region)
    return Response(status_code=204)


@router.post("/models/rollback")
@allow(Role.TRAINER)
def rollback(state: State, forecasts: Forecasts, region: RegionId) -> Promotion:
    """Make the champion's predecessor the champion again."""
    with state.engine.begin() as connection:
        key = get_region(connection, region).key
        champion = roll_back(connection, key, "rolled back by hand")
        shown = served(connection, key)
    forecasts.forget_champion(region)
    return Promotion(champion=shown, revision=champion.revision)


@router.get("/models/{version}/live-scores", response_model_exclude_unset=True)
@allow(Role.READER)
def live_scores(state: State, caller: CallerOf, region: RegionId, version: VersionId) -> LiveScores:
    """Score a version on incidents that arrived after it, beside the champion, by week."""
    report = live_report(state.engine, region, version, exact=caller.lists_incidents)
    return LiveScores.model_validate(report)


@router.get("/alarms")
@allow(Role.READER)
def alarms(state: State, caller: CallerOf, region: RegionId) -> AlarmList:
    """List alarms, newest first, and every check of the champion."""
    exact = caller.lists_incidents
    with state.engine.connect() as connection:
        key = get_region(connection, region).key
        champion = served(connection, key)
        found = list_alarms(connection, key)
        looks = list_checks(connection, key, champion) if champion else []
        hidden = set() if exact else withheld_of(connection, key)
    return AlarmList(
        alarms=[
            AlarmReply.model_validate(alarm_json(alarm, exact=exact))
            for alarm in found
            if hidden.isdisjoint((alarm.version, alarm.details.get("to")))
        ],
        looks=[Look.model_validate(shown_look(vars(look), exact=exact)) for look in looks],
    )
