"""Times as clients write them: RFC 3339, never a bare number, never a guess."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from app.core.errors import InvalidInput

TIME_PATTERN = (
    r"^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|1[0-9]|2[0-9]))"
    r"([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
    r"([Zz]|[+ -]([01][0-9]|2[0-3]):[0-5][0-9])?)?$"
)
"""A date, or a date with a time, with or without an offset."""
TIME_SCHEMA = {"type": "string", "pattern": TIME_PATTERN, "examples": ["2026-01-10T23:00"]}
_TIME = re.compile(TIME_PATTERN.removesuffix("$"))


def parse_time(text: str) -> datetime:
    """A time as RFC 3339 writes it; one without an offset stays naive (the region's local time).

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
    """A query parameter's time.

    Raises:
        InvalidInput: not such a time.
    """
    if text is None:
        return None
    try:
        return parse_time(text.strip())
    except ValueError as error:
        raise InvalidInput(f"{field} must be an RFC 3339 time", field=field) from error


def _strict(value: object) -> datetime:
    """The instant a text names; numbers are refused, since nothing says what they count."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a text with an RFC 3339 time")  # noqa: TRY004 (pydantic's way)
    return parse_time(value)


Moment = Annotated[datetime, BeforeValidator(_strict), WithJsonSchema(TIME_SCHEMA)]
"""A time in a JSON body."""
