"""How large what is stored may be: checked at every door here, and by the database besides."""

from __future__ import annotations

from collections.abc import Sized

from app.core.errors import LimitExceeded
from app.core.texts import shortened

MAX_TEXT_CHARS = 200
"""Of a name, a category, an id, a column."""
MAX_ADDRESS_CHARS = 2_000
MAX_CATEGORIES_NAMED = 1_000
"""By a training."""
MAX_MAPPINGS = 20
MAX_NEIGHBOURHOODS = 5_000
MAX_SOURCES = 50
MAX_REGIONS = 1_000
MAX_KEYS = 10_000


def check_text(value: str | None, field: str, limit: int = MAX_TEXT_CHARS) -> None:
    """Nothing when a text is missing or short enough.

    Raises:
        LimitExceeded: it is longer.
    """
    if value is not None and len(value) > limit:
        raise LimitExceeded(
            f"{field} may have {limit} characters, not {shortened(value)}",
            field=field,
            limit=limit,
            asked=len(value),
        )


def check_length(values: Sized | None, field: str, limit: int) -> None:
    """Nothing when a list is missing or short enough.

    Raises:
        LimitExceeded: it is longer.
    """
    if values is not None and len(values) > limit:
        raise LimitExceeded(
            f"{field} may have {limit} entries, not {len(values)}",
            field=field,
            limit=limit,
            asked=len(values),
        )
