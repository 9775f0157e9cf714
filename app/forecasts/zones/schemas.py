"""The body and the replies of `/v1/regions/{region}/forecasts/zones`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from app.forecasts.schemas import GEOMETRY_EXAMPLE, Heading
from app.forecasts.zones.selection import MAX_AVOIDED, MAX_CELLS, MAX_ZONES, ZoneOptions
from app.http.parameters import ShortText
from app.http.schemas import Feature, FeatureCollection, Instant, Reply, Request, one_feature

CellId = Annotated[int, Field(ge=0, lt=2**63)] | ShortText
ZoneCells = Annotated[
    list[Annotated[list[CellId], Field(min_length=1, max_length=MAX_CELLS)]],
    Field(min_length=1, max_length=MAX_ZONES),
]
_ZONE: dict[str, Any] = {
    "rank": 1,
    "place": "Yonge Street / Gerrard Street",
    "neighbourhood": "Downtown Yonge East",
    "longitude": -79.38009,
    "latitude": 43.655401,
    "n_cells": 4,
    "area_km2": 0.25,
    "compactness": 1.0,
    "share_of_incidents": 0.017,
    "probability": 0.017,
    "expected_count": 0.0751,
    "expected_count_lo": 0,
    "expected_count_hi": 1,
    "hours": [0.0751],
    "cells": [5763, 5764, 5935, 5936],
}


class ZonesRequest(Request):
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


class ZonePrice(Reply):
    """What given zones lose against the best plan of the number and area asked for, or of theirs if more."""

    share_of_incidents_best: float = Field(examples=[0.0191])
    share_lost: float = Field(
        description="of what the best plan catches; below 0 where given zones are less compact than it may "
        "be and catch more",
        examples=[0.11],
    )
    expected_count_best: float = Field(examples=[0.0844])
    n: int = Field(examples=[5])
    max_km2: float = Field(examples=[0.25])
    best: list[list[int | str]] = Field(description="cells of its zones", examples=[[[5763]]])


class Caught(Reply):
    """What a plan caught; the interval is Wilson's of 95 %."""

    hits: float = Field(
        description="incidents of unknown time count by the share of their hours", examples=[58]
    )
    share: float | None = Field(examples=[0.0371])
    lo: float | None = Field(examples=[0.0288])
    hi: float | None = Field(examples=[0.0476])


class PlanRecord(Reply):
    """What plans of this number and area caught in these hours after each origin of the latest backtest."""

    backtest: UUID = Field(examples=["539610f0-9967-4cbd-8cd2-8f33ab84e18e"])
    model: str = Field(examples=["stack"])
    hours: list[int] = Field(description="of the local day", examples=[[22, 23, 0, 1, 2, 3, 4, 5]])
    origins: int = Field(examples=[13])
    first: Instant = Field(description="the first origin")
    days: int = Field(description="after each origin", examples=[28])
    incidents: int = Field(description="in the region in these hours", examples=[1562])
    n: int = Field(examples=[5])
    max_km2: float = Field(examples=[0.25])
    zones: Caught
    last_year: Caught = Field(
        description="zones of the counts of the year before each origin, all hours"
    )
    last_year_hours: Caught = Field(
        description="zones of the counts of the year before each origin, these hours"
    )
    free_cells: Caught = Field(description="single cells of the model, of the zones' area")


class FormerZone(Reply):
    """A zone of the plan before, beside the zone that the best plan has for it."""

    status: Literal["kept", "moved"] = Field(examples=["kept"])
    gain: float | None = Field(
        default=None, description="expected count there over that here", examples=[1.02]
    )
    gain_lo: float | None = Field(
        default=None, description="90 % interval; above 1 the zone moves", examples=[0.91]
    )
    gain_hi: float | None = Field(default=None, examples=[1.15])


class FormerPlan(Reply):
    """What became of the zones of the plan before, in their order."""

    moved: int = Field(examples=[1])
    zones: list[FormerZone]


class ZonesReply(Heading, FeatureCollection):
    """Zones to send cars to, best first, with what they catch beside free cells of the same area."""

    features: list[Feature] = Field(
        description="`hours` of each: its expected count by hour, as in the reply's `hours`",
        examples=[one_feature(GEOMETRY_EXAMPLE, **_ZONE)],
    )
    hours: list[Instant] = Field(
        description="local start of each hour", examples=[["2022-01-07T23:00:00-05:00"]]
    )
    expected_by_hour: list[float] = Field(description="of the whole region", examples=[[4.417258]])
    avoid: list[int | str] = Field(examples=[[]])
    n: int = Field(description="zones asked for at most", examples=[5])
    max_km2: float = Field(description="the budget of all zones together", examples=[0.25])
    compactness: float = Field(description="asked of every zone at least", examples=[0.8])
    min_separation_m: float | None = Field(examples=[None])
    within: str | None = Field(
        default=None,
        description="layer of which each zone stays in one area; zones then have `area`",
    )
    n_zones: int = Field(examples=[1])
    n_cells: int = Field(examples=[4])
    area_km2: float = Field(examples=[0.25])
    share_of_area: float = Field(examples=[0.000339])
    share_of_incidents_expected: float = Field(examples=[0.017])
    share_of_incidents_free: float = Field(
        description="share that the best cells of the zones' area have, wherever they lie",
        examples=[0.0191],
    )
    share_of_free_cells: float | None = Field(
        description="what the zones catch, divided by what these cells catch: the price of zones",
        examples=[0.89],
    )
    share_of_bound: float | None = Field(
        description="what the zones catch, divided by what no zones of the budget can exceed",
        examples=[0.89],
    )
    expected_count: float = Field(examples=[0.0751])
    expected_count_lo: int = Field(examples=[0])
    expected_count_hi: int = Field(examples=[1])
    share_of_harm_expected: float | None = Field(default=None, description="with weight=harm")
    expected_harm: float | None = Field(default=None, description="with weight=harm")
    price: ZonePrice | None = Field(default=None, description="of zones that were given")
    record: PlanRecord | None = Field(
        default=None,
        description="with record=true, for those who may list incidents: what such plans caught before",
    )
    record_reason: str | None = Field(
        default=None,
        description="why there is no record: no_backtest, other_cells, some_categories, not_released",
        examples=[None],
    )
    previous: FormerPlan | None = Field(
        default=None,
        description="with a plan before; its zones stay or move, each zone has `status`",
    )
