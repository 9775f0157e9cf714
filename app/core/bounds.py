"""Size limits of stored values, checked by HTTP, command line and services alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized

from app.core.errors import LimitExceeded
from app.core.texts import shortened

MAX_TEXT_CHARS = 200
"""Longest name, category, id or column name."""
MAX_ADDRESS_CHARS = 2_000
MAX_CATEGORIES_NAMED = 1_000
"""In one training request."""
MAX_MAPPINGS = 20
MAX_NEIGHBOURHOODS = 5_000
"""Areas of one layer."""
MAX_LAYERS = 20
MAX_LAYER_BYTES = 32 << 20
MAX_SOURCES = 50
MAX_SUBSCRIPTIONS = 50
"""Of one region."""
MAX_REGIONS = 1_000
MAX_KEYS = 10_000


def check_text(value: str | None, field: str, limit: int = MAX_TEXT_CHARS) -> None:
    """Raise if a text is longer than `limit` characters; None is allowed.

    Raises:
        LimitExceeded: it is longer.
    """
    if value is not None and len(value) > limit:
        raise LimitExceeded(
            f"{field} may have at most {limit} characters, got {shortened(value)}",
            field=field,
            limit=limit,
            asked=len(value),
        )


def check_length(values: Sized | None, field: str, limit: int) -> None:
    """Raise if a list has more than `limit` entries; None is allowed.

    Raises:
        LimitExceeded: it is longer.
    """
    if values is not None and len(values) > limit:
        raise LimitExceeded(
            f"{field} may have at most {limit} entries, got {len(values)}",
            field=field,
            limit=limit,
            asked=len(values),
        )


def check_number(asked: float, limit: float, what: str, field: str, advice: str = "") -> None:
    """Raise if a number is above its limit.

    Args:
        what: the number in words, such as "700 areas"; the message adds the limit.
        advice: what to do, after a semicolon.

    Raises:
        LimitExceeded: it is above.
    """
    if asked > limit:
        said = f"{what}, the limit is {limit}" + (f"; {advice}" if advice else "")
        raise LimitExceeded(said, field=field, limit=limit, asked=asked)


def limited(
    content: Iterable[bytes], limit: int, refusal: str, field: str | None = None
) -> Iterator[bytes]:
    """Yield a body's bytes until there are more than allowed.

    Raises:
        LimitExceeded: there are, with the message `refusal`.
    """
    n_bytes = 0
    for chunk in content:
        n_bytes += len(chunk)
        if n_bytes > limit:
            raise LimitExceeded(refusal, code="too_large", field=field, limit=limit)
        yield chunk
