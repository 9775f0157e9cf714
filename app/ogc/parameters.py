"""Parameters of OGC API: `datetime`, and how open intervals become hours that can be forecast."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.core.errors import InvalidInput
from app.core.texts import shortened

LONGEST = timedelta(hours=168)
"""Forecasts are of up to a week together; open intervals are cut to it."""
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+ -]\d{2}:\d{2})", re.ASCII
)


@dataclass(frozen=True)
class Interval:
    """A closed interval, open where an end is None; an instant if both are equal."""

    start: datetime | None
    end: datetime | None

    def selected(self) -> dict[str, Any]:
        """Return the times of a forecast's `Selector`: an hour, or a span of up to a week."""
        if self.start is not None and self.start == self.end:
            return {"at": self.start}
        start, end = self.start, self.end
        try:
            if start is None and end is not None:
                start = end - LONGEST
            elif end is None and start is not None:
                end = start + LONGEST
        except OverflowError as error:
            raise InvalidInput("datetime lies beyond any forecast", field="datetime") from error
        return {"start": start, "end": end}


def parse_datetime(text: str | None) -> Interval | None:
    """Parse `datetime` of OGC API: an instant, or an interval of which one end may be `..` or empty.

    Raises:
        InvalidInput: it is neither, a time has no offset, or the end is before the start.

    >>> parse_datetime("2026-01-10T23:00:00Z/..").start.isoformat()
    '2026-01-10T23:00:00+00:00'
    """
    if text is None:
        return None
    parts = text.split("/")
    if len(parts) == 1:
        moment = _moment(text)
        return Interval(moment, moment)
    ends = [None if part in ("", "..") else _moment(part) for part in parts]
    if len(ends) != 2 or ends == [None, None]:
        raise InvalidInput(
            "datetime is an instant, or start/end of which one may be '..'", field="datetime"
        )
    start, end = ends
    if start is not None and end is not None and end < start:
        raise InvalidInput("datetime ends before it starts", field="datetime")
    return Interval(start, end)


def _moment(text: str) -> datetime:
    not_a_time = InvalidInput(
        f"not an RFC 3339 time with its offset, such as 2026-01-10T23:00:00Z: {shortened(text)}",
        field="datetime",
    )
    if _TIME.fullmatch(text) is None:
        raise not_a_time
    try:
        # A plus sign that was not percent-encoded arrives as a space.
        return datetime.fromisoformat(text.upper().replace(" ", "+")).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise not_a_time from error


def utc_text(moment: datetime) -> str:
    """Return an instant as RFC 3339 in UTC.

    >>> utc_text(datetime(2026, 1, 10, 23, tzinfo=UTC))
    '2026-01-10T23:00:00Z'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def interval_text(start: datetime, end: datetime, n_hours: int) -> str:
    """Return `datetime` for a forecast's hours: an instant for a single one."""
    return utc_text(start) if n_hours == 1 else f"{utc_text(start)}/{utc_text(end)}"
