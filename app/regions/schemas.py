"""Requests and replies of `/v1/regions`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from app.http.schemas import (
    Feature,
    FeatureCollection,
    Instant,
    MessageReply,
    Names,
    Reply,
    Request,
    Version,
    one_feature,
)
from app.regions.service import DEFAULT_CELL_SIZE_M

_BOUNDARY = {
    "type": "Polygon",
    "coordinates": [[[-79.64, 43.58], [-79.12, 43.58], [-79.12, 43.85], [-79.64, 43.58]]],
}

_SHIFTS = {
    "early": {"start": "06:00", "end": "14:00"},
    "late": {"start": "14:00", "end": "22:00"},
    "night": {"start": "22:00", "end": "06:00"},
}


class NewRegion(Request):
    """A study area with its time zone."""

    id: Annotated[
        str, Field(max_length=63, description="1-63 of a-z, 0-9, '-', '_'", examples=["bogota"])
    ]
    name: Annotated[str | None, Field(max_length=200)] = None
    timezone: Annotated[
        str, Field(max_length=64, description="IANA name", examples=["America/Bogota"])
    ]
    boundary: Annotated[
        dict[str, Any] | None,
        Field(description="GeoJSON Polygon, MultiPolygon or FeatureCollection, WGS 84"),
    ] = None
    cell_size_m: Annotated[float, Field(allow_inf_nan=False)] = DEFAULT_CELL_SIZE_M


class _Region(Reply):
    id: str = Field(examples=["toronto"])
    name: str = Field(examples=["Toronto"])
    timezone: str = Field(examples=["America/Toronto"])
    crs: str | None = Field(examples=["EPSG:32617"])
    cell_size_m: float = Field(examples=[250.0])
    boundary_derived: bool = Field(examples=[True])
    created_at: Instant


class BoundedRegion(_Region):
    """A region with its boundary."""

    boundary: dict[str, Any] | None = Field(examples=[_BOUNDARY])


class CreatedRegion(BoundedRegion):
    """A new region with its boundary, and what looks wrong about its place."""

    warnings: list[MessageReply]


class ListedRegion(_Region):
    """A region with the version that it serves."""

    champion: Version | None


class RegionList(Reply):
    """The regions that the caller may see."""

    regions: list[ListedRegion]


class ListedLayer(Reply):
    """A layer of named areas, such as beats."""

    name: str = Field(examples=["beats"])
    n_areas: int = Field(examples=[46])
    created_at: Instant | None = Field(description="null for the neighbourhoods")


class LayerReply(ListedLayer):
    """A stored layer with the names of its areas."""

    areas: Names = Field(examples=[["D11", "D12"]])


class LayerFeatures(FeatureCollection):
    """A layer's areas: polygons with a `name`."""

    name: str = Field(examples=["beats"])
    features: list[Feature] = Field(examples=[one_feature(_BOUNDARY, name="D11")])


class RegionReply(BoundedRegion, ListedRegion):
    """A region with what it holds."""

    incidents: int = Field(examples=[240990])
    first_at: Instant | None = Field(examples=["1970-01-01T14:00:00+00:00"])
    last_at: Instant | None = Field(examples=["2022-01-01T04:00:00+00:00"])
    begins_at: Instant | None = Field(
        description="from here on the data are dense; single earlier incidents are late reports or "
        "placeholder dates; null: not known",
        examples=["2014-01-01T05:00:00+00:00"],
    )
    categories: dict[str, int] = Field(examples=[{"Assault": 125431, "Auto Theft": 32268}])
    streets: str | None = Field(
        description="digest of its street layer; null: it has none", examples=["3a7bd3e2360a3d29"]
    )
    shifts: dict[str, dict[str, str]] = Field(
        description="local times; one that ends no later than it starts ends on the next day",
        examples=[_SHIFTS],
    )
    neighbourhoods: dict[str, Any] | None = Field(
        description="GeoJSON FeatureCollection",
        examples=[{"type": "FeatureCollection", "features": []}],
    )
    layers: list[ListedLayer] = Field(description="areas to filter by and to sum up by")
