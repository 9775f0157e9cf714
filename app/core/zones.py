"""Time zones by name, without importing pandas."""

from __future__ import annotations

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
