"""Types of request parameters and members: ids in paths, texts, RFC 3339 times, boxes."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query
from pydantic import BeforeValidator, Field, WithJsonSchema

from app.core.bounds import MAX_TEXT_CHARS
from app.core.errors import InvalidInput

Bbox = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
TIME_PATTERN = (
    r"^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|1[0-9]|2[0-9]))"
    r"([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
    r"([Zz]|[+ -]([01][0-9]|2[0-3]):[0-5][0-9])?)?$"
)
"""A date, or a date with a time, with or without an offset."""
TIME_SCHEMA = {"type": "string", "pattern": TIME_PATTERN, "examples": ["2026-01-10T23:00"]}
HUGE_DEG = 20.0
"""No region has sides as long; see `MAX_EXTENT_DEG`."""
MAX_KINDS = 20
"""Categories or groups of one request."""
_TIME = re.compile(TIME_PATTERN.removesuffix("$"))
_BBOX: Any = {"pattern": r"^-?[0-9]{1,3}(\.[0-9]{1,9})?(,-?[0-9]{1,3}(\.[0-9]{1,9})?){3}$"}

RegionId = Annotated[str, Path(examples=["toronto"])]
VersionId = Annotated[str, Path(examples=["stack-20220101T050000Z-0c4cc6f7d471dba589"])]
RunId = Annotated[UUID, Path(examples=["539610f0-9967-4cbd-8cd2-8f33ab84e18e"])]
ShortText = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
"""A name, a category, an id, a column."""
LongText = Annotated[str, Field(max_length=2 * MAX_TEXT_CHARS)]
"""Two of them in one."""
CategoryNames = Annotated[
    list[ShortText] | None,
    Query(
        max_length=MAX_KINDS,
        description="a category, an alias of one, or a group; give it several times to sum up several",
    ),
]
BboxText = Annotated[
    str | None,
    Query(max_length=200, description="west,south,east,north in degrees", json_schema_extra=_BBOX),
]


def parse_bbox(text: str | None) -> Bbox | None:
    """Parse `west,south,east,north` in degrees.

    Raises:
        InvalidInput: not four numbers in range and in order.
    """
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput("bbox is west,south,east,north in degrees", field="bbox") from error
    if fault := _bbox_fault(west, south, east, north):
        raise InvalidInput(f"bbox is west,south,east,north in degrees; {fault}", field="bbox")
    return west, south, east, north


def _bbox_fault(west: float, south: float, east: float, north: float) -> str | None:
    """Return what is wrong with a box."""
    if not (abs(west) <= 180 and abs(east) <= 180):
        return f"west {west:g} and east {east:g} must lie within -180..180"
    if not (abs(south) <= 90 and abs(north) <= 90):
        return (
            f"south {south:g} and north {north:g} must lie within -90..90; is the longitude first?"
        )
    if south > north:
        return f"south {south:g} is above north {north:g}"
    if east < west <= east + 180:
        return (
            f"west {west:g} is east of east {east:g}; only a box over the 180th meridian, such as "
            "179,-17,-179,-16, may be written so"
        )
    return None


def check_bbox_order(bbox: Bbox, known: Bbox) -> None:
    """Refuse a box that misses a region, or is huge, but fits in another order.

    Args:
        bbox: the box, as west, south, east, north.
        known: roughly where the region lies.

    Raises:
        InvalidInput: it was probably given with latitudes first, or as west, east, south, north.
    """
    one, two, three, four = bbox
    if one > three:
        return
    meant = None
    if not _meet(bbox, known) and _meet((two, one, four, three), known):
        meant = (two, one, four, three)
    wide = min(three - one, four - two) > HUGE_DEG and 0 <= two - one < HUGE_DEG > four - three >= 0
    if wide and _meet((one, three, two, four), known):
        meant = (one, three, two, four)
    if meant is not None:
        raise InvalidInput(
            "bbox is west,south,east,north in degrees; "
            f"{_bbox_text(bbox)} is in another order: send {_bbox_text(meant)}",
            field="bbox",
            code="bbox_order",
            params={"bbox": list(bbox), "meant": list(meant)},
        )


def _meet(one: Bbox, other: Bbox) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _bbox_text(bbox: Bbox) -> str:
    return ",".join(f"{number:g}" for number in bbox)


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time; one without an offset stays naive (the region's local time).

    Raises:
        ValueError: not such a time.

    >>> parse_time("2026-01-10T23:00+01:00").isoformat()
    '2026-01-10T23:00:00+01:00'
    """
    if _TIME.fullmatch(text) is None:
        raise ValueError("must be an RFC 3339 time, such as 2026-01-10T23:00")
    date, rest = text[:10], text[11:]
    # A plus sign that was not percent-encoded arrives as a space.
    return datetime.fromisoformat(f"{date}T{rest.upper().replace(' ', '+')}" if rest else date)


def moment(text: str | None, field: str) -> datetime | None:
    """Parse the time in a query parameter.

    Raises:
        InvalidInput: not an RFC 3339 time.
    """
    if text is None:
        return None
    try:
        return parse_time(text.strip())
    except ValueError as error:
        raise InvalidInput(f"{field} must be an RFC 3339 time", field=field) from error


def _strict(value: object) -> datetime:
    """Parse a text; refuse numbers, since nothing says what they count."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a text with an RFC 3339 time")  # noqa: TRY004 (pydantic's way)
    return parse_time(value)


Moment = Annotated[datetime, BeforeValidator(_strict), WithJsonSchema(TIME_SCHEMA)]
"""A time in a JSON body."""
