"""Read rows of the presence log: JSON, NDJSON, GeoJSON and CSV to checked rows or errors."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import shapely

from app.core.bounds import MAX_TEXT_CHARS
from app.core.errors import HotslotError, InvalidInput, LimitExceeded
from app.core.media_types import GEOJSON, JSON
from app.core.output.plain_text import from_spreadsheet
from app.core.texts import shortened
from app.core.zones import localised
from app.geo.boundaries import boundary_shape
from app.http.parameters import parse_time
from app.presence.store import LONGEST, PresenceRow

CSV, NDJSON = "text/csv", "application/x-ndjson"
TYPES = (JSON, GEOJSON, NDJSON, CSV)
FIELDS = ("from", "to", "activity", "unit", "cell", "cells", "area", "geometry")
PLACES = FIELDS[4:]
OURS = frozenset((*FIELDS, "id", "hours"))
"""Members that an export has besides; they are not stored."""
MAX_ROWS = 20_000
MAX_ERRORS = 100
MAX_UNIT_CHARS = 100
MAX_VERTICES = 2_000
MAX_EARLY = timedelta(days=1)
"""Clocks differ; what ends later than that has not happened."""
GRID_DEG = 1e-7
Shaper = Callable[[str, Any], Any]


class _RowError(Exception):
    def __init__(self, field_: str, code: str, message: str) -> None:
        self.field, self.code, self.message = field_, code, message


@dataclass
class Parsed:
    """What a body holds; received = rows + rejected.

    `errors` lists the first rejected rows; `ignored` the members that are not stored.
    """

    rows: list[PresenceRow] = field(default_factory=list)
    rejected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)


def parse_rows(content: bytes, kind: str, timezone: str, shaper: Shaper, since: datetime) -> Parsed:
    """Read a body.

    Args:
        content: the body.
        kind: one of `TYPES`.
        timezone: of times without an offset.
        shaper: returns the polygon in degrees of a cell, cells, an area or a GeoJSON geometry.
        since: rows that ended before are refused.

    Raises:
        InvalidInput: not of that type.
        LimitExceeded: too many rows.
    """
    found = Parsed()
    shapes: dict[bytes, bytes] = {}
    for place, given in enumerate(_members(content, kind)):
        if place >= MAX_ROWS:
            raise LimitExceeded(
                f"at most {MAX_ROWS} rows at once; send the rest by itself",
                field="rows",
                limit=MAX_ROWS,
            )
        try:
            found.ignored.update(str(name)[:MAX_TEXT_CHARS] for name in given if name not in OURS)
            found.rows.append(_row(given, timezone, shaper, shapes, since))
        except _RowError as error:
            found.rejected += 1
            if len(found.errors) < MAX_ERRORS:
                named = {"field": error.field, "code": error.code, "message": error.message}
                found.errors.append({"row": place + 1, **named})
    return found


def _members(content: bytes, kind: str) -> Iterator[Mapping[str, Any]]:
    try:
        if kind == CSV:
            text = io.StringIO(content.decode("utf-8-sig"), newline="")
            lines = csv.DictReader(text, strict=True)
            if missing := {"from", "to"} - set(lines.fieldnames or ()):
                raise InvalidInput(
                    f"the table has no column {', '.join(sorted(missing))}; a first line names them",
                    code="bad_body",
                )
            for line in lines:
                yield {
                    name: from_spreadsheet(value)
                    for name, value in line.items()
                    if name is not None and value
                }
            return
        if kind == NDJSON:
            rows: Any = (orjson.loads(line) for line in content.splitlines() if line.strip())
        else:
            rows = orjson.loads(content)
            if isinstance(rows, dict):
                rows = rows.get("features") if "features" in rows else [rows]
        if rows is None or isinstance(rows, str | int | float):
            raise InvalidInput("the body must be an array of rows", code="bad_body")
        for one in rows:
            yield _flat(one)
    except (UnicodeDecodeError, csv.Error, orjson.JSONDecodeError) as error:
        raise InvalidInput(f"the body is not {kind}: {error}", code="bad_body") from error


def _flat(one: Any) -> Mapping[str, Any]:
    """Return a row of JSON; of a GeoJSON feature its properties and geometry."""
    if not isinstance(one, dict):
        return {}
    if one.get("type") != "Feature":
        return one
    properties = one.get("properties")
    geometry = {} if one.get("geometry") is None else {"geometry": one["geometry"]}
    return {**(properties if isinstance(properties, dict) else {}), **geometry}


def _row(
    given: Mapping[str, Any],
    timezone: str,
    shaper: Shaper,
    shapes: dict[bytes, bytes],
    since: datetime,
) -> PresenceRow:
    started, ended = (_time(given, name, timezone) for name in ("from", "to"))
    if ended <= started:
        raise _RowError("to", "bad_interval", "to must be later than from")
    if ended - started > LONGEST:
        hours = LONGEST / timedelta(hours=1)
        raise _RowError("to", "too_long", f"a row lasts at most {hours:g} hours; split it")
    if ended > datetime.now(UTC) + MAX_EARLY:
        raise _RowError(
            "to", "in_future", "the log is of where somebody was; this is in the future"
        )
    if ended < since:
        raise _RowError("to", "too_old", f"the log begins at {since:%Y-%m-%d} (retention)")
    activity = _text(given, "activity", MAX_TEXT_CHARS)
    if activity is None:
        raise _RowError("activity", "missing", "say what was done, such as 'foot patrol'")
    unit = _text(given, "unit", MAX_UNIT_CHARS)
    return PresenceRow(started, ended, _shape(given, shaper, shapes), activity, unit)


def _time(given: Mapping[str, Any], name: str, timezone: str) -> datetime:
    value = given.get(name)
    if not isinstance(value, str):
        raise _RowError(name, "missing", f"{name} must be an RFC 3339 time")
    try:
        return localised(parse_time(value.strip()), timezone).astimezone(UTC)
    except (ValueError, OverflowError, HotslotError) as error:
        raise _RowError(
            name, "bad_time", f"{name}: {shortened(value)} is no RFC 3339 time"
        ) from error


def _text(given: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or "\x00" in value or len(value.strip()) > limit:
        raise _RowError(name, "bad_text", f"{name} must be a text of at most {limit} characters")
    return value.strip() or None


def _shape(given: Mapping[str, Any], shaper: Shaper, shapes: dict[bytes, bytes]) -> bytes:
    named = [name for name in PLACES if given.get(name) is not None]
    if len(named) != 1:
        raise _RowError(
            "geometry", "bad_place", f"give one of {', '.join(PLACES)}; got {len(named)} of them"
        )
    name = named[0]
    key = name.encode() + orjson.dumps(given[name], option=orjson.OPT_NON_STR_KEYS)
    if key not in shapes:
        try:
            shapes[key] = _checked(shaper(name, given[name]))
        except HotslotError as error:
            raise _RowError(name, error.code, error.message) from error
    return shapes[key]


def _checked(shape: Any) -> bytes:
    """Return a polygon as WKB, rounded to a centimetre, so that its GeoJSON gives it back.

    Raises:
        InvalidInput: it is empty, or has too many vertices.
    """
    rounded = shapely.set_precision(shape, GRID_DEG)
    n_vertices = int(shapely.get_num_coordinates(rounded))
    if n_vertices > MAX_VERTICES:
        raise InvalidInput(
            f"the polygon has {n_vertices} vertices, the limit is {MAX_VERTICES}", code="bad_place"
        )
    if rounded.is_empty or rounded.area <= 0:
        raise InvalidInput("the polygon is empty", code="bad_place")
    # Rounded again as text would be: a grid's multiples have digits of their own.
    text = shapely.transform(shapely.normalize(rounded), lambda xy: xy.round(7))
    found: bytes = shapely.to_wkb(text)
    return found


def polygon_of(value: Any) -> Any:
    """Return the polygons (degrees) of a GeoJSON geometry, or of its text or WKT as CSV has it.

    Raises:
        InvalidInput: it is neither.
    """
    given = value
    if isinstance(value, str):
        try:
            shape = (
                shapely.from_geojson(value)
                if value.lstrip().startswith("{")
                else shapely.from_wkt(value)
            )
            given = orjson.loads(shapely.to_geojson(shape))
        except (shapely.errors.GEOSException, ValueError, TypeError) as error:
            raise InvalidInput("geometry is neither GeoJSON nor WKT", code="bad_place") from error
    if not isinstance(given, Mapping):
        raise InvalidInput("geometry must be a GeoJSON polygon", code="bad_place")
    return boundary_shape(given)
