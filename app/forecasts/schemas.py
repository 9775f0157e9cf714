"""Bodies and replies of `/v1/regions/{region}/forecasts` and `/tiles`.

Replies that are whole grids are serialised by hand, for speed; their models describe them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from app.forecasts.scores import MAX_SCORED, PlacedIncident
from app.http.parameters import Moment
from app.http.schemas import (
    Feature,
    FeatureCollection,
    Instant,
    MessageReply,
    Names,
    Reply,
    Request,
    Responses,
    Version,
    offered,
    one_feature,
)

_RING = [[-79.382, 43.654], [-79.379, 43.654], [-79.379, 43.657], [-79.382, 43.654]]
GEOMETRY_EXAMPLE = {"type": "Polygon", "coordinates": [_RING]}
_CELL: dict[str, Any] = {
    "id": 5935,
    "probability": 0.005969286,
    "density_per_km2": 0.095508575,
    "expected_count": 0.026367878,
    "expected_count_lo": 0,
    "expected_count_hi": 0,
}


class Provenance(Reply):
    """Where a forecast comes from."""

    region: str = Field(examples=["toronto"])
    model: str = Field(examples=["stack"])
    model_version: Version
    trained_until: Instant = Field(description="the version learnt from nothing later")
    state: str = Field(
        description="the state of the version: a number, or frozen as trained", examples=["7"]
    )
    data_until: Instant = Field(description="end of the data that version and state know")
    generated_at: Instant
    warnings: list[MessageReply] = Field(description="few data, old model, drift and so on")


class Heading(Provenance):
    """Which slot or range a forecast is of, and its total."""

    assimilated_incidents: int = Field(
        description="incidents since the training that the state stands on", examples=[412]
    )
    lead_hours: float = Field(
        description="from data_until to the (first) slot; negative for the past", examples=[39.0]
    )
    window: int | None = Field(
        ge=0, le=167, description="hour of the week; null for a range", examples=[119]
    )
    at: Instant = Field(
        description="start of the (first) hour, the region's local time",
        examples=["2022-01-07T23:00:00-05:00"],
    )
    shift: str | None = Field(
        default=None, description="the region's shift that was asked for", examples=["night"]
    )
    category: str | None = Field(examples=[None])
    categories: Names | None = Field(
        default=None, description="categories summed up, where some were asked for"
    )
    expected_total: float = Field(examples=[4.417258])
    expected_total_lo: float = Field(examples=[2.0])
    expected_total_hi: float = Field(examples=[8.0])
    inside: dict[str, str] | None = Field(
        default=None,
        description="layer and area that the cells are confined to; then also inside_share, "
        "inside_expected, inside_expected_lo and inside_expected_hi",
    )


class Cells(Reply):
    """Arrays of equal length, one entry for each cell; ids ascend."""

    id: list[int | str] = Field(examples=[[31, 32]])
    longitude: list[float] = Field(examples=[[-79.555483, -79.552387]])
    latitude: list[float] = Field(examples=[[43.581218, 43.581179]])
    probability: list[float] = Field(examples=[[2.8232561e-08, 1.6954502e-07]])
    density_per_km2: list[float] = Field(examples=[[4.4024459e-06, 4.4226644e-06]])
    expected_count: list[float] = Field(examples=[[1.2471051e-07, 7.4892413e-07]])
    expected_count_lo: list[int] = Field(examples=[[0, 0]])
    expected_count_hi: list[int] = Field(examples=[[0, 0]])
    band_lo: list[float] | None = Field(
        default=None,
        description="with band_hi: 90 % band of expected_count itself, without the chance of single "
        "incidents, calibrated on parts of the week of past periods; on other cells and for several hours as "
        "if all were off together; only for all categories together, of models that know it (maf, stack)",
        examples=[[6.1e-08, 3.9e-07]],
    )
    band_hi: list[float] | None = Field(default=None, examples=[[2.5e-07, 1.4e-06]])


class DensityReply(Heading):
    """Every cell of the study area, or those that touch `bbox`."""

    crs: str = Field(examples=["EPSG:32617"])
    grid: dict[str, Any] = Field(
        description="x0_m, y0_m, nx, ny; or type and resolution of H3",
        examples=[{"x0_m": 608750.0, "y0_m": 4826250.0, "nx": 172, "ny": 126}],
    )
    cells: Cells


class DensityFeatures(Heading, FeatureCollection):
    """The cells' polygons."""

    features: list[Feature] = Field(examples=[one_feature(GEOMETRY_EXAMPLE, **_CELL)])


class ListChanges(Reply):
    """What entered and left the list since the same hours a week before, or since the state before."""

    against: dict[str, Any] | None = Field(
        description="model_version, state, data_until and at of the earlier list; null with a reason when "
        "there is none"
    )
    entered: list[int | str]
    remained: list[int | str] = Field(default_factory=list)
    left: list[int | str] = Field(description="cells, as they were ranked then")
    left_rank_before: list[int] = Field(default_factory=list)
    kept: int
    reason: str | None


class HotspotsReply(Heading, FeatureCollection):
    """Cells' polygons, best first, with what they cover and catch."""

    features: list[Feature] = Field(examples=[one_feature(GEOMETRY_EXAMPLE, rank=1, **_CELL)])
    top: float = Field(examples=[1.0])
    n_cells: int = Field(examples=[120])
    n_cells_total: int = Field(examples=[12058])
    area_km2: float = Field(examples=[7.5])
    share_of_area: float = Field(examples=[0.010175935])
    share_of_incidents_expected: float = Field(examples=[0.1775019])
    share_of_incidents_lo: float = Field(examples=[0.0])
    share_of_incidents_hi: float = Field(examples=[0.5])
    expected_count: float = Field(examples=[0.78407184])
    expected_count_lo: float | int = Field(examples=[0.0])
    expected_count_hi: float | int = Field(examples=[2.0])
    changes: ListChanges | None = Field(
        default=None,
        description="with compare; cells then have entered, rank_before, rank_change (places gained)",
    )


class SamplesReply(Heading, FeatureCollection):
    """Points drawn from the forecast."""

    features: list[Feature] = Field(
        examples=[one_feature({"type": "Point", "coordinates": [-79.4357025, 43.7052735]})]
    )
    n: int = Field(examples=[1])
    seed: int | None = Field(examples=[1])


class OutcomesReply(Heading, FeatureCollection):
    """Cells where something happened."""

    features: list[Feature] = Field(
        examples=[one_feature(GEOMETRY_EXAMPLE, incidents=1, hits=0, misses=1, **_CELL)]
    )
    in_sample: bool
    incidents: int = Field(examples=[421])
    hits: float = Field(examples=[190])
    hit_rate: float | None = Field(examples=[0.4513064])
    presence: dict[str, Any] | None = Field(
        default=None,
        description="hours of presence in hotspots and elsewhere, incidents with and without presence, if "
        "the log has rows of these hours; no proof of an effect",
    )


class Slot(Reply):
    """One hour of a series."""

    at: Instant
    window: int = Field(examples=[114])
    expected_total: float = Field(examples=[4.37034])
    expected_total_lo: int = Field(examples=[2])
    expected_total_hi: int = Field(examples=[8])


class SeriesReply(Heading):
    """A range hour by hour; `expected_total` is the whole range's."""

    slots: list[Slot]


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


class ScoreRequest(Request):
    """Incidents to score by a model; `as_of` takes one that knew only what came before."""

    # The first fault ends it: those of a hundred thousand incidents would take gigabytes.
    incidents: Annotated[
        list[ScoredIncident], FailFast(), Field(min_length=1, max_length=MAX_SCORED)
    ]
    model: Annotated[str | None, Field(max_length=200)] = None
    as_of: Moment | None = None


class Score(Reply):
    """One incident's place in its hour's forecast; null outside the study area.

    An interval is scored over all its hours, by the forecast's hourly rates; its `window` is null.
    """

    log_density_per_km2: float | None = Field(examples=[-4.7683189])
    percentile: float = Field(examples=[68.687682])
    cell: int | None = Field(examples=[5591])
    window: int | None = Field(examples=[119])
    inside_study_area: bool = Field(examples=[True])


class ScoreReply(Provenance):
    """Scores in the order of the incidents of the request."""

    scores: list[Score]


class TileJson(Reply):
    """TileJSON 3.0."""

    tilejson: str = Field(examples=["3.0.0"])
    name: str = Field(examples=["Toronto, Friday 2022-01-07 23:00"])
    description: str = Field(examples=["Share of the incidents per km2"])
    tiles: list[str] = Field(
        examples=[["http://127.0.0.1:8000/v1/regions/toronto/tiles/{z}/{x}/{y}.png"]]
    )
    scheme: str = Field(examples=["xyz"])
    minzoom: int = Field(examples=[0])
    maxzoom: int = Field(examples=[20])
    bounds: list[float] = Field(examples=[[-79.649443, 43.579557, -79.113553, 43.858794]])
    center: list[float] = Field(examples=[[-79.381498, 43.719176, 11]])
    hotslot: dict[str, Any] = Field(
        description="at, to, model_version, unit and scale: what the colours mean; temporal: from when on, "
        "and in which steps, hours can be asked for",
        examples=[{"unit": "probability per km2", "scale": [{"value": 0.0, "colour": "#ffffd9"}]}],
    )


_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_HEADERS = {
    "ETag": {"description": "of this reply", **_TEXT},
    "Cache-Control": _TEXT,
    "X-Hotslot-Model-Version": {"description": "the one version it comes from", **_TEXT},
}


def forecast_replies(
    models: dict[str, type[BaseModel]],
    formats: Sequence[str] = (),
    *,
    csv: str | None = None,
    cached: bool = True,
    **more: Any,
) -> Responses:
    """Describe a forecast: its formats (see `offered`), headers, and 304 where replies are cached."""
    found = {"headers": _HEADERS, **more, **offered(models, formats, csv)}
    unchanged = {"description": "the client has this reply already", "headers": _HEADERS}
    return {200: found, **({304: unchanged} if cached else {})}
