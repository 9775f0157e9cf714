"""The range of instants that hotslot accepts; calendar arithmetic is safe within it."""

from __future__ import annotations

from datetime import UTC, datetime

from app.core.errors import InvalidInput

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def check_moment(moment: datetime, field: str) -> None:
    """Raise unless an instant has an offset and lies within 1970..2200.

    Raises:
        InvalidInput: no UTC offset, or out of range.
    """
    if moment.tzinfo is None:
        raise InvalidInput(f"{field} needs a UTC offset", field=field)
    try:
        inside = EARLIEST <= moment < LATEST
    except OverflowError:
        inside = False
    if not inside:
        raise InvalidInput(
            f"{field} is {moment.isoformat()}; it must lie within {EARLIEST.year} and {LATEST.year}",
            field=field,
        )
