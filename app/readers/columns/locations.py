"""Split a column that holds both coordinates: WKT, hexadecimal WKB, or a pair of numbers."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from app.core.texts import shortened

_NUMBER = r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_WKT = re.compile(
    rf"^\s*(?:SRID=4326;)?\s*POINT\s*(?:Z|M|ZM)?\s*\(\s*{_NUMBER}[\s,]+{_NUMBER}(?:\s+{_NUMBER})*\s*\)\s*$",
    re.IGNORECASE,
)
_PAIR = re.compile(rf"^\s*\[?\s*{_NUMBER}\s*[,;\s]\s*{_NUMBER}\s*\]?\s*$")
_IN_BRACKETS = re.compile(rf"\(\s*{_NUMBER}°?\s*[,;]\s*{_NUMBER}°?\s*\)\s*$")
"""Also behind an address: older Socrata exports write both into one cell."""
_WKB = re.compile(r"^(?:[0-9a-fA-F]{2}){21,29}$")
_SRID_FLAG, _SHAPE, WGS84_SRID = 0x20000000, 0xFF, 4326
_POINT, _ISO_POINTS = 1, (1001, 2001, 3001)
_LON_NAMES = ("longitude", "lon", "lng", "long", "x")
_LAT_NAMES = ("latitude", "lat", "y")
MAX_DEGREES_NORTH = 90.0
Place = tuple[float, float]


def text_of_place(value: Any) -> Any:
    """Return a JSON object or list of a place as text, other values unchanged.

    >>> text_of_place({"latitude": "39.1", "longitude": "-84.5"})
    'POINT (-84.5 39.1)'
    >>> text_of_place({"type": "Point", "coordinates": [-84.5, 39.1]})
    'POINT (-84.5 39.1)'
    """
    if isinstance(value, list):
        return ", ".join(map(str, value)) if len(value) == 2 else value
    if not isinstance(value, dict):
        return value
    pair = value.get("coordinates")
    if value.get("type") == "Point" and isinstance(pair, list) and len(pair) > 1:
        return f"POINT ({pair[0]} {pair[1]})"
    lowered = {str(name).lower(): held for name, held in value.items()}
    lon = next((lowered[name] for name in _LON_NAMES if name in lowered), None)
    lat = next((lowered[name] for name in _LAT_NAMES if name in lowered), None)
    return value if lon is None or lat is None else f"POINT ({lon} {lat})"


def place_of(text: str) -> tuple[Place, bool] | None:
    """Return the two numbers of a text, and whether they are x and y by their form (else a pair).

    >>> place_of("POINT (-84.51 39.10)"), place_of("1 Main St (39.1, -84.5)"), place_of("1 Main St")
    (((-84.51, 39.1), True), ((39.1, -84.5), False), None)
    """
    found = _WKT.match(text)
    if found:
        return (float(found[1]), float(found[2])), True
    if _WKB.match(text):
        return _of_wkb(bytes.fromhex(text))
    found = _PAIR.match(text) or _IN_BRACKETS.search(text)
    return None if found is None else ((float(found[1]), float(found[2])), False)


def _of_wkb(raw: bytes) -> tuple[Place, bool] | None:
    order = "<" if raw[0] == 1 else ">"
    (kind,) = struct.unpack_from(order + "I", raw, 1)
    start = 5
    if kind & _SRID_FLAG:
        (srid,) = struct.unpack_from(order + "I", raw, start)
        if srid != WGS84_SRID:
            return None
        start += 4
    if kind & _SHAPE != _POINT and kind not in _ISO_POINTS:
        return None
    if len(raw) < start + 16:
        return None
    return struct.unpack_from(order + "dd", raw, start), True


def latitude_first(values: Sequence[Any]) -> bool | None:
    """Return whether pairs of numbers begin with the latitude, None if there is no pair.

    The usual order is latitude first; a first number beyond 90 that is no second one proves the other.
    """
    pairs = [
        found[0]
        for value in values
        if isinstance(value, str) and (found := place_of(value)) is not None and not found[1]
    ]
    if not pairs:
        return None
    first = max(abs(one) for one, _ in pairs)
    second = max(abs(two) for _, two in pairs)
    return not (first > MAX_DEGREES_NORTH >= second)


def split_places(
    values: Sequence[Any], *, latitude_first: bool
) -> tuple[list[float | None], list[float | None], Mapping[int, str]]:
    """Return longitudes, latitudes, and why rows have none, by their position."""
    lons: list[float | None] = []
    lats: list[float | None] = []
    without: dict[int, str] = {}
    for row, value in enumerate(values):
        found = place_of(value) if isinstance(value, str) else None
        if found is None:
            shown = "is empty" if value in (None, "", {}) else f"is {shortened(value, 40)}"
            without[row] = f"no place: the location {shown}"
            lons.append(None)
            lats.append(None)
            continue
        (one, two), is_xy = found
        lon, lat = (one, two) if is_xy or not latitude_first else (two, one)
        lons.append(lon)
        lats.append(lat)
    return lons, lats, without
