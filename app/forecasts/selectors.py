"""What requests ask for: query parameters of all forecasts, bodies, and the service as a dependency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.core.zones import EARLIEST, LATEST
from app.forecasts.plan import Selector
from app.forecasts.scores import MAX_SCORED, PlacedIncident
from app.forecasts.service import ForecastService
from app.forecasts.zones.selection import MAX_AVOIDED, MAX_CELLS, MAX_ZONES, ZoneOptions
from app.http import schemas
from app.http.parameters import (
    MAX_KINDS,
    TIME_PATTERN,
    Bbox,
    BboxText,
    CategoryNames,
    Moment,
    ShortText,
    moment,
    parse_bbox,
)
from app.http.schemas import one_feature
from app.regions.shifts import ShiftName
from app.states.store import STATE_PATTERN

LINE_EXAMPLE = {"type": "LineString", "coordinates": [[-79.3807, 43.6487], [-79.3778, 43.6493]]}
EXAMPLE_AT: Any = {"a Saturday at eleven in the evening": {"value": "2026-01-10T23:00"}}
Kind = Literal["square", "h3"]
Which = tuple[tuple[str, ...] | None, str | None, datetime | None, str | None]
"""Categories, model, `as_of` and state."""
CellId = Annotated[int, Field(ge=0, lt=2**63)] | ShortText
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


class AreasRequest(schemas.Request):
    """Areas to sum up, and which forecast."""

    model_config = ConfigDict(populate_by_name=True)

    areas: Annotated[
        dict[str, Any],
        Field(
            description="GeoJSON FeatureCollection of polygons, lines or points, WGS 84",
            examples=[
                {
                    "type": "FeatureCollection",
                    "features": one_feature(LINE_EXAMPLE, name="King Street"),
                }
            ],
        ),
    ]
    buffer_m: Annotated[
        float, Field(gt=0, le=5000, allow_inf_nan=False, description="of lines and points")
    ] = 50.0
    at: Annotated[Moment | None, Field(examples=["2026-01-10T23:00"])] = None
    window: Annotated[int | None, Field(ge=0, le=167)] = None
    start: Annotated[Moment | None, Field(alias="from")] = None
    end: Annotated[Moment | None, Field(alias="to")] = None
    category: Annotated[
        ShortText | Annotated[list[ShortText], Field(min_length=1, max_length=MAX_KINDS)] | None,
        Field(description="a category, an alias of one, or a group; or a list to sum up"),
    ] = None
    model: Annotated[str | None, Field(max_length=200)] = None
    as_of: Moment | None = None
    state: Annotated[str | None, Field(max_length=20, pattern=STATE_PATTERN)] = None

    def selector(self) -> Selector:
        """Select the forecast."""
        given = self.model_dump(exclude={"areas", "buffer_m"})
        if isinstance(self.category, list):
            given["category"] = tuple(self.category)
        return Selector(**given)

    def features(self) -> list[Any]:
        """List the GeoJSON features; empty where there are none."""
        if self.areas.get("type") == "Feature":
            return [self.areas]
        found = self.areas.get("features")
        return found if isinstance(found, list) else []


ZoneCells = Annotated[
    list[Annotated[list[CellId], Field(min_length=1, max_length=MAX_CELLS)]],
    Field(min_length=1, max_length=MAX_ZONES),
]


class ZonesRequest(schemas.Request):
    """Zones as lists of cells: a plan edited by hand, or the plan before; and where no zone may lie."""

    zones: Annotated[
        ZoneCells | None,
        Field(description="priced as they are", examples=[[[5763, 5764], [5935]]]),
    ] = None
    previous: Annotated[
        ZoneCells | None,
        Field(
            description="the plan before: its zones stay unless moving gains beyond chance",
            examples=[None],
        ),
    ] = None
    avoid: Annotated[
        list[CellId] | None,
        Field(
            max_length=MAX_AVOIDED,
            description="beside those of the query: ids of cells, areas of layers",
            examples=[[5762]],
        ),
    ] = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.zones is not None and self.previous is not None:
            raise ValueError("give zones or previous, not both")
        return self

    def applied(self, options: ZoneOptions) -> ZoneOptions:
        """Return the options of the query with what the body adds."""

        def tuples(zones: list[list[int | str]] | None) -> tuple[tuple[int | str, ...], ...] | None:
            return None if zones is None else tuple(tuple(zone) for zone in zones)

        return replace(
            options,
            avoid=(*options.avoid, *(self.avoid or ())),
            zones=tuples(self.zones),
            previous=tuples(self.previous),
        )


class ScoredIncident(BaseModel):
    """One incident to score."""

    model_config = ConfigDict(extra="ignore", strict=True)

    occurred_at: Annotated[Moment | None, Field(examples=["2021-12-31T23:10:00-05:00"])] = None
    occurred_from: Moment | None = None
    occurred_to: Annotated[
        Moment | None, Field(description="End of an interval; not part of it.")
    ] = None
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False, examples=[-79.38])]
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False, examples=[43.65])]
    category: Annotated[str | None, Field(max_length=200)] = None

    @model_validator(mode="after")
    def _has_one_time(self) -> Self:
        is_interval = self.occurred_from is not None and self.occurred_to is not None
        partial = (self.occurred_from is None) != (self.occurred_to is None)
        if partial or is_interval == (self.occurred_at is not None):
            raise ValueError("give occurred_at, or both occurred_from and occurred_to")
        return self

    def placed(self) -> PlacedIncident:
        """Return the incident as the service takes it."""
        starts = (moment for moment in (self.occurred_at, self.occurred_from) if moment is not None)
        return PlacedIncident(
            next(starts), self.longitude, self.latitude, self.category, self.occurred_to
        )


class ScoreRequest(schemas.Request):
    """Incidents to score by a model; `as_of` takes one that knew only what came before."""

    # The first fault ends it: those of a hundred thousand incidents would take gigabytes.
    incidents: Annotated[
        list[ScoredIncident], FailFast(), Field(min_length=1, max_length=MAX_SCORED)
    ]
    model: Annotated[str | None, Field(max_length=200)] = None
    as_of: Moment | None = None


async def _forecasts(request: Request) -> ForecastService:
    service: ForecastService = request.app.state.forecasts
    return service


Forecasts = Annotated[ForecastService, Depends(_forecasts)]
"""The process's forecast service."""
