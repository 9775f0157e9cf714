"""Time zones by name, and the range of instants that is accepted; without importing pandas."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.core.errors import InvalidInput
from app.core.texts import shortened


def zone(name: str) -> ZoneInfo:
    """Return the IANA time zone of that name.

    Raises:
        InvalidInput: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"unknown IANA time zone {shortened(name)}", field="timezone") from error


def localised(moment: datetime, timezone: str) -> datetime:
    """Return an aware instant; one without an offset is local time of that IANA zone.

    >>> localised(datetime(2026, 1, 10, 23), "America/Toronto").isoformat()
    '2026-01-10T23:00:00-05:00'
    """
    return moment if moment.tzinfo else moment.replace(tzinfo=zone(timezone))


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
