"""Texts of others in our own: messages repeat at most the beginning of a value."""

from __future__ import annotations

SHOWN_CHARS = 80
MAX_MESSAGE_CHARS = 1_000


def shortened(value: object, limit: int = SHOWN_CHARS) -> str:
    """Quote a value for a message; of a long one the first `limit` characters and its length.

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
    """A text, or as much of it as fits with a mark that some is missing.

    >>> cut("theft", 5), cut("robbery", 5)
    ('theft', 'ro...')
    """
    return text if len(text) <= limit else text[: limit - 3] + "..."
