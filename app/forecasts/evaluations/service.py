"""Places of one's own, judged on past periods beside the forecasts' and last year's best cells.

Whoever may choose places and periods freely can single out incidents by subtraction, so this is for
callers who may list incidents anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from app.audit import store as audit
from app.core.errors import InvalidInput, LimitExceeded
from app.core.messages import Message, MessageTable
from app.forecasts.evaluations.lists import (
    CHAMPION,
    JudgedList,
    KnownIncidents,
    ListJudge,
    shown_lists,
)
from app.forecasts.evaluations.places import places_of
from app.forecasts.outcomes import names_judged
from app.forecasts.plan import Selector
from app.forecasts.presence import hours_in_places
from app.forecasts.service import ForecastService
from app.forecasts.time_span import range_of
from app.forecasts.versions.loaded import LoadedVersion
from app.incidents.column_store import read_columns
from app.regions.store import get_region
from app.registry.history import last_incident_at
from models.densities.prior_counts import PRIOR_DAYS
from models.units import DAY_S

MAX_PERIODS = 24
MAX_PERIOD_DAYS = 92
MAX_SPAN_DAYS = 731
"""From the start of the first period to the end of the last."""
MISSING_S, MISSING_SPACINGS = 30 * DAY_S, 10
"""A year is not whole if it begins with so long without an incident, so many times their mean distance."""
EVALUATION_NOTES = MessageTable(
    {
        "no_version_before": "no stored version of {model} knows only what came before {start}; to compare "
        "with it, train one with until={start}",
        "period_beyond_data": "the data end at {last}, before the end of the period",
        "less_than_a_year_before": "the incidents begin on {first}: prior-counts has less than a year",
        "smaller_than_a_cell": "the places are smaller than a cell, {cell_km2} km2: lists have one cell",
    }
)


@dataclass(frozen=True)
class Question:
    """What to judge, and on what; see `EvaluationRequest`."""

    periods: tuple[tuple[datetime, datetime], ...]
    features: Sequence[Mapping[str, Any]] | None = None
    cells: Sequence[int] = ()
    categories: tuple[str, ...] = ()
    model: str | None = None


def evaluate(service: ForecastService, region_id: str, question: Question) -> dict[str, Any]:
    """Judge places on past periods, and record it in the audit log.

    Champion's cells are those of a version whose data ended before the period, in its state at that time;
    where there is none, there is no such list.

    Raises:
        NotFound: the region or a category does not exist.
        NotReady: the region has no version yet.
        InvalidInput: places or periods are wrong.
        LimitExceeded: there are too many of them.
    """
    version = service.versions.read(region_id)
    periods = _checked_periods(question, version.region.timezone)
    places = places_of(version, question.features, question.cells)
    selector = Selector(
        category=question.categories or None, start=periods[0][0], end=periods[0][1]
    )
    service.kinds.read_all(version)
    service.plan_of(version, selector, int(periods[0][0].timestamp()), 1)  # has the categories
    known, last = _read(service, version, question, periods)
    judge = ListJudge(service, (question.model, question.categories), known, places)
    judged = [(start, end, judge.lists(start, end)) for start, end in periods]
    share = places.share_of_cells(version)
    cell_km2 = float(version.grid.area_km2.max())
    notes = []
    if places.area_km2 < cell_km2 * (1 - 1e-9):
        notes.append(EVALUATION_NOTES.make("smaller_than_a_cell", cell_km2=round(cell_km2, 4)))
    return {
        "region": region_id,
        "model": question.model or version.record.model,
        "category": ",".join(question.categories) or None,
        "cell_size_m": version.grid.cell_size_m,
        "area_km2": places.area_km2,
        "total_km2": float(version.grid.area_km2.sum()),
        "periods": [
            {
                "from": start.astimezone(UTC).isoformat(),
                "to": end.astimezone(UTC).isoformat(),
                **shown_lists([lists]),
                "presence": hours_in_places(service, version, share, start, end),
                "notes": [
                    note.to_json() for note in _notes(question, known, lists, start, end, last)
                ],
            }
            for start, end, lists in judged
        ],
        "total": shown_lists([lists for _, _, lists in judged]),
        "notes": [note.to_json() for note in notes],
    }


def _notes(
    question: Question,
    known: KnownIncidents,
    lists: Mapping[str, JudgedList],
    start: datetime,
    end: datetime,
    last: datetime | None,
) -> list[Message]:
    version, zone, notes = known.version, ZoneInfo(known.version.region.timezone), []

    def day(moment: datetime) -> str:
        return moment.astimezone(zone).date().isoformat()

    if CHAMPION not in lists:
        model = question.model or version.record.model
        note = EVALUATION_NOTES.make("no_version_before", model=model, start=day(start))
        notes.append(note)
    if last is not None and last < end - timedelta(days=1):
        notes.append(EVALUATION_NOTES.make("period_beyond_data", last=day(last)))
    before = known.time_s[known.year_before(int(start.timestamp()))]
    usual_s = PRIOR_DAYS * DAY_S / max(len(before), 1)
    begin_s = int(start.timestamp()) - PRIOR_DAYS * DAY_S
    first_s = int(before[0]) if len(before) else int(start.timestamp())
    if first_s - begin_s > max(MISSING_S, MISSING_SPACINGS * usual_s):
        first = datetime.fromtimestamp(first_s, UTC)
        notes.append(EVALUATION_NOTES.make("less_than_a_year_before", first=day(first)))
    return notes


def _checked_periods(question: Question, timezone: str) -> list[tuple[datetime, datetime]]:
    """Return the periods, aware and in order.

    Raises:
        InvalidInput: there is none, one is not of the past, or two overlap.
        LimitExceeded: there are too many, or they are too long.
    """
    if not question.periods:
        raise InvalidInput("give from and to, or periods", field="periods")
    if len(question.periods) > MAX_PERIODS:
        raise _too_much(f"{len(question.periods)} periods", len(question.periods), MAX_PERIODS)
    periods = sorted(range_of(Selector(start=a, end=b), timezone) for a, b in question.periods)
    for start, end in periods:
        days = (end - start) / timedelta(days=1)
        if end > datetime.now(UTC):
            raise InvalidInput(
                f"a period must be over, but it ends at {end.isoformat()}", field="periods"
            )
        if days > MAX_PERIOD_DAYS + 1 / 24:
            raise _too_much(f"a period of {days:g} days", days, MAX_PERIOD_DAYS)
    for (_, end), (start, _) in pairwise(periods):
        if start < end:
            raise InvalidInput(f"two periods overlap at {start.isoformat()}", field="periods")
    span = (periods[-1][1] - periods[0][0]) / timedelta(days=1)
    if span > MAX_SPAN_DAYS:
        raise _too_much(f"{span:g} days from the first period to the last", span, MAX_SPAN_DAYS)
    return periods


def _too_much(what: str, asked: float, limit: float) -> LimitExceeded:
    return LimitExceeded(
        f"{what}, the limit is {limit:g}; ask in parts", field="periods", limit=limit, asked=asked
    )


def _read(
    service: ForecastService,
    version: LoadedVersion,
    question: Question,
    periods: Sequence[tuple[datetime, datetime]],
) -> tuple[KnownIncidents, datetime | None]:
    """Return the incidents of the periods and of the year before each, and when the region's last was."""
    since = periods[0][0] - timedelta(days=PRIOR_DAYS)
    with service.engine.begin() as connection:
        region = get_region(connection, version.region.id)
        wanted = names_judged(connection, region, version, question.categories)
        columns = read_columns(connection, region, since, periods[-1][1], wanted)
        last = last_incident_at(connection, region.key)
        # Numbers alone: entries cannot be erased, and places and periods may single out an incident.
        audit.record(
            connection,
            "evaluate",
            chain=region.id,
            areas=len(question.features or ()),
            cells=len(question.cells),
            periods=len(periods),
        )
    rows = version.grid.locate(columns.x_m, columns.y_m)
    keep = rows >= 0
    known = KnownIncidents(
        version,
        columns.x_m[keep],
        columns.y_m[keep],
        columns.time_s[keep],
        columns.end_s[keep],
        rows[keep],
    )
    return known, last
