"""The replies of `/v1/regions/{region}/data-report` and `/hour-of-week`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.http.schemas import Instant, MessageReply, Reply


class StoredIncidents(Reply):
    """What is stored."""

    n: int = Field(examples=[240990])
    first_at: Instant | None
    last_at: Instant | None
    categories: dict[str, int] = Field(examples=[{"Assault": 125431, "Robbery": 19980}])


class Month(Reply):
    """Incidents of a month."""

    month: str = Field(examples=["2014-01"])
    n: int = Field(examples=[2210])
    days: float = Field(examples=[31.0])


class LevelBreak(Reply):
    """A month from which on there are more or fewer incidents."""

    month: str = Field(examples=["2020-04"])
    before_per_day: float = Field(examples=[92.1])
    after_per_day: float = Field(examples=[72.8])


class LateReports(Reply):
    """Hours from an incident to its arrival."""

    n: int
    median_hours: float | None = Field(examples=[None])
    p90_hours: float | None = Field(examples=[None])
    p99_hours: float | None = Field(examples=[None])
    note: MessageReply | None = Field(examples=[None])


class Verdict(MessageReply):
    """Whether something can be forecast from the data."""

    answer: Literal["yes", "weakly", "no"] = Field(examples=["yes"])


class Verdicts(Reply):
    """What the report opens with."""

    hour: Verdict
    place: Verdict
    next_step: MessageReply


class TimePrecision(Reply):
    """What is known of the times of incidents; the shares add up to one."""

    n: int = Field(examples=[5210])
    exact_share: float = Field(description="known to the hour", examples=[0.62])
    interval_share: float = Field(description="intervals, dates alone aside", examples=[0.21])
    date_only_share: float = Field(description="intervals of one local day", examples=[0.08])
    placeholder_share: float = Field(
        description="instants at midnight or noon beyond what the hours around suggest: unknown times",
        examples=[0.09],
    )
    hour_information: float = Field(
        description="share of the information on the hour of the week that is left: the mean of one less "
        "the entropy of an even spread over the incident's hours, in units of ln 168; exact 1, a day 0.38, "
        "a week 0",
        examples=[0.81],
    )
    median_interval_hours: float | None = Field(examples=[9.5])
    p90_interval_hours: float | None = Field(examples=[24.0])
    over_day_share: float | None = Field(
        description="share of the intervals that are longer than a day", examples=[0.06]
    )


class KindTimePrecision(TimePrecision):
    """The same of one kind."""

    category: str | None = Field(
        description="null: the kinds of fewer than 100 incidents together", examples=["Burglary"]
    )


class TimePrecisions(Reply):
    """How precise times are, and the week with and without the spread of inexact ones."""

    all: TimePrecision
    kinds: list[KindTimePrecision]
    week_by_start: list[float] = Field(
        description="incidents by hour of the local week, intervals at their start",
        examples=[[9.0]],
    )
    week_spread: list[float] = Field(
        description="the same, intervals evenly over their hours, placeholders over their day",
        examples=[[8.2]],
    )


class DataReport(Reply):
    """How good the data are: counts of uploads, times, places, volume, and what stands out."""

    verdicts: Verdicts
    region: str = Field(examples=["toronto"])
    timezone: str = Field(examples=["America/Toronto"])
    upload: int | None = Field(examples=[None])
    generated_at: Instant
    uploads: dict[str, Any] = Field(
        description="sums of all uploads, their newest errors, and the newest uploads",
        examples=[{"n": 1, "received": 240992, "accepted": 240990, "rejected": 2}],
    )
    incidents: StoredIncidents
    repeated_incidents: int = Field(examples=[2353])
    times: dict[str, Any] = Field(
        description="resolution, by_hour, and clock times that stand out",
        examples=[{"resolution": "hour", "by_hour": [16186, 9739]}],
    )
    time_precision: TimePrecisions
    hour_of_week: list[int] = Field(examples=[[2239, 1206]])
    months: list[Month]
    breaks: list[LevelBreak]
    dated_early: dict[str, Any] = Field(
        examples=[{"n": 490, "before": "2014-01", "years": {"2013": 490}}]
    )
    places: dict[str, Any] = Field(
        description="distinct places, precision, and places where incidents pile up",
        examples=[{"distinct": 18783, "crs": "EPSG:32617", "fullest": []}],
    )
    kinds: dict[str, Any] = Field(
        description="renamed kinds, spellings of one kind, and which kinds models learn from",
        examples=[{"renamed": [], "spellings": [], "rules": []}],
    )
    twins: dict[str, Any] = Field(
        description="sampled incidents with a twin at the same time and place of another upload",
        examples=[{"sampled": 500, "n": 2, "many": False}],
    )
    late_reports: LateReports
    findings: list[MessageReply]


class HourOfWeek(Reply):
    """Incidents by hour of the local week, from Monday 00:00; 168 numbers each, which sum to all."""

    region: str = Field(examples=["toronto"])
    timezone: str = Field(examples=["America/Toronto"])
    n_incidents: int = Field(examples=[240990])
    hour_information: float = Field(
        description="share of the information on the hour of the week that is left", examples=[0.81]
    )
    exact: list[float] = Field(description="known to the hour", examples=[[9.0, 6.0]])
    interval: list[float] = Field(
        description="intervals and dates alone, spread evenly over their hours",
        examples=[[1.25, 1.1]],
    )
    placeholder: list[float] = Field(
        description="of unknown time of day, in the hour where they are recorded: midnight and noon",
        examples=[[14.2, 0.0]],
    )
