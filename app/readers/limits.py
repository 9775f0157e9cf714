"""Limits on what an upload expands to, the same for every format.

`HOTSLOT_MAX_BODY_BYTES` bounds what is sent; these bound what it expands to, in bytes, rows and values,
relative to what was sent, so that a small body cannot exhaust memory, a core or the disk.
"""

from __future__ import annotations

import re
from typing import Any

from app.core.errors import InvalidInput, LimitExceeded
from app.readers.columns.locations import text_of_place

EXPANSION_FLOOR_BYTES = 1 << 20
"""A body may expand to this many bytes at any ratio."""
MADE_FLOOR_BYTES = 16 << 20
"""Of values read from a file, which may give this many bytes at any ratio."""
ROWS_FLOOR = 50_000
"""Rows that a body of any size may hold; each further one needs `ROW_BYTES` as sent."""
ROW_BYTES = 2
"""Compressed incident files have 4 to 40 bytes a row."""
MAX_COLUMNS = 2_000
MAX_ROW_VALUES = 2_000
"""Values of one JSON row, nested ones counted."""
BLOCK_CHARS = 4 << 20
"""A block of rows ends at this amount of text, however few its rows are."""
PLACE_CHARS = 200
KNOWN_CRS = re.compile(r"EPSG:\d{1,6}|OGC:CRS84")
"""CRS that an isolated reader may report: names, not definitions."""


def rows_allowed(sent_bytes: int, max_rows: int) -> int:
    """Return how many rows a body of this many bytes, as sent, may hold."""
    return min(max_rows, max(ROWS_FLOOR, sent_bytes // ROW_BYTES))


def check_rows(n_rows: int, sent_bytes: int, max_rows: int) -> None:
    """Raise if a body of this size has more rows than allowed.

    Raises:
        LimitExceeded: too many rows.
    """
    allowed = rows_allowed(sent_bytes, max_rows)
    if n_rows <= allowed:
        return
    reason = "the limit of one upload" if allowed == max_rows else f"from {sent_bytes} bytes"
    raise LimitExceeded(
        f"over {allowed} rows, {reason}: split the upload", code="too_large", limit=allowed
    )


class ExpansionLimit:
    """Count the bytes that a body expands to, through all layers of archives.

    Args:
        max_bytes: of all together.
        max_expansion: of them per byte sent, past `EXPANSION_FLOOR_BYTES`.
        sent_bytes: size of the body as it was sent.
    """

    def __init__(self, max_bytes: int, max_expansion: int, sent_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.max_expansion = max_expansion
        self.expanded_bytes = max(EXPANSION_FLOOR_BYTES, max_expansion * sent_bytes)
        self.n_bytes = 0

    def add(self, n_bytes: int) -> None:
        """Count bytes that are about to be unpacked.

        Raises:
            LimitExceeded: over the limit of bytes, or of expansion.
        """
        self.n_bytes += n_bytes
        if self.n_bytes > self.max_bytes:
            raise LimitExceeded(
                f"expands to {self.n_bytes} bytes, the limit is {self.max_bytes}", code="too_large"
            )
        if self.n_bytes > self.expanded_bytes:
            raise implausible(self.max_expansion)


def implausible(max_expansion: int) -> LimitExceeded:
    """Return the error for a body that expands too far."""
    return LimitExceeded(
        f"expands more than {max_expansion} times: implausible for incidents", code="too_large"
    )


def check_columns(header: list[Any]) -> None:
    """Raise if a header has more columns than any table of incidents.

    Raises:
        InvalidInput: too many.
    """
    if len(header) > MAX_COLUMNS:
        raise InvalidInput(
            f"{len(header)} columns, the limit is {MAX_COLUMNS}", code="too_many_columns"
        )


class Refused:
    """Marks a row that is rejected without further checks."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def too_long(limit_chars: int) -> str:
    """Return why a row with an overlong text is rejected."""
    return f"a text is longer than {limit_chars} characters"


def has_too_many_values(text: str) -> bool:
    """Return whether a JSON text may hold over `MAX_ROW_VALUES` values, without parsing it."""
    if len(text) <= 2 * MAX_ROW_VALUES:
        return False
    return text.count(",") + text.count("[") + text.count("{") > MAX_ROW_VALUES


TOO_MANY_VALUES = f"more than {MAX_ROW_VALUES} values in one row"


def bounded_row(row: Any, limit_chars: int) -> Any:
    """Return a JSON row without nested values, or why it is rejected.

    No field accepts a nested value but a place: an empty object replaces it, and the field's rule
    rejects that.
    """
    if not isinstance(row, dict):
        return None
    if any(isinstance(value, str) and len(value) > limit_chars for value in row.values()):
        return Refused(too_long(limit_chars))
    return {
        name: _flat(value) if isinstance(value, dict | list) else value
        for name, value in row.items()
        if len(name) <= limit_chars
    }


def _flat(value: Any) -> Any:
    place = text_of_place(value)
    return place if isinstance(place, str) and len(place) <= PLACE_CHARS else {}
