"""Map a file's columns to fields by the caller's mapping, a known portal's, or common names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.errors import InvalidInput
from app.core.messages import Message
from app.core.texts import cut, shortened
from app.readers.columns.choosing import choose
from app.readers.columns.fields import (
    DAY_WAYS,
    END_PARTS,
    JOINED,
    LOCATIONS,
    PLACE_PARTS,
    TIME_PARTS,
    TIME_WAYS,
)
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.names import is_known_name, reason_left_aside
from app.readers.columns.personal import MAX_NAME_CHARS, MAX_NAMED, is_personal, personal_columns
from app.readers.columns.portals import PORTALS, Portal, normalised_name
from app.readers.reading import ASSUMPTIONS, LeftAside, Reading

_PORTAL_NAMES = frozenset(column for portal in PORTALS for column in portal.columns.values())
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


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
    plan = _recognised(header, exact, given, absent, personal)
    if given:
        plan = replace(plan, names=_without_rivals({**plan.names, **given}, set(given)))
    crs, time_format = mapping.crs or plan.crs, mapping.time_format or plan.time_format
    reading = Reading(
        columns=plan.names,
        preset=plan.portal,
        time_format=time_format,
        zone=mapping.zone,
        crs=crs,
        not_read=_left_aside(header, plan.names, personal),
        assumptions=tuple(_assumptions(plan.names, mapping)),
    )
    return replace(
        plan,
        crs=crs,
        time_format=time_format,
        personal=personal,
        reading=reading,
        date_only=mapping.date_only is not None,
    )


def _recognised(
    header: Sequence[str],
    exact: Mapping[str, str],
    given: Mapping[str, str],
    absent: Collection[str],
    personal: Sequence[str],
) -> ColumnPlan:
    """Return the columns that a known portal or common names give."""
    portal = _portal_of(exact)
    if portal is None:
        return ColumnPlan(choose([n for n in header if n not in personal], given, absent))
    chosen = {name: exact[column] for name, column in portal.columns.items() if column in exact}
    names = {name: column for name, column in chosen.items() if name not in absent}
    return ColumnPlan(names, portal.crs, portal.time_format, portal.name)


def _assumptions(names: Mapping[str, str], mapping: ColumnMapping) -> Iterator[Message]:
    if "category" not in names:
        yield ASSUMPTIONS.make("no_kind")
    if "occurred_to" not in mapping.columns and (end := _end_columns(names)):
        yield ASSUMPTIONS.make("interval_read", column=cut(end, MAX_NAME_CHARS))


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
