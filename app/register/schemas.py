"""Replies of `/v1/regions/{region}/register`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.http.schemas import Instant, Reply, Request

_HITS = {"champion": 6.0, "prior_counts": 5.0, "both": 4.0}
_SHARE = {"hits": 61.0, "share": 0.19, "lo": 0.15, "hi": 0.24}
_SHA256 = "f1c2ca11eacb4e367b601608631cf5c2ce1a7318befbb8df480cca166956c66d"


def _known_day(text: str) -> str:
    date.fromisoformat(text)
    return text


class NewRegisterEntry(Request):
    """Which day to file; without one the next."""

    day: Annotated[str, AfterValidator(_known_day)] | None = Field(
        default=None,
        description="the region's next local day",
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        examples=["2026-12-01"],
    )

    def date(self) -> date | None:
        """Return the day."""
        return None if self.day is None else date.fromisoformat(self.day)


class FiledScore(Reply):
    """A day's score at a fixed time after its end."""

    look_days: int = Field(description="days after the day's end", examples=[1])
    scored_at: Instant
    n: int = Field(description="incidents in the study area", examples=[32])
    expected: float = Field(examples=[30.4])
    covered: bool = Field(description="whether n lies within the bounds of 90 % that were filed")
    hours: int = Field(examples=[24])
    hours_covered: int = Field(examples=[22])
    hits: dict[str, dict[str, float]] = Field(
        description="{percent of the cells: incidents in each list, and in both}",
        examples=[{"5": _HITS}],
    )
    log_density: dict[str, float] = Field(
        description="sums of log densities per km2, nats",
        examples=[{"champion": 12.1, "prior_counts": 9.8}],
    )


class RegisterEntry(Reply):
    """A forecast of a local day, filed before it began."""

    id: int = Field(examples=[412])
    day: str = Field(examples=["2026-12-01"])
    start: str = Field(serialization_alias="from", examples=["2026-12-01T00:00:00-05:00"])
    end: str = Field(serialization_alias="to", examples=["2026-12-02T00:00:00-05:00"])
    filed_at: str = Field(examples=["2026-11-30T20:03:11-05:00"])
    model: str | None = Field(examples=["stack"])
    model_version: str | None = Field(
        description="null where the version is withheld from the caller",
        examples=["stack-20220101T050000Z-0c4cc6f7d471dba589"],
    )
    state: str | None = Field(examples=["17"])
    data_until: str | None = Field(examples=["2026-11-30T05:00:00+00:00"])
    expected: float | None = Field(description="incidents in the study area", examples=[30.4])
    expected_lo: float | None = Field(examples=[21.0])
    expected_hi: float | None = Field(examples=[41.0])
    n_cells: int = Field(examples=[2538])
    sha256: str = Field(description="SHA-256 of `header`, as in the audit log", examples=[_SHA256])
    header: str | None = Field(
        description="the text that `sha256` covers; it has the digests of `forecast` and `rival`",
        examples=[
            '{"day":"2026-12-01","expected":30.4,"filed_at":"2026-12-01T01:03:11.000000+00:00"}'
        ],
    )
    removed: list[str] = Field(
        description="parts that an erasure of incidents removed", examples=[["rival"]]
    )
    scores: list[FiledScore] = Field(description="only for callers who may list incidents")


class FiledHours(Reply):
    """Expected incidents of each hour with bounds of 90 %."""

    mean: list[float] = Field(examples=[[1.27]])
    lo: list[int] = Field(examples=[[0]])
    hi: list[int] = Field(examples=[[3]])


class FiledList(Reply):
    """The best cells of some hours of the day, the best first."""

    hours: str = Field(description="local clock, the end is not part", examples=["21-24"])
    cells: list[int] = Field(examples=[[5935, 5936]])


class RegisterEntryInFull(RegisterEntry):
    """An entry with what was filed."""

    list_lengths: dict[str, int] = Field(
        description="{percent of the cells: so many of a list's first cells}", examples=[{"5": 126}]
    )
    hours: FiledHours | None
    lists: list[FiledList] | None
    prior_counts_list: list[int] | None = Field(
        description="last year's list; only for callers who may list incidents",
        examples=[[5935, 5811]],
    )
    forecast: str | None = Field(
        description="the bytes whose SHA-256 `header` has, in base64", examples=["3q2+7w=="]
    )
    rival: str | None = Field(
        description="last year's counts likewise; only for callers who may list incidents",
        examples=["3q2+7w=="],
    )


class CaughtShare(Reply):
    """Incidents that lists caught, with the 95 % interval of their share."""

    hits: float = Field(examples=[61.0])
    share: float | None = Field(examples=[0.19])
    lo: float = Field(examples=[0.15])
    hi: float = Field(examples=[0.24])


class CaughtShares(Reply):
    """The forecast's lists beside last year's, of equally many cells."""

    champion: CaughtShare
    prior_counts: CaughtShare
    difference: dict[str, float] = Field(
        description="by how many incidents the forecast's caught more, with its 95 % interval",
        examples=[{"hits": 12, "lo": 2.1, "hi": 19.5}],
    )


class RegisterRecord(Reply):
    """All scored days in sum."""

    days: int = Field(examples=[42])
    days_covered: int = Field(
        description="days whose number lay within its bounds of 90 %", examples=[38]
    )
    n: int = Field(examples=[1302])
    expected: float = Field(examples=[1287.4])
    hours: int = Field(examples=[1008])
    hours_covered: int = Field(examples=[921])
    shares: dict[str, CaughtShares] = Field(
        description="{percent of the cells: what lists caught}",
        examples=[{"5": {"champion": _SHARE, "prior_counts": _SHARE, "difference": {"hits": 0}}}],
    )
    log_score: dict[str, float | None] = Field(
        description="mean log density per km2, nats",
        examples=[{"champion": 0.412, "prior_counts": 0.307}],
    )


class RegisterTotals(Reply):
    """The record by the last score of each day, and by the first."""

    last: RegisterRecord
    first: RegisterRecord


class RegisterPage(Reply):
    """Entries, the newest first, and the record."""

    filed: int = Field(description="entries in all", examples=[45])
    first_day: str | None = Field(examples=["2026-10-18"])
    last_day: str | None = Field(examples=["2026-12-01"])
    record: RegisterTotals = Field(
        description="for readers of whole weeks of at least 20 incidents, by first scores"
    )
    entries: list[RegisterEntry]
    next: str | None = Field(description="URL of the following page", examples=[None])


def page_json(page: Any, following: str | None) -> dict[str, Any]:
    """Return the members of a page."""
    days = (page.first_day, page.last_day)
    first, last = (None if day is None else day.isoformat() for day in days)
    return {
        "filed": page.filed,
        "first_day": first,
        "last_day": last,
        "record": page.totals,
        "entries": page.entries,
        "next": following,
    }
