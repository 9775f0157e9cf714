"""What requests ask for: query parameters of all forecasts, and the service as a dependency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.core.zones import EARLIEST, LATEST
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.http.parameters import TIME_PATTERN, Bbox, BboxText, CategoryNames, moment, parse_bbox
from app.regions.shifts import ShiftName
from app.states.store import STATE_PATTERN

EXAMPLE_AT: Any = {"a Saturday at eleven in the evening": {"value": "2026-01-10T23:00"}}
Kind = Literal["square", "h3"]
Which = tuple[tuple[str, ...] | None, str | None, datetime | None, str | None]
"""Categories, model, `as_of` and state."""
_TIME: Any = {"pattern": TIME_PATTERN}
_DATE: Any = {"pattern": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"}


@dataclass(frozen=True)
class Times:
    """The time that a request names, in one of four ways."""

    at: datetime | None
    window: int | None
    start: datetime | None
    end: datetime | None
    shift: ShiftName | None
    day: date | None


async def _when(
    at: Annotated[
        str | None,
        Query(
            max_length=64,
            description="RFC 3339; without an offset it is the region's local time",
            json_schema_extra=_TIME,
            openapi_examples=EXAMPLE_AT,
        ),
    ] = None,
    window: Annotated[
        int | None, Query(ge=0, le=167, description="hour of the week; its next slot is taken")
    ] = None,
    start: Annotated[
        str | None,
        Query(
            alias="from",
            max_length=64,
            description="start of a range of up to a week",
            json_schema_extra=_TIME,
        ),
    ] = None,
    end: Annotated[
        str | None,
        Query(alias="to", max_length=64, description="its end", json_schema_extra=_TIME),
    ] = None,
    shift: Annotated[
        ShiftName | None, Query(description="one of the region's shifts instead, all its hours")
    ] = None,
    day: Annotated[
        str | None,
        Query(
            alias="date",
            max_length=10,
            description="local day on which the shift starts; without it the next that has not ended",
            json_schema_extra=_DATE,
        ),
    ] = None,
) -> Times:
    moments = moment(at, "at"), window, moment(start, "from"), moment(end, "to")
    return Times(*moments, shift, None if day is None else parsed_day(day))


def parsed_day(text: str) -> date:
    """Read a date.

    Raises:
        InvalidInput: it is none, or far from any incident.
    """
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"date must be like 2026-01-10, got {shortened(text)}", field="date"
        ) from error
    if not EARLIEST.date() < found < LATEST.date():
        raise InvalidInput(f"date must lie within {EARLIEST.year} and {LATEST.year}", field="date")
    return found


async def _cells(
    cell_size_m: Annotated[
        float | None, Query(allow_inf_nan=False, description="side of a square, 100 to 5000 m")
    ] = None,
    grid: Annotated[Kind, Query()] = "square",
    resolution: Annotated[
        int | None, Query(ge=0, le=15, description="of H3 cells, 4 to 10; default 9")
    ] = None,
    bbox: BboxText = None,
) -> tuple[float | None, Kind, int | None, Bbox | None]:
    return cell_size_m, grid, resolution, parse_bbox(bbox)


async def _version(
    category: CategoryNames = None,
    model: Annotated[
        str | None, Query(max_length=200, description="a model's name or a version")
    ] = None,
    as_of: Annotated[
        str | None,
        Query(
            max_length=64,
            description="take a version whose data ended by then: honest forecasts of the past",
            json_schema_extra=_TIME,
        ),
    ] = None,
    state: Annotated[
        str | None,
        Query(
            max_length=20,
            pattern=STATE_PATTERN,
            description="frozen: the version as trained; or a state by its number",
        ),
    ] = None,
) -> Which:
    return tuple(category) if category else None, model, moment(as_of, "as_of"), state


TimeSelection = Annotated[Times, Depends(_when)]
CellSelection = Annotated[tuple[float | None, Kind, int | None, Bbox | None], Depends(_cells)]
VersionSelection = Annotated[Which, Depends(_version)]


async def _selector(when: TimeSelection, cut: CellSelection, which: VersionSelection) -> Selector:
    cell_size_m, grid, resolution, bbox = cut
    category, model, as_of, state = which
    return Selector(
        **vars(when),
        category=category,
        model=model,
        cell_size_m=cell_size_m,
        as_of=as_of,
        grid=grid,
        resolution=resolution,
        bbox=bbox,
        state=state,
    )


async def _plain_selector(
    when: TimeSelection,
    which: VersionSelection,
    bbox: BboxText = None,
) -> Selector:
    category, model, as_of, state = which
    box = parse_bbox(bbox)
    return Selector(
        **vars(when), category=category, model=model, as_of=as_of, bbox=box, state=state
    )


Selected = Annotated[Selector, Depends(_selector)]
"""All selectors, including kind and size of the cells."""
PlainSelected = Annotated[Selector, Depends(_plain_selector)]
"""Selectors of calls that always use the model's own cells."""


async def _forecasts(request: Request) -> ForecastService:
    service: ForecastService = request.app.state.forecasts
    return service


Forecasts = Annotated[ForecastService, Depends(_forecasts)]
"""The process's forecast service."""
