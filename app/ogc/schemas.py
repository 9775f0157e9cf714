"""Replies of `/ogc`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.http.schemas import FeatureCollection, Reply

_LINK = {"rel": "self", "href": "http://127.0.0.1:8000/ogc", "type": "application/json"}
_EXTENT = {
    "spatial": {
        "bbox": [[-79.65, 43.57, -79.11, 43.86]],
        "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    },
    "temporal": {
        "interval": [["2022-01-06T03:00:00-05:00", None]],
        "grid": {"resolution": "PT1H"},
    },
}


class Link(Reply):
    """Where something related is."""

    rel: str = Field(examples=["self"])
    href: str = Field(examples=[_LINK["href"]])
    type: str | None = Field(default=None, examples=["application/json"])
    title: str | None = None
    templated: bool | None = None


class Landing(Reply):
    """What there is, and where."""

    title: str = Field(examples=["hotslot"])
    description: str = Field(examples=["Forecasts where crime concentrates"])
    extent: dict[str, Any] = Field(
        description="of all collections together; the step of their times", examples=[_EXTENT]
    )
    links: list[Link]


class Conformance(Reply):
    """Which classes of OGC API this service conforms to."""

    conformsTo: list[str] = Field(  # noqa: N815 - OGC API's name
        examples=[["http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core"]]
    )


class Collection(Reply):
    """A collection of features, or the density as coverages."""

    id: str = Field(examples=["toronto.hotspots"])
    title: str = Field(examples=["Toronto: hotspots"])
    description: str = Field(examples=["The 5 % of the cells where most incidents are expected"])
    extent: dict[str, Any] = Field(examples=[_EXTENT])
    itemType: str | None = Field(default=None, examples=["feature"])  # noqa: N815
    crs: list[str] = Field(examples=[["http://www.opengis.net/def/crs/OGC/1.3/CRS84"]])
    storageCrs: str = Field(  # noqa: N815
        examples=["http://www.opengis.net/def/crs/OGC/1.3/CRS84"]
    )
    data_queries: dict[str, Any] | None = Field(default=None, description="of EDR: density only")
    output_formats: list[str] | None = None
    parameter_names: dict[str, Any] | None = None
    links: list[Link]


class CollectionList(Reply):
    """All collections that the key may see."""

    collections: list[Collection]
    links: list[Link]


class Items(FeatureCollection):
    """One page of features; each says its hour, region, model, version, state and `data_until`."""

    numberMatched: int | None = Field(default=None, examples=[42])  # noqa: N815
    numberReturned: int = Field(examples=[42])  # noqa: N815
    timeStamp: str = Field(examples=["2026-01-10T22:05:00Z"])  # noqa: N815
    links: list[Link]


class Coverage(Reply):
    """CoverageJSON: hours of the density."""

    type: str = Field(examples=["Coverage"])
    domain: dict[str, Any] = Field(examples=[{"type": "Domain", "domainType": "PointSeries"}])
    parameters: dict[str, Any] = Field(examples=[{"expected_count": {"type": "Parameter"}}])
    ranges: dict[str, Any] = Field(examples=[{"expected_count": {"type": "NdArray"}}])


class TileSet(Reply):
    """Map tiles of the present hour in one tile matrix set; TileJSON names other hours."""

    title: str = Field(examples=["Toronto: density"])
    dataType: str = Field(examples=["map"])  # noqa: N815
    crs: str = Field(examples=["http://www.opengis.net/def/crs/EPSG/0/3857"])
    tileMatrixSetURI: str = Field(  # noqa: N815
        examples=["http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad"]
    )
    extent: dict[str, Any] | None = Field(default=None, examples=[_EXTENT])
    links: list[Link]


class TileSetList(Reply):
    """The tile sets of a collection."""

    tilesets: list[TileSet]
    links: list[Link]


class TileMatrixSetList(Reply):
    """The tile matrix sets of the service."""

    tileMatrixSets: list[dict[str, Any]] = Field(  # noqa: N815
        examples=[[{"id": "WebMercatorQuad"}]]
    )


class TileMatrixSet(Reply):
    """How the world is cut into tiles."""

    id: str = Field(examples=["WebMercatorQuad"])
    title: str = Field(examples=["Google Maps Compatible for the World"])
    uri: str = Field(examples=["http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad"])
    crs: str = Field(examples=["http://www.opengis.net/def/crs/EPSG/0/3857"])
    tileMatrices: list[dict[str, Any]] = Field(examples=[[{"id": "0"}]])  # noqa: N815
