"""Map a file's columns to fields by the caller's mapping, a known portal's, or common names.

Fields are the contract's (`occurred_at`, `longitude`, ...) and the raw parts that some portals give
instead: a date beside a time or an hour (also of an interval's end), single numbers of year, month, day,
hour and minute, projected coordinates `x`, `y` (metres or feet of a CRS that must be named), one
`location` of both coordinates (WKT, GeoJSON or latitude and longitude; `lonlat`: longitude first), and the
`count` of incidents.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from app.core.bounds import check_text
from app.core.errors import InvalidInput
from app.core.texts import cut, shortened
from app.core.zones import zone
from app.readers.columns.choosing import choose
from app.readers.columns.names import is_known_name, reason_left_aside
from app.readers.columns.personal import MAX_NAME_CHARS, MAX_NAMED, is_personal, personal_columns
from app.readers.columns.portals import PORTALS, Portal, normalised_name
from app.readers.reading import ASSUMPTIONS, LeftAside, Reading

TIMES = ("occurred_at", "occurred_from", "occurred_to")
FIELDS = (*TIMES, "longitude", "latitude", "category", "external_id", "source", "reference", "feed",
          "updated_at")  # fmt: skip
TIME_PARTS = ("date", "time", "year", "month", "day", "hour", "minute")
END_PARTS = ("end_date", "end_time", "end_hour")
JOINED = {**dict.fromkeys(TIMES[:2], ("date", "time")), "occurred_to": ("end_date", "end_time")}
"""{time: parts that `A+B` names for it}."""
PLACE_PARTS = ("x", "y")
TIME_WAYS = (("occurred_at",), ("occurred_from",), ("date", "time"), ("date", "hour"),
             ("year", "month", "day", "hour"))  # fmt: skip
DAY_WAYS = (("date",), ("year", "month", "day"))
"""Ways that are enough where a date alone is an interval."""
LOCATIONS = ("location", "lonlat")
COUNT = "count"
ALL_FIELDS = (*FIELDS, *TIME_PARTS, *END_PARTS, *PLACE_PARTS, *LOCATIONS, COUNT)
_PORTAL_NAMES = frozenset(column for portal in PORTALS for column in portal.columns.values())
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_MAX_FORMAT_CHARS = 60
_NO_TEXT = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7")
MAX_CRS_CHARS = 64
MAX_CHOICE_CHARS = 100
MAX_HEADER_ROW = 100


@dataclass(frozen=True)
class ColumnMapping:
    """The caller's mapping of a file's columns.

    Args:
        columns: {field or part: name in the header}; `occurred_at: "A+B"` joins two columns, as
            `occurred_from` and `occurred_to` do.
        crs: of `x`, `y` (or of longitude and latitude, when those hold projected coordinates).
        time_format: of the times, in `strptime` notation; never guessed.
        zone: of times without an offset, if not the region's: an IANA name or `UTC`; `local`: offsets
            in the file are wrong, its times are the region's wall times.
        part: the sheet, layer or archive member to read.
        encoding: of a text file.
        header_row: position of the row with the column names, from 1.
        feed: who numbers the incidents; equal ids of two feeds are two incidents.
        date_only: `interval`: a date without a time is an interval of that local day.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    crs: str | None = None
    time_format: str | None = None
    zone: str | None = None
    part: str | None = None
    encoding: str | None = None
    header_row: int | None = None
    feed: str | None = None
    date_only: str | None = None

    def __post_init__(self) -> None:
        check_text(self.crs, "crs", MAX_CRS_CHARS)
        for name in ("zone", "part", "encoding", "feed"):
            check_text(getattr(self, name), name, MAX_CHOICE_CHARS)
        if self.zone not in (None, "local"):
            _check_zone(self.zone)
        if self.date_only not in (None, "interval"):
            raise InvalidInput(
                f"date_only must be interval, got {shortened(self.date_only)}", field="date_only"
            )
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.header_row is not None and not 1 <= self.header_row <= MAX_HEADER_ROW:
            raise InvalidInput(
                f"header_row must lie within 1..{MAX_HEADER_ROW}", field="header_row"
            )
        _check_fields(self.columns)
        if self.crs is not None:
            try:
                CRS.from_user_input(self.crs)
            except CRSError as error:
                raise InvalidInput(f"unknown CRS {shortened(self.crs)}", field="crs") from error
        if self.time_format is not None and (
            len(self.time_format) > _MAX_FORMAT_CHARS or "%" not in self.time_format
        ):
            raise InvalidInput("time_format must be a strptime format", field="time_format")

    @classmethod
    def parse(
        cls,
        columns: Sequence[str],
        crs: str | None = None,
        time_format: str | None = None,
        **choices: Any,
    ) -> ColumnMapping:
        """Parse `field=column` texts; `field=` says that the file has no such column.

        Raises:
            InvalidInput: a text is not such a pair, or names no field.
        """
        pairs = {}
        for text in columns:
            name, sign, column = text.partition("=")
            if not sign or not name.strip():
                raise InvalidInput(f"{shortened(text)} is not field=column", field="columns")
            pairs[name.strip()] = column.strip()
        return cls(pairs, crs, time_format, **choices)

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {**asdict(self), "columns": dict(self.columns)}

    def over(self, stored: Mapping[str, Any]) -> ColumnMapping:
        """Return a stored mapping, overridden by what this one says."""
        own = {name: value for name, value in self.to_json().items() if value is not None}
        return ColumnMapping(**{**stored, **own, "columns": {**stored["columns"], **self.columns}})


def _check_fields(columns: Mapping[str, str]) -> None:
    for name, column in columns.items():
        check_text(column, f"columns.{cut(name, 20)}")
        if name not in ALL_FIELDS:
            raise InvalidInput(
                f"unknown field {shortened(name)}; choose one of {', '.join(ALL_FIELDS)}",
                field="columns",
            )


def _check_zone(name: str) -> None:
    try:
        zone(name)
    except InvalidInput as error:
        raise InvalidInput(
            f"unknown zone {shortened(name)}; use an IANA name, UTC or local", field="zone"
        ) from error


def _check_encoding(name: str) -> None:
    try:
        found = codecs.lookup(name)
        is_text = found._is_text_encoding and found.name not in _NO_TEXT
    except (LookupError, ValueError):  # the latter of names with a null character
        is_text = False
    if not is_text:
        raise InvalidInput(
            f"unknown encoding {shortened(name)}; use a name such as utf-8, windows-1252, shift_jis",
            field="encoding",
        )


@dataclass(frozen=True)
class ColumnPlan:
    """{field or part: name in the file}, and how to read the values."""

    names: Mapping[str, str]
    crs: str | None = None
    time_format: str | None = None
    portal: str | None = None
    personal: tuple[str, ...] = ()
    """Columns about persons; they are not read."""
    reading: Reading = field(default_factory=Reading)
    date_only: bool = False
    """Whether a date without a time is enough."""

    def require_all(self, header: Sequence[str]) -> None:
        """Raise if the header lacks time or place.

        Raises:
            InvalidInput: names what is missing, and explains why a month alone is not enough.
        """
        shown, params = _shown(header)
        ways = (*TIME_WAYS, *(DAY_WAYS if self.date_only else ()))
        if not any(all(part in self.names for part in way) for way in ways):
            hint = ""
            if "month" in self.names or "year" in self.names or "date" in self.names:
                hint = (
                    " (a date or month without an hour does not give the hour of the week; "
                    "date_only=interval reads a date as an interval of that day)"
                )
                params["lacks"] = "hour"
            raise InvalidInput(
                f"column occurred_at is missing{hint}; {shown}",
                field="occurred_at",
                code="missing_column",
                params=params,
            )
        if any(name in self.names for name in LOCATIONS):
            return
        for degrees, metres in zip(("longitude", "latitude"), PLACE_PARTS, strict=True):
            if degrees not in self.names and metres not in self.names:
                raise InvalidInput(
                    f"column {degrees} is missing; {shown}",
                    field=degrees,
                    code="missing_column",
                    params=params,
                )


def plan_columns(header: Sequence[str], mapping: ColumnMapping) -> ColumnPlan:
    """Match a header: the caller's mapping first, then a known portal, then common names.

    Raises:
        InvalidInput: the mapping names a column that is not in the header.
    """
    _check_names(header)
    personal = personal_columns(header)
    exact = {normalised_name(name): name for name in reversed(header) if name not in personal}
    given = _given(mapping, exact, header)
    absent = {name for name, column in mapping.columns.items() if not column}
    absent |= {*END_PARTS} if "occurred_to" in absent else set()
    portal = _portal_of(exact)
    if portal is None:
        plan = ColumnPlan(choose([n for n in header if n not in personal], given, absent))
    else:
        chosen = {name: exact[column] for name, column in portal.columns.items() if column in exact}
        names = {n: c for n, c in chosen.items() if n not in absent}
        plan = ColumnPlan(names, portal.crs, portal.time_format, portal.name)
    if given:
        plan = replace(plan, names=_without_rivals({**plan.names, **given}, set(given)))
    crs, time_format = mapping.crs or plan.crs, mapping.time_format or plan.time_format
    said = [] if "category" in plan.names else [ASSUMPTIONS.make("no_kind")]
    if "occurred_to" not in mapping.columns and (end := _end_columns(plan.names)):
        said.append(ASSUMPTIONS.make("interval_read", column=cut(end, MAX_NAME_CHARS)))
    reading = Reading(
        columns=plan.names,
        preset=plan.portal,
        time_format=time_format,
        zone=mapping.zone,
        crs=crs,
        not_read=_left_aside(header, plan.names, personal),
        assumptions=tuple(said),
    )
    return replace(
        plan,
        crs=crs,
        time_format=time_format,
        personal=personal,
        reading=reading,
        date_only=mapping.date_only is not None,
    )


def _end_columns(names: Mapping[str, str]) -> str:
    """Return the columns of the intervals' end that were recognised, or an empty text."""
    found = [names[name] for name in ("occurred_to", *END_PARTS) if name in names]
    return "" if "occurred_to" in map(normalised_name, found) else "+".join(found)


def _left_aside(
    header: Sequence[str], names: Mapping[str, str], personal: Sequence[str]
) -> list[LeftAside]:
    taken = set(names.values())
    return [
        LeftAside("column", n, reason_left_aside(n, list(names), is_personal=n in personal))
        for n in header
        if n and n not in taken
    ]


def _check_names(header: Sequence[str]) -> None:
    """Raise if a column's name holds control characters.

    Raises:
        InvalidInput: names the first such column.
    """
    for place, name in enumerate(header, 1):
        if _CONTROL.search(name):
            raise InvalidInput(
                f"the name of column {place}, {shortened(name, 40)}, holds control characters: is the "
                "file damaged, or of another encoding (encoding=)?",
                field="columns",
                code="bad_text",
                params={"column": place},
            )


def _shown(header: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the header in words, and as parameters of an error.

    If no name is known the first row may be data, which is not repeated.
    """
    if not any(known_name(name) for name in header):
        text = f"none of the first row's {len(header)} fields is a known column: is it the header?"
        return text, {}
    encodable = (str(name).encode("utf-8", "replace").decode() for name in header[:MAX_NAMED])
    names = [cut(name, MAX_NAME_CHARS) for name in encodable]
    return f"the header has {shortened(', '.join(names), 200)}", {"header": names}


def known_name(name: str) -> bool:
    """Return whether a column's name is one of a field, or of a known portal."""
    return is_known_name(name) or normalised_name(name) in _PORTAL_NAMES


def _portal_of(exact: Mapping[str, str]) -> Portal | None:
    return next((p for p in PORTALS if all(column in exact for column in p.signature)), None)


def _given(
    mapping: ColumnMapping, exact: Mapping[str, str], header: Sequence[str]
) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, wanted in mapping.columns.items():
        if not wanted:
            continue
        parts = [part.strip() for part in wanted.split("+")]
        if any(is_personal(part) for part in parts):
            raise InvalidInput(
                f"{shortened(wanted)} is about persons; hotslot accepts only time, place and category",
                field="columns",
                code="personal_column",
            )
        missing = [p for p in parts if p not in header and normalised_name(p) not in exact]
        if missing:
            shown, params = _shown(header)
            raise InvalidInput(
                f"the file has no column {shortened(missing[0])}; {shown}",
                field="columns",
                code="missing_column",
                params=params,
            )
        found = [p if p in header else exact[normalised_name(p)] for p in parts]
        if name in JOINED and len(found) == 2:
            given.update(zip(JOINED[name], found, strict=True))
        elif len(found) == 1:
            given[name] = found[0]
        else:
            raise InvalidInput(f"{name} takes one column", field="columns")
    return given


def _without_rivals(names: dict[str, str], given: set[str]) -> dict[str, str]:
    """Drop alternatives to the columns that the caller named."""
    ends = {"occurred_to", *END_PARTS}
    for own, rivals in (
        ({"occurred_at"}, {"occurred_from", *TIME_PARTS, *ends}),
        (set(TIME_PARTS), {"occurred_at", "occurred_from", *ends}),
        ({"occurred_from"}, {"occurred_at", *TIME_PARTS}),
        ({"occurred_to"}, set(END_PARTS)),
        (set(END_PARTS), {"occurred_to"}),
        ({"longitude", "latitude"}, {*PLACE_PARTS, *LOCATIONS}),
        (set(PLACE_PARTS), {"longitude", "latitude", *LOCATIONS}),
        (set(LOCATIONS), {"longitude", "latitude", *PLACE_PARTS, *LOCATIONS}),
    ):
        if own & given:
            names = {n: c for n, c in names.items() if n in given or n not in rivals}
    return names
