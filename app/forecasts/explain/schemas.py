"""The reply of `/v1/regions/{region}/forecasts/explain`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.forecasts.schemas import Heading
from app.http.schemas import Instant, MessageReply, Reply

PartName = Literal[
    "long_run",
    "drift",
    "recent",
    "near_repeats",
    "category",
    "state",
    "own_hours",
    "city_hours",
]


class Part(Reply):
    """One factor between an average place at an average hour and this one."""

    part: PartName = Field(
        description="long_run: the place all year; drift: recent months against it; recent: the weeks "
        "before the training; near_repeats: incidents that follow incidents near them; category: these "
        "kinds against all incidents; state: what has arrived since the training; own_hours: the hours "
        "asked for, beyond the city's; city_hours: these hours in the whole city"
    )
    log_ratio: float = Field(examples=[1.386294])
    times: float = Field(description="exp(log_ratio)", examples=[4.0])


class Month(Reply):
    """The incidents of one local month."""

    month: str = Field(examples=["2021-12"])
    n: int = Field(examples=[11])


class Near(Reply):
    """Incidents at and near the place in the last days of the data."""

    n: int = Field(examples=[6])
    within_m: int = Field(description="of the nearest cell's square", examples=[200])
    days: int = Field(examples=[21])


class PlaceIncidents(Reply):
    """The place's incidents of the last 24 months of the data, of the kinds that the forecast is of."""

    start: Instant = Field(alias="from")
    to: Instant = Field(description="end of the data that the forecast knows")
    n: int = Field(examples=[143])
    months: list[Month]
    near: Near
    message: MessageReply


class PlaceKind(Reply):
    """What a place is, by exact tests, with the cells around it and beside the whole city."""

    kind: Literal["lasting", "new", "fading", "occasional"] | None = Field(
        description="null: not shown; see reason"
    )
    change: Literal["up", "down"] | None = Field(
        description="of the last 91 days against the 365 before, where it is more than chance"
    )
    reason: MessageReply
    p_rise: float | None = Field(
        default=None, description="p values, corrected (Holm) for all tests of this reply's places"
    )
    p_fall: float | None = None
    p_excess: float | None = None
    recent: int | None = Field(
        default=None, description="incidents of the 91 days, cells around too"
    )
    before: int | None = Field(default=None, description="and of the 365 days before them")


class CellKind(PlaceKind):
    """The same of one cell."""

    cell: int = Field(examples=[5935])


class ExplainReply(Heading):
    """Why a place's forecast is what it is; the logarithms of the parts sum to `log_ratio`."""

    cells: list[int] = Field(examples=[[5935]])
    area_km2: float = Field(examples=[0.0625])
    expected_count: float = Field(examples=[0.026367878])
    expected_count_lo: float = Field(examples=[0.0])
    expected_count_hi: float = Field(examples=[0.0])
    average_count: float = Field(
        description="of an average place of the same area, in as many average hours of the week",
        examples=[0.00029],
    )
    log_ratio: float = Field(
        description="natural logarithm of expected_count / average_count", examples=[4.4999]
    )
    times: float = Field(examples=[90.0])
    parts: list[Part]
    unsplit: MessageReply | None = Field(
        description="why the long run stands for drift, recent weeks and near repeats too"
    )
    reasons: list[MessageReply] = Field(description="the parts of at least 5 %, in words")
    sentence: str = Field(examples=["28.0 times the city's average all year; 12 % more ..."])
    incidents: PlaceIncidents | None = Field(description="for those who may list incidents")
    kind: PlaceKind
    kinds: list[CellKind] | None = Field(description="of each cell, where there are several")
