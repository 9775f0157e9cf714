"""A region's study area: the polygon that contains all of a forecast's mass, in metres."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info
from shapely.geometry.base import BaseGeometry

from app.core.errors import InvalidInput
from app.core.processes.native import PreparedCopies, shareable, transformer
from app.geo.antimeridian import cut, middle_longitude, normalised, unwrapped

MAX_EXTENT_DEG = 10.0
UTM_ZONE_DEG = 6
SIDES_ASKED, MEETINGS_PER_SIDE = 32, 100
HULL_CELL_M = 500.0
HULL_REACH_M = 1_000.0
HULL_MIN_INCIDENTS = 20
M2_PER_KM2 = 1e6


def to_metres(longitude: Any, latitude: Any, crs: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Convert longitude and latitude (WGS 84 degrees) to x_m, y_m in a projected CRS."""
    x_m, y_m = transformer("EPSG:4326", crs).transform(longitude, latitude)
    return np.asarray(x_m), np.asarray(y_m)


def to_degrees(x_m: Any, y_m: Any, crs: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Convert x_m, y_m in a projected CRS to longitude and latitude (WGS 84 degrees)."""
    longitude, latitude = transformer(crs, "EPSG:4326").transform(x_m, y_m)
    return np.asarray(longitude), np.asarray(latitude)


def choose_crs(longitude: float, latitude: float) -> str:
    """Return the WGS 84 UTM zone (`EPSG:326xx`/`327xx`) of a point.

    UTM keeps lengths within 0.1 % inside its zone, which is finer than any cell needs.

    Raises:
        InvalidInput: the point lies beyond 84 N or 80 S, where no UTM zone is defined.
    """
    longitude = float(normalised(longitude))
    if longitude % UTM_ZONE_DEG and -80 < latitude < 84 and latitude:
        zone = int((longitude + 180) // UTM_ZONE_DEG) + 1
        return f"EPSG:{326 if latitude > 0 else 327}{zone:02}"
    return _registered_zone(longitude, latitude)


def _registered_zone(longitude: float, latitude: float) -> str:
    """Return the zone by PROJ's database, which decides on edges; a query takes 0.1 s."""
    area = AreaOfInterest(longitude, latitude, longitude, latitude)
    found = query_utm_crs_info(datum_name="WGS 84", area_of_interest=area)
    if not found:
        raise InvalidInput("no UTM zone covers the study area", field="boundary")
    return f"EPSG:{found[0].code}"


@dataclass(frozen=True)
class StudyArea:
    """A valid polygon or multipolygon in a projected CRS (`polygon_m`, metres, `crs` EPSG:...).

    Threads share it, so `polygon_m` must not be prepared; `prepared` lends copies.
    """

    polygon_m: BaseGeometry
    crs: str
    derived: bool = False
    _copies: PreparedCopies = field(
        default_factory=PreparedCopies, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        shareable(self.polygon_m)

    @property
    def area_km2(self) -> float:
        """Area of the polygon."""
        return float(self.polygon_m.area) / M2_PER_KM2

    def contains(self, longitude: NDArray[Any], latitude: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (n,) whether each point lies inside."""
        x_m, y_m = to_metres(longitude, latitude, self.crs)
        with self.prepared() as polygon_m:
            inside: NDArray[np.bool_] = shapely.contains_xy(polygon_m, x_m, y_m)
        return inside

    def prepared(self) -> AbstractContextManager[Any]:
        """Lend a prepared copy of `polygon_m` for one thread's use."""
        return self._copies.of(self.polygon_m)

    def grown(self, margin_m: float) -> StudyArea:
        """Return the area with a margin, its outline simplified to a twentieth of the margin."""
        simple = shapely.simplify(self.polygon_m, margin_m / 20)
        return StudyArea(shapely.buffer(simple, margin_m, quad_segs=4), self.crs, self.derived)

    def to_geojson(self) -> dict[str, Any]:
        """Return the boundary as a GeoJSON geometry in WGS 84, cut at the 180th meridian."""
        degrees = shape_in_degrees(self.polygon_m, self.crs)
        geometry: dict[str, Any] = json.loads(shapely.to_geojson(cut(degrees)))
        return geometry


def shape_in_degrees(shape_m: BaseGeometry, crs: str) -> BaseGeometry:
    """Return a projected shape in WGS 84 degrees, with longitudes that continue beyond 180."""
    west, south, east, north = shape_m.bounds
    around, _ = to_degrees((west + east) / 2, (south + north) / 2, crs)

    def moved(xy: NDArray[Any]) -> NDArray[Any]:
        longitude, latitude = to_degrees(xy[:, 0], xy[:, 1], crs)
        return np.column_stack([unwrapped(longitude, float(around)), latitude])

    found: BaseGeometry = shapely.transform(shape_m, moved)
    return found


def study_area_of(shape: BaseGeometry, crs: str | None = None) -> StudyArea:
    """Project a shape in degrees.

    Raises:
        InvalidInput: it has no area.
    """
    west, south, east, north = shape.bounds
    chosen = crs or choose_crs((west + east) / 2, (south + north) / 2)
    polygon_m = shapely.transform(
        shape, lambda xy: np.column_stack(to_metres(xy[:, 0], xy[:, 1], chosen))
    )
    polygon_m = _polygonal(make_valid(polygon_m))
    if polygon_m.area <= 0:
        raise InvalidInput("boundary has no area", field="boundary")
    return StudyArea(polygon_m, chosen)


def make_valid(shapes: Any) -> Any:
    """Repair shapes that touch or cross themselves.

    Uses the structure method: GEOS's other one takes minutes for a few hundred sides that all cross.
    """
    return shapely.make_valid(shapes, method="structure", keep_collapsed=False)


def is_pathological(shape: BaseGeometry) -> bool:
    """Return whether an invalid shape's sides cross so often that repairing it would take too long.

    Judged by a sample of sides: in real outlines each comes near some ten others, in pathological
    shapes near a share of all.
    """
    if shapely.is_valid(shape):
        return False
    xy, ring = shapely.get_coordinates(shapely.get_rings(shape), return_index=True)
    joined = ring[1:] == ring[:-1]
    sides: Any = shapely.linestrings(np.stack([xy[:-1][joined], xy[1:][joined]], axis=1))
    asked = sides[:: max(1, len(sides) // SIDES_ASKED)]
    met = shapely.STRtree(sides).query(asked).shape[1]
    return bool(met > MEETINGS_PER_SIDE * len(asked))


def _polygonal(geometry: BaseGeometry) -> BaseGeometry:
    """Keep only the areal parts of a geometry (make_valid may leave stray lines)."""
    parts = [p for p in shapely.get_parts(geometry) if p.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.union_all(parts)


def derive_study_area(
    longitude: NDArray[np.float64], latitude: NDArray[np.float64], crs: str | None = None
) -> StudyArea:
    """Derive a study area from incidents: where they are dense, with a margin.

    Points farther than 1 degree from the median are set aside (default geocodes, typing errors);
    the rest mark 500 m cells, cells with a single incident far from others are dropped, and the
    remaining ones are grown by 1 km and closed.

    Raises:
        InvalidInput: fewer than 20 usable incidents.
    """
    finite = np.isfinite(longitude) & np.isfinite(latitude)
    longitude, latitude = longitude[finite], latitude[finite]
    if len(longitude) < HULL_MIN_INCIDENTS:
        raise InvalidInput(
            f"a study area cannot be derived from {len(longitude)} incidents "
            f"(at least {HULL_MIN_INCIDENTS}); give a boundary",
            field="boundary",
        )
    mid_lon, mid_lat = middle_longitude(longitude), float(np.median(latitude))
    from_middle = np.abs(unwrapped(longitude, mid_lon) - mid_lon)
    near = (from_middle < 1.0) & (np.abs(latitude - mid_lat) < 1.0)
    crs = crs or choose_crs(mid_lon, mid_lat)
    x_m, y_m = to_metres(longitude[near], latitude[near], crs)
    cells, counts = np.unique(
        np.floor(np.column_stack([x_m, y_m]) / HULL_CELL_M).astype(np.int64),
        axis=0,
        return_counts=True,
    )
    centres = (cells + 0.5) * HULL_CELL_M
    keep = counts > 1 if (counts > 1).sum() >= HULL_MIN_INCIDENTS else np.ones(len(cells), bool)
    discs = shapely.buffer(shapely.points(centres[keep]), HULL_REACH_M, quad_segs=4)
    grown = shapely.union_all(discs)
    closed = shapely.buffer(shapely.buffer(grown, 2 * HULL_REACH_M), -2 * HULL_REACH_M)
    return StudyArea(_polygonal(shapely.simplify(closed, 50.0)), crs, derived=True)
