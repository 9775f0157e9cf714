"""Shorten values that messages repeat."""

from __future__ import annotations

SHOWN_CHARS = 80
MAX_MESSAGE_CHARS = 1_000


def shortened(value: object, limit: int = SHOWN_CHARS) -> str:
    """Quote a value for a message; shorten a long one to `limit` characters and its length.

    >>> shortened("theft")
    "'theft'"
    >>> shortened("x" * 4000, 10)
    "'xxxxxxxxxx...' (4000 characters)"
    """
    if isinstance(value, str):
        if len(value) <= limit:
            return repr(value)
        return f"{value[:limit] + '...'!r} ({len(value)} characters)"
    return cut(repr(value), limit)


def cut(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Truncate a text to a length, with a mark where something is missing.

    >>> cut("theft", 5), cut("robbery", 5)
    ('theft', 'ro...')
    """
    return text if len(text) <= limit else text[: limit - 3] + "..."
