"""The reply of `/v1/regions/{region}/data-report`."""

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
