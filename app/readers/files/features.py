"""Read the features of GeoJSON and Esri JSON as rows; only points are places."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from app.core.errors import InvalidInput
from app.core.messages import Message
from app.core.texts import shortened
from app.readers.columns.fields import LOCATIONS, PLACE_PARTS
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.names import fixed_tier
from app.readers.limits import Refused
from app.readers.reading import ASSUMPTIONS, FEATURE_ID

_OTHER_KINDS = ("LineString", "Polygon", "MultiLineString", "MultiPolygon", "GeometryCollection")
LOOKED_AT = 50_000
"""Features whose own coordinates are compared with their geometry."""
DIFFERENCE_DEG = 1e-3
_EPSG = re.compile(r"EPSG:(?::|[\d.]*:)?(\d{1,6})$", re.IGNORECASE)
_DEGREES = ("CRS84", "WGS84", "WGS 84")
_ESRI_DEGREES, _ESRI_WEB = 4326, {102100: 3857, 102113: 3857}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACES = frozenset(("longitude", "latitude", *PLACE_PARTS, *LOCATIONS))


@dataclass(frozen=True)
class Placeless:
    """A row without a place, and why."""

    row: dict[str, Any]
    why: str


def is_feature(item: Any) -> bool:
    """Return whether an item is a feature of GeoJSON or of Esri JSON."""
    if not isinstance(item, dict) or "geometry" not in item:
        return False
    return item.get("type") == "Feature" or isinstance(item.get("attributes"), dict)


@dataclass
class Features:
    """How features become rows.

    Args:
        crs: of the geometries; None: degrees.
        dates: attributes that hold milliseconds since 1970 in UTC (Esri).
    """

    format: str = "geojson"
    crs: str | None = None
    dates: tuple[str, ...] = ()
    n_seen: int = 0
    n_differ: int = 0
    _own: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_head(cls, head: str, *, has_crs: bool) -> Features:
        """Read the members before the features: CRS, and the fields of Esri JSON.

        Raises:
            InvalidInput: the CRS is unknown, and the caller gives none.
        """
        esri = _member(head, "spatialReference")
        fields = _member(head, "fields")
        is_esri = esri is not None or "esriGeometry" in head or "esriFieldType" in head
        named = esri if is_esri else _member(head, "crs")
        return cls(
            "esri-json" if is_esri else "geojson",
            None if has_crs else _crs_of(named, is_esri=is_esri),
            tuple(_esri_dates(fields)) if is_esri else (),
        )

    def mapping(self, mapping: ColumnMapping, header: Iterable[str]) -> ColumnMapping:
        """Return the mapping, with the geometry for the place unless the caller names columns for it."""
        if PLACES & mapping.columns.keys() or not {"longitude", "latitude"} & set(header):
            return mapping
        placed = {"longitude": "longitude", "latitude": "latitude"}
        return replace(mapping, columns={**mapping.columns, **placed})

    def row(self, item: Any, *, needs_place: bool = True) -> Any:
        """Return a feature as a row: its properties, and `longitude` and `latitude` of its point."""
        if isinstance(item, Refused) or not isinstance(item, dict):
            return item
        is_esri = "attributes" in item
        held = item.get("attributes" if is_esri else "properties")
        if held is not None and not isinstance(held, dict):
            return Refused("a feature's properties must be an object")
        if held is None and "geometry" not in item:
            return Refused("not a feature with geometry and properties")
        row = dict(held or {})
        for name in self.dates:
            row[name] = _moment(row.get(name))
        # Programs number features from 0 in every file, so these are ids only if the caller says so.
        if not is_esri and item.get("id") is not None:
            row.setdefault(FEATURE_ID, str(item["id"]))
        geometry = item.get("geometry")
        found = _esri_point(geometry) if is_esri else _point(geometry)
        if isinstance(found, str):
            if not needs_place:
                return row
            row["longitude"] = row["latitude"] = None
            return Placeless(row, f"no place: {found}")
        self._compare(row, found)
        row["longitude"], row["latitude"] = found
        return row

    def _compare(self, row: Mapping[str, Any], point: tuple[Any, Any]) -> None:
        """Count features whose own coordinates lie elsewhere than their geometry."""
        if self.crs is not None or self.n_seen >= LOOKED_AT:
            return
        self.n_seen += 1
        if self.n_seen == 1:
            self._own = {
                name: field
                for field in ("longitude", "latitude")
                for name in row
                if fixed_tier(field, name) in (0, 1, 2)
            }
        given = dict(zip(("longitude", "latitude"), point, strict=True))
        for name in self._own or ("longitude", "latitude"):
            own = _number(row.get(name))
            there = _number(given[self._own.get(name, name)])
            if own is not None and there is not None and abs(own - there) > DIFFERENCE_DEG:
                self.n_differ += 1
                return

    def assumptions(self) -> Iterator[Message]:
        """Yield what was assumed so far."""
        if self.n_differ:
            yield ASSUMPTIONS.make("geometry_taken", n=self.n_differ)
        if self.dates:
            yield ASSUMPTIONS.make("esri_utc")

    def check_tail(self, tail: str, *, has_crs: bool) -> None:
        """Raise if a CRS that follows the features was not used for them.

        Raises:
            InvalidInput: it is another than degrees, and the caller gives none.
        """
        is_esri = self.format == "esri-json"
        named = _member(tail, "spatialReference" if is_esri else "crs")
        late = None if has_crs or named is None else _crs_of(named, is_esri=is_esri)
        if late is not None and late != self.crs:
            raise InvalidInput(
                f"the file names its CRS, {late}, after its features: give crs={late}",
                field="crs",
                code="late_crs",
                params={"crs": late},
            )


def _member(text: str, name: str) -> Any:
    """Return a member's value in a JSON text that is cut off, None if it is not there."""
    found = re.search(rf'"{name}"\s*:\s*', text)
    if found is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text, found.end())
    except (ValueError, RecursionError):
        return None
    return value


def _crs_of(named: Any, *, is_esri: bool) -> str | None:
    """Return the CRS that a file names, None for degrees.

    Raises:
        InvalidInput: it is unknown.
    """
    if named is None:
        return None
    if is_esri:
        number = (named.get("latestWkid") or named.get("wkid")) if isinstance(named, dict) else None
        text = f"EPSG:{_ESRI_WEB.get(number, number)}" if isinstance(number, int) else str(named)
    else:
        properties = named.get("properties") if isinstance(named, dict) else None
        properties = properties if isinstance(properties, dict) else {}
        text = str(properties.get("name") or f"EPSG:{properties.get('code')}")
    if any(text.upper().endswith(name) for name in _DEGREES):
        return None
    found = _EPSG.search(text)
    try:
        known = None if found is None else CRS.from_epsg(int(found[1]))
    except CRSError:
        known = None
    if found is None or known is None:
        raise InvalidInput(
            f"the file's CRS {shortened(text)} is unknown: give it by crs=EPSG:...",
            field="crs",
            code="unknown_crs",
        )
    return None if int(found[1]) == _ESRI_DEGREES else f"EPSG:{found[1]}"


def _point(geometry: Any) -> tuple[Any, Any] | str:
    """Return the coordinates of a GeoJSON point, or why there are none."""
    if geometry is None:
        return "the geometry is null"
    if not isinstance(geometry, dict):
        return "the geometry is no object"
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "MultiPoint" and isinstance(coordinates, list):
        if len(coordinates) != 1:
            return f"the geometry is a MultiPoint of {len(coordinates)} points"
        coordinates = coordinates[0]
    elif kind != "Point":
        named = f"a {kind}" if kind in _OTHER_KINDS else "of an unknown kind"
        return f"the geometry is {named}, only points are read"
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        return f"the geometry is a {kind} without coordinates"
    return coordinates[0], coordinates[1]


def _esri_point(geometry: Any) -> tuple[Any, Any] | str:
    if geometry is None:
        return "the geometry is null"
    x, y = (geometry.get("x"), geometry.get("y")) if isinstance(geometry, dict) else (None, None)
    missing = any(v in (None, "NaN") for v in (x, y))
    return "the geometry is no point with x and y" if missing else (x, y)


def _esri_dates(fields: Any) -> Iterator[str]:
    for one in fields if isinstance(fields, list) else []:
        if isinstance(one, dict) and one.get("type") == "esriFieldTypeDate":
            yield str(one.get("name"))


def _moment(value: Any) -> Any:
    """Return milliseconds since 1970 as RFC 3339, other values unchanged."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return (_EPOCH + timedelta(milliseconds=value)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
