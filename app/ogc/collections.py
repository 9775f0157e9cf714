"""The collections of OGC API: which ones a region has, and how they describe themselves."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from app.core.errors import NotFound, NotReady
from app.core.media_types import GEOJSON, JSON, MEDIA_TYPES
from app.core.roles import Caller
from app.core.texts import shortened
from app.forecasts.plan import Plan, Selector
from app.forecasts.rendering.tiles import hour_extent
from app.forecasts.service import ForecastService
from app.forecasts.streets.reader import NO_LAYER
from app.geo.antimeridian import normalised
from app.http.links import link
from app.ogc.crs import CRS84_URI, references, storage_of
from app.regions.store import Region
from app.registry.artifacts import ArtifactCorrupt

HOTSPOTS, ZONES, STREETS, NEIGHBOURHOODS = "hotspots", "zones", "streets", "neighbourhoods"
DENSITY, INCIDENTS = "density", "incidents"
FEATURES = (HOTSPOTS, ZONES, STREETS, NEIGHBOURHOODS, DENSITY)
GREGORIAN = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
TILESETS = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-map"
HOURS = (
    "`datetime` is an hour, or an interval of up to a week, which is forecast as one; without it, the "
    "present hour; open intervals are cut to a week."
)
ABOUT = {
    HOTSPOTS: ("hotspots", "The 5 % of the cells where most incidents are expected, best first."),
    ZONES: ("zones", "Where to send cars: connected, compact zones that expect the most."),
    STREETS: ("streets", "The 5 % of the streets where most incidents per km are expected."),
    NEIGHBOURHOODS: ("neighbourhoods", "Expected incidents of each neighbourhood."),
    DENSITY: (
        "density",
        "Expected incidents and their density, hour by hour, on the region's grid.",
    ),
    INCIDENTS: ("incidents", "What was reported; for keys that may list incidents."),
}


@dataclass(frozen=True)
class Ground:
    """A region as its collections describe it: its present forecast, if it has a version."""

    region: Region
    plan: Plan | None

    def kinds(self, caller: Caller) -> list[str]:
        """Return the kinds of collections that a caller may see."""
        found = []
        if self.plan is not None:
            found = [HOTSPOTS, ZONES, DENSITY]
            found += [STREETS] if self.plan.streets != NO_LAYER else []
            found += [NEIGHBOURHOODS] if self.region.has_neighbourhoods else []
        return found + ([INCIDENTS] if caller.lists_incidents else [])

    @property
    def bbox(self) -> list[float] | None:
        """West, south, east, north of all cells; over the 180th meridian its west exceeds its east."""
        if self.plan is None:
            return None
        west, south, east, north = self.plan.version.cells.extent
        return [float(normalised(west)), south, float(normalised(east)), north]

    @property
    def crs(self) -> str | None:
        """Code of the region's own system."""
        return self.region.crs if self.plan is None else self.plan.version.grid.crs


def whole(boxes: list[list[float]]) -> list[list[float]]:
    """Return one box around all, then each of several, as OGC API lists them."""
    if len(boxes) < 2:
        return boxes
    west, south, east, north = zip(*boxes, strict=True)
    if any(one > other for one, other in zip(west, east, strict=True)):
        west, east = (-180.0,), (180.0,)
    return [[min(west), min(south), max(east), max(north)], *boxes]


def ground_of(forecasts: ForecastService, region: Region) -> Ground:
    """Return a region with its present forecast, if it has a version that is intact."""
    with suppress(NotReady, NotFound, ArtifactCorrupt):
        return Ground(region, forecasts.plan(region.id, Selector(at=datetime.now(UTC))))
    return Ground(region, None)


def check_kind(ground: Ground, caller: Caller, kind: str) -> None:
    """Raise unless a region has a collection that this caller may see.

    Raises:
        NotFound: it has not.
    """
    known = ground.kinds(caller)
    if kind not in known:
        names = ", ".join(f"{ground.region.id}.{one}" for one in known) or "none"
        raise NotFound(
            f"no such collection: {shortened(f'{ground.region.id}.{kind}')}; the region has {names}",
            field="kind",
            code="no_collection",
        )


def to(request: Request, rel: str, path: str, kind: str = JSON, **more: Any) -> dict[str, Any]:
    """Return a link object."""
    return {"rel": rel, "href": link(request, path), "type": kind, **more}


def collection(request: Request, ground: Ground, kind: str) -> dict[str, Any]:
    """Return the description of one collection."""
    region = ground.region
    title, about = ABOUT[kind]
    path = f"/ogc/collections/{region.id}.{kind}"
    hours = "" if kind == INCIDENTS else f" {HOURS}"
    links = [to(request, "self", path), *_styles(request, ground, kind)]
    found = {
        "id": f"{region.id}.{kind}",
        "title": f"{region.name}: {title}",
        "description": about + hours,
        "extent": _extent(ground, kind),
    }
    links.append(to(request, "items", f"{path}/items", GEOJSON, title="features"))
    return {
        **found,
        "itemType": "feature",
        "crs": [one.uri for one in references(ground.crs)],
        "storageCrs": CRS84_URI,
        **(_coverage(request, ground, path) if kind == DENSITY else {}),
        "links": links + (_tiles(request, region) if kind == DENSITY else []),
    }


def _extent(ground: Ground, kind: str) -> dict[str, Any]:
    extent: dict[str, Any] = {}
    if ground.bbox is not None:
        extent["spatial"] = {"bbox": [ground.bbox], "crs": CRS84_URI}
    if ground.plan is not None and kind != INCIDENTS:
        extent["temporal"] = {**hour_extent(ground.plan.version), "trs": GREGORIAN}
    return extent


def _styles(request: Request, ground: Ground, kind: str) -> list[dict[str, Any]]:
    base = f"/ogc/regions/{ground.region.id}"
    project = to(
        request, "related", f"{base}/project.qgs", MEDIA_TYPES["qgs"], title="QGIS project"
    )
    if kind in (DENSITY, INCIDENTS):
        return [project]
    return [
        project,
        to(request, "style", f"{base}/styles/{kind}.qml", MEDIA_TYPES["qml"], title="QGIS style"),
        to(request, "style", f"{base}/styles/{kind}.sld", MEDIA_TYPES["sld"], title="SLD style"),
    ]


def _tiles(request: Request, region: Region) -> list[dict[str, Any]]:
    return [
        to(request, TILESETS, f"/ogc/collections/{region.id}.density/map/tiles", title="map tiles"),
        to(request, "related", f"/v1/regions/{region.id}/tiles/tilejson.json", title="TileJSON"),
    ]


PARAMETERS: dict[str, tuple[str, str, str]] = {
    "expected_count": ("Expected incidents of the cell in the hour", "1/h", "incidents per hour"),
    "density_per_km2": ("Share of the hour's incidents per km2", "1/km2", "share per km2"),
    "probability": ("Share of the hour's incidents in the cell", "1", "share"),
}
"""Parameters of the density: description, unit (UCUM) and its name."""


def parameter(name: str) -> dict[str, Any]:
    """Return a parameter as EDR and CoverageJSON describe it."""
    about, symbol, unit = PARAMETERS[name]
    return {
        "type": "Parameter",
        "description": {"en": about},
        "unit": {
            "label": {"en": unit},
            "symbol": {"value": symbol, "type": "http://www.opengis.net/def/uom/UCUM/"},
        },
        "observedProperty": {"id": name, "label": {"en": about}},
    }


def _coverage(request: Request, ground: Ground, path: str) -> dict[str, Any]:
    own = storage_of(ground.crs)
    queries = {
        kind: {
            "link": {
                **to(request, "data", f"{path}/{kind}", MEDIA_TYPES["covjson"]),
                "variables": {
                    "title": title,
                    "query_type": kind,
                    "output_formats": ["CoverageJSON"],
                    "default_output_format": "CoverageJSON",
                    "crs_details": [{"crs": one.code, "wkt": one.wkt} for one in given],
                },
            }
        }
        for kind, title, given in (
            ("position", "hours of one place", references(ground.crs)),
            ("area", "hours of the cells that touch a polygon", (own,)),
            ("cube", "hours of the cells that touch a box", (own,)),
        )
    }
    return {
        "data_queries": queries,
        "storageCrs": own.uri,
        "output_formats": ["CoverageJSON"],
        "parameter_names": {name: parameter(name) for name in PARAMETERS},
    }
