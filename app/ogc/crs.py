"""Coordinate reference systems of OGC API - Features, part 2: of replies (`crs`) and boxes (`bbox-crs`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from app.core.errors import InvalidInput
from app.core.processes.native import transformer
from app.core.texts import shortened
from app.http.parameters import parse_bbox

CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
DEGREES = "OGC:CRS84"
EDGE_POINTS = 17
"""Points of each side of a box that are projected: its sides are curves in degrees."""
_EPSG_URI = "http://www.opengis.net/def/crs/EPSG/0/{}"
_CODE = re.compile(r"EPSG:(\d{1,6})")


@dataclass(frozen=True)
class Reference:
    """A coordinate reference system that replies may have.

    Args:
        code: as PROJ knows it.
        uri: as OGC API names it.
        flipped: whether its first axis is the northing or the latitude.
    """

    code: str
    uri: str
    flipped: bool = False

    @property
    def wkt(self) -> str:
        """The system in well-known text."""
        return str(CRS.from_user_input(self.code).to_wkt())

    @property
    def is_default(self) -> bool:
        """Whether it is longitude and latitude, in which shapes are computed."""
        return self.code == DEGREES


PLAIN = Reference(DEGREES, CRS84_URI)


@lru_cache(maxsize=64)
def references(region_crs: str | None) -> tuple[Reference, ...]:
    """Return what replies of a region may be in: degrees, Web Mercator, and the region's own."""
    codes = [4326, 3857]
    own = _CODE.fullmatch(region_crs or "")
    if own is not None and int(own[1]) not in codes:
        codes.append(int(own[1]))
    return (PLAIN, *(_epsg(code) for code in codes))


def _epsg(code: int) -> Reference:
    first = CRS.from_epsg(code).axis_info[0].direction
    return Reference(f"EPSG:{code}", _EPSG_URI.format(code), first in ("north", "south"))


def storage_of(region_crs: str | None) -> Reference:
    """Return the system in which a region's grid is regular."""
    found = [one for one in references(region_crs) if one.code == region_crs]
    return found[0] if found else PLAIN


def parse_crs(text: str | None, region_crs: str | None, field: str) -> Reference:
    """Return the named system, by its URI or as `EPSG:4326`; without one the default.

    Raises:
        InvalidInput: replies of this region cannot be in it.
    """
    if text is None:
        return PLAIN
    known = references(region_crs)
    for one in known:
        if text in (one.uri, one.code, f"[{one.code}]", one.uri.replace("http:", "https:", 1)):
            return one
    names = ", ".join(one.uri for one in known)
    raise InvalidInput(f"{field} {shortened(text)} is none of {names}", field=field)


def box_in_degrees(text: str | None, reference: Reference) -> Any:
    """Return the area of `bbox` in longitude and latitude as a geometry, or None.

    Over the 180th meridian its west exceeds its east; heights (of six numbers) are ignored.

    Raises:
        InvalidInput: not four or six numbers in order.
    """
    if text is None:
        return None
    numbers = text.split(",")
    if len(numbers) == 6:
        numbers = [numbers[place] for place in (0, 1, 3, 4)]
    if len(numbers) == 4 and reference.flipped:
        numbers = [numbers[place] for place in (1, 0, 3, 2)]
    if reference.is_default or reference.code == "EPSG:4326":
        west, south, east, north = _degrees(numbers)
        if west <= east:
            return shapely.box(west, south, east, north)
        return shapely.multipolygons(
            [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
        )
    return _projected_box(numbers, reference)


def _degrees(numbers: list[str]) -> tuple[float, float, float, float]:
    box = parse_bbox(",".join(numbers))
    if box is None:
        raise InvalidInput("bbox is four or six numbers", field="bbox")
    return box


def _projected_box(numbers: list[str], reference: Reference) -> Any:
    try:
        x0, y0, x1, y1 = map(float, numbers)
    except ValueError as error:
        raise InvalidInput("bbox is four or six numbers", field="bbox") from error
    if not (np.isfinite([x0, y0, x1, y1]).all() and x0 <= x1 and y0 <= y1):
        raise InvalidInput("bbox is minx,miny,maxx,maxy in the axes of bbox-crs", field="bbox")
    steps = np.linspace(0, 1, EDGE_POINTS)[:-1]
    x = np.concatenate(
        [x0 + (x1 - x0) * steps, x1 + 0 * steps, x1 + (x0 - x1) * steps, x0 + 0 * steps]
    )
    y = np.concatenate(
        [y0 + 0 * steps, y0 + (y1 - y0) * steps, y1 + 0 * steps, y1 + (y0 - y1) * steps]
    )
    longitude, latitude = transformer(reference.code, DEGREES).transform(x, y)
    if not np.isfinite([longitude, latitude]).all():
        raise InvalidInput("bbox lies beyond what bbox-crs is valid for", field="bbox")
    ring = np.column_stack([longitude, latitude])
    return shapely.make_valid(shapely.polygons(ring))


def in_reference(shapes: NDArray[Any], reference: Reference) -> NDArray[Any]:
    """Return geometries (N,) in degrees in another system, first axis first."""
    if reference.is_default:
        return shapes

    def moved(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transformer(DEGREES, reference.code).transform(xy[:, 0], xy[:, 1])
        return np.column_stack([y, x] if reference.flipped else [x, y])

    return np.asarray(shapely.transform(shapes, moved))


def point_in_degrees(x: float, y: float, reference: Reference) -> tuple[float, float]:
    """Return longitude and latitude of a place given in the axes of a system."""
    first, second = (y, x) if reference.flipped else (x, y)
    longitude, latitude = transformer(reference.code, DEGREES).transform(first, second)
    return float(longitude), float(latitude)
