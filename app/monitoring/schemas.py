"""Requests and replies of schedules, live scores, alarms and health."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from app.http.schemas import Instant, Reply, Request, Version


class NewSchedule(Request):
    """When to train; any of the conditions that are given starts a training."""

    model: Annotated[str, Field(max_length=64, examples=["maf"])] = "stack"
    cron: Annotated[
        str | None,
        Field(
            max_length=200,
            description="Five fields, in the region's time zone",
            examples=["15 3 * * MON"],
        ),
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


class Tick(Reply):
    """A training that a schedule started, or tried to."""

    at: Instant
    cause: str = Field(examples=["cron"])
    status: str = Field(examples=["queued"])
    training_run: str | None


class Schedule(Reply):
    """A region's schedule with its next tick by the clock."""

    region: str = Field(examples=["bogota"])
    model: str = Field(examples=["maf"])
    cron: str | None = Field(examples=["15 3 * * MON"])
    timezone: str = Field(examples=["America/Bogota"])
    new_incidents: int | None = Field(examples=[1000])
    new_share: float | None = Field(examples=[0.1])
    on_drift: bool = Field(examples=[True])
    failure: str | None = Field(description="why the last tick failed")
    next_at: Instant | None = Field(examples=["2026-11-30T08:15:00+00:00"])
    last_ticks: list[Tick]


class Difference(Reply):
    """A mean difference of log scores with its interval."""

    mean: float = Field(examples=[0.012])
    lo: float | None
    hi: float | None
    n: int = Field(examples=[412])
    days: int = Field(examples=[14])


class LiveSummary(Reply):
    """Scores of some days together."""

    n: int = Field(examples=[412])
    days: int = Field(examples=[7])
    log_score: float | None = Field(examples=[-1.873])
    expected_log_score: float | None = Field(examples=[-1.869])
    difference_to_champion: Difference | None
    states_minus_frozen: Difference | None = Field(
        default=None,
        description="what the states that served were worth over the version as trained; only for callers "
        "who may list incidents",
    )


class WorthByLead(Difference):
    """The same, of days that lay so far ahead of the states' data."""

    lead_days: list[int] = Field(examples=[[0, 1]])


class LiveWeek(LiveSummary):
    """Scores of a week, or of a released period."""

    start: str = Field(alias="from", examples=["2022-01-03"])
    end: str = Field(default="", alias="to", examples=["2022-01-10"])


class LiveScores(LiveSummary):
    """How a version does on incidents that arrived after it, in all and by week."""

    version: Version
    champion: Version | None
    trained_until: Instant
    states_by_lead: list[WorthByLead] = Field(default=[])
    weeks: list[LiveWeek]


class AlarmReply(Reply):
    """An alarm about a version."""

    version: Version
    kind: str = Field(examples=["volume"])
    code: str = Field(examples=["volume_alarm_redacted"])
    params: dict[str, Any] = Field(examples=[{}])
    message: str = Field(examples=["the number of incidents differs from the expected one"])
    details: dict[str, Any] = Field(examples=[{"days": 7}])
    raised_at: Instant
    cleared_at: Instant | None


class Look(Reply):
    """One check of the champion."""

    kind: str = Field(examples=["volume"])
    days: int = Field(examples=[7])
    p_value: float | None = Field(examples=[0.41])
    alarming: bool
    details: dict[str, Any]


class AlarmList(Reply):
    """Alarms, the newest first, and all checks of the champion."""

    alarms: list[AlarmReply]
    looks: list[Look]


class Status(Reply):
    """Health of the process."""

    status: str = Field(examples=["ok"])
