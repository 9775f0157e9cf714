"""What replies look like, for the OpenAPI document: bodies are written by hand, for speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.http.content_negotiation import MEDIA_TYPES

Replies = dict[int | str, dict[str, Any]]
Bound = float | int
JSON_FORMATS = ("json", "geojson")
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_HEADERS = {
    "ETag": {"description": "of this reply", **_TEXT},
    "Cache-Control": _TEXT,
    "X-Hotslot-Model-Version": {"description": "the one version it comes from", **_TEXT},
}


class Reply(BaseModel):
    """Base of replies: members may be added, none goes away."""

    model_config = ConfigDict(extra="allow")


class Heading(Reply):
    """What every forecast says of itself."""

    region: str
    window: int | None = Field(ge=0, le=167, description="hour of the week; null for a range")
    at: str = Field(description="start of the (first) hour, the region's local time")
    model: str
    model_version: str
    trained_until: str = Field(description="the model saw nothing later")
    generated_at: str
    category: str | None
    warnings: list[str] = Field(description="thin data, stale model, drift and the like")
    expected_total: float
    expected_total_lo: float
    expected_total_hi: float


class Cells(Reply):
    """Arrays of equal length, one entry a cell; ids ascend."""

    id: list[int | str]
    longitude: list[float]
    latitude: list[float]
    probability: list[float]
    density_per_km2: list[float]
    expected_count: list[float]
    expected_count_lo: list[int]
    expected_count_hi: list[int]


class DensityReply(Heading):
    """Every cell of the study area, or those that touch `bbox`."""

    crs: str
    grid: dict[str, Any] = Field(description="x0_m, y0_m, nx, ny; or type and resolution of H3")
    cells: Cells


class Feature(Reply):
    """GeoJSON."""

    type: Literal["Feature"]
    properties: dict[str, Any] | None
    geometry: dict[str, Any] | None


class FeatureCollection(Reply):
    """GeoJSON with further members."""

    type: Literal["FeatureCollection"]
    features: list[Feature]


class ListChanges(Reply):
    """What entered and left the list since the same hours a week before."""

    against: dict[str, Any] | None = Field(
        description="model_version and at of the earlier list; null with a reason when there is none"
    )
    entered: list[int | str]
    left: list[int | str] = Field(description="cells, as they were ranked then")
    left_rank_before: list[int] = []
    kept: int
    reason: str | None


class HotspotsReply(Heading, FeatureCollection):
    """Cells' polygons, best first, with what they cover and catch."""

    top: float
    n_cells: int
    n_cells_total: int
    area_km2: float
    share_of_area: float
    share_of_incidents_expected: float
    share_of_incidents_lo: float
    share_of_incidents_hi: float
    expected_count: float
    expected_count_lo: Bound
    expected_count_hi: Bound
    changes: ListChanges | None = Field(
        default=None,
        description="with compare; cells then have entered, rank_before, rank_change (places gained)",
    )


class SamplesReply(Heading, FeatureCollection):
    """Points drawn from the forecast."""

    n: int
    seed: int | None


class AreasReply(Heading, FeatureCollection):
    """The areas as given, each with its forecast among the properties."""

    n_areas: int


class OutcomesReply(Heading, FeatureCollection):
    """Cells where something happened."""

    in_sample: bool
    incidents: int
    hits: int
    hit_rate: float | None


class Slot(Reply):
    """One hour of a series."""

    at: str
    window: int
    expected_total: float
    expected_total_lo: int
    expected_total_hi: int


class SeriesReply(Heading):
    """A range hour by hour; `expected_total` is the whole range's."""

    slots: list[Slot]


class Score(Reply):
    """One incident's place in its hour's forecast; null outside the study area."""

    log_density_per_km2: float | None
    percentile: float
    cell: int | None
    window: int
    inside_study_area: bool


class ScoreReply(Reply):
    """In the order of the incidents asked about."""

    region: str
    model_version: str
    trained_until: str
    generated_at: str
    warnings: list[str]
    scores: list[Score]


class TileJson(Reply):
    """TileJSON 3.0."""

    tilejson: str
    name: str
    tiles: list[str]
    minzoom: int
    maxzoom: int
    bounds: list[float]
    center: list[float]


class RegionReply(Reply):
    """A study area with its time zone; a single region also tells what it holds."""

    id: str
    name: str
    timezone: str
    crs: str | None
    cell_size_m: float
    boundary_derived: bool
    created_at: str


class RegionList(Reply):
    """All regions."""

    regions: list[RegionReply]


class UploadReply(Reply):
    """received = accepted + duplicates + rejected."""

    received: int
    accepted: int
    duplicates: int
    rejected: int
    errors: list[dict[str, Any]]


class RunReply(Reply):
    """A training run or a backtest."""

    id: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float = Field(ge=0, le=1)
    message: str | None
    created_at: str
    finished_at: str | None


class TrainingRunList(Reply):
    """The newest first."""

    training_runs: list[RunReply]


class BacktestList(Reply):
    """The newest first, without their results."""

    backtests: list[RunReply]


class ModelReply(Reply):
    """One immutable version with its provenance and scores."""

    version: str
    model: str
    champion: bool
    trained_until: str
    created_at: str
    data_hash: str | None = Field(
        default=None, description="keyed digest of its incidents; only to who may list them"
    )
    n_incidents: int


class ModelList(Reply):
    """The newest first."""

    champion: str | None
    models: list[ModelReply]
    warnings: list[str]


SCHEMAS: tuple[type[BaseModel], ...] = (
    DensityReply,
    HotspotsReply,
    SamplesReply,
    AreasReply,
    OutcomesReply,
    SeriesReply,
    ScoreReply,
    TileJson,
    FeatureCollection,
    RegionReply,
    RegionList,
    UploadReply,
    RunReply,
    TrainingRunList,
    BacktestList,
    ModelReply,
    ModelList,
)
"""All that the document names."""


def reference(name: str) -> dict[str, str]:
    """A schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def forecast_replies(name: str, formats: Sequence[str], *, cached: bool = True) -> Replies:
    """Documents a forecast call: its formats, headers, and 304 where replies are kept."""
    content = {}
    for fmt in formats:
        schema: dict[str, Any] = {"type": "string"}
        if fmt in JSON_FORMATS:
            schema = reference(name if fmt == formats[0] else "FeatureCollection")
        elif fmt != "csv":
            schema["format"] = "binary"
        content[MEDIA_TYPES[fmt].split(";")[0]] = {"schema": schema}
    found: Replies = {200: {"description": "the forecast", "content": content, "headers": _HEADERS}}
    if cached:
        found[304] = {"description": "the client holds this reply already", "headers": _HEADERS}
    return found
