"""Find the row of a table that names its columns: title rows may stand above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from app.core.errors import InvalidInput
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import ColumnPlan, known_name, plan_columns
from app.readers.limits import check_columns
from app.readers.reading import LeftAside

HEADER_WITHIN = 30
"""Rows among which the header is looked for."""
NO_HEADER = ("missing_column", "unreadable_row", "bad_text")
"""Codes of errors that say that a row is not the header."""
WITHOUT = ("category", "external_id", "updated_at")
"""Fields that a header need not have."""
Candidate = tuple[int, Callable[[], list[str]]]
"""A row's position, from 0, and what returns its names."""


def find_header(candidates: Sequence[Candidate], mapping: ColumnMapping) -> tuple[int, ColumnPlan]:
    """Return the position and plan of the first row whose names give time and place.

    Raises:
        InvalidInput: there is none; the message is about the row with most known names.
    """
    best: tuple[int, int, InvalidInput] | None = None
    for place, names_of in candidates:
        names: list[str] = []
        try:
            names = names_of()
            return place, _planned(names, mapping)
        except InvalidInput as caught:
            error = _of_time_and_place(names, mapping, caught)
            if error.code not in NO_HEADER:
                raise
            n_known = sum(map(known_name, names)) if error.code == "missing_column" else 0
            if best is None or n_known > best[0]:
                best = (n_known, place, error)
    if best is None:
        raise InvalidInput("the file is empty", code="empty")
    raise _explained(*best)


def _of_time_and_place(
    names: list[str], mapping: ColumnMapping, error: InvalidInput
) -> InvalidInput:
    """Return what a row lacks that has two columns of one meaning, such as a row of headings."""
    if error.code != "ambiguous_column":
        return error
    absent = dict.fromkeys(WITHOUT, "")
    try:
        _planned(names, replace(mapping, columns={**absent, **mapping.columns}))
    except InvalidInput as lacking:
        return lacking if lacking.code == "missing_column" else error
    return error


def _explained(n_known: int, place: int, error: InvalidInput) -> InvalidInput:
    if n_known and place:
        error.message = f"row {place + 1}: {error.message}"
    elif not n_known and error.code == "missing_column":
        error.message += (
            f"; no other of the first {HEADER_WITHIN} rows is one either: name the row by header_row=, "
            "or its columns by columns="
        )
    error.args = (error.message,)
    return error


def given_header(names: list[str] | None, mapping: ColumnMapping) -> ColumnPlan:
    """Return the plan of the row that the caller says is the header.

    Raises:
        InvalidInput: there is no such row, or its names lack time or place.
    """
    if names is None:
        raise InvalidInput(
            f"header_row {mapping.header_row}: the table has fewer rows", field="header_row"
        )
    return _planned(names, mapping)


def _planned(names: list[str], mapping: ColumnMapping) -> ColumnPlan:
    check_columns(names)
    plan = plan_columns(names, mapping)
    plan.require_all(names)
    return plan


def title_rows(first: int, header: int) -> tuple[LeftAside, ...]:
    """Return the rows above the header, which are left aside (positions from 0)."""
    if header <= first:
        return ()
    named = f"{first + 1}" if header == first + 1 else f"{first + 1}-{header}"
    return (LeftAside("rows", named, "title"),)
