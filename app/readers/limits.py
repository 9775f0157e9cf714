"""Limits on what is made of an upload, the same for every format.

What arrives is bounded by `HOTSLOT_MAX_BODY_BYTES`; these bound what it unfolds to, in bytes, rows and
values, relative to what was sent, so that a small body cannot occupy memory, a core or the disk.
"""

from __future__ import annotations

import re
from typing import Any

from app.core.errors import InvalidInput, LimitExceeded

EXPANSION_FLOOR_BYTES = 1 << 20
"""A small body may expand to this whatever its ratio."""
MADE_FLOOR_BYTES = 16 << 20
"""Of values read from a file; a small file may give so many whatever its ratio."""
ROWS_FLOOR = 50_000
"""Rows that a body of any size may hold; past it, each needs `ROW_BYTES` that were sent."""
ROW_BYTES = 2
"""Compressed incident files have 4 to 40 bytes a row."""
MAX_COLUMNS = 2_000
MAX_ROW_VALUES = 2_000
"""Values of one JSON row, nested ones counted."""
BLOCK_CHARS = 4 << 20
"""A block of rows ends when it holds so much text, however few its rows are."""
KNOWN_CRS = re.compile(r"EPSG:\d{1,6}|OGC:CRS84")
"""What a process that reads files of others may say of coordinates: names, no definitions."""


def rows_allowed(sent_bytes: int, max_rows: int) -> int:
    """Rows that a body of so many bytes, as sent, may hold."""
    return min(max_rows, max(ROWS_FLOOR, sent_bytes // ROW_BYTES))


def check_rows(n_rows: int, sent_bytes: int, max_rows: int) -> None:
    """Refuse more rows than a body of this size may hold.

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


class Unfolding:
    """Counts the bytes that a body unfolds to, through all layers of archives.

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
        """Count what is about to be unfolded.

        Raises:
            LimitExceeded: over the limit of bytes, or of expansion.
        """
        self.n_bytes += n_bytes
        if self.n_bytes > self.max_bytes:
            raise LimitExceeded(
                f"unfolds to {self.n_bytes} bytes, the limit is {self.max_bytes}", code="too_large"
            )
        if self.n_bytes > self.expanded_bytes:
            raise implausible(self.max_expansion)


def implausible(max_expansion: int) -> LimitExceeded:
    """The refusal of a body that unfolds too far."""
    return LimitExceeded(
        f"expands more than {max_expansion} times: not plausible for incidents", code="too_large"
    )


def check_columns(header: list[Any]) -> None:
    """Refuse a header with more columns than any table of incidents has.

    Raises:
        InvalidInput: too many.
    """
    if len(header) > MAX_COLUMNS:
        raise InvalidInput(
            f"{len(header)} columns, the limit is {MAX_COLUMNS}", code="too_many_columns"
        )


class Refused:
    """Stands for a row that is not looked at any further."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def too_long(limit_chars: int) -> str:
    """Why a row with an overlong text is refused."""
    return f"a text is longer than {limit_chars} characters"


def has_too_many_values(text: str) -> bool:
    """Whether a JSON text may hold more than `MAX_ROW_VALUES` values; read before it is parsed."""
    if len(text) <= 2 * MAX_ROW_VALUES:
        return False
    return text.count(",") + text.count("[") + text.count("{") > MAX_ROW_VALUES


TOO_MANY_VALUES = f"more than {MAX_ROW_VALUES} values in one row"


def bounded_row(row: Any, limit_chars: int) -> Any:
    """A JSON row without what is nested in it, or why it is refused.

    No field takes a nested value: an empty object stands for it, and is refused by its field's rule.
    """
    if not isinstance(row, dict):
        return None
    if any(isinstance(value, str) and len(value) > limit_chars for value in row.values()):
        return Refused(too_long(limit_chars))
    return {
        name: {} if isinstance(value, dict | list) else value
        for name, value in row.items()
        if len(name) <= limit_chars
    }
