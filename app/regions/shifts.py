"""The shifts of a region: local times of early, late and night, and the span of one on a date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, get_args

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.core.zones import zone

SETTINGS_PATH = ("plan", "shifts")
ShiftName = Literal["early", "late", "night"]
SHIFT_NAMES: tuple[ShiftName, ...] = get_args(ShiftName)
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_TIME = re.compile(TIME_PATTERN)


@dataclass(frozen=True)
class Shift:
    """Local times; one that ends no later than it starts ends on the next day.

    A forecast of a shift has all hours that it touches.
    """

    start: time
    end: time

    @classmethod
    def of(cls, start: str, end: str, field: str) -> Shift:
        """Read two times such as 06:00.

        Raises:
            InvalidInput: one is no time of day.
        """
        for text in (start, end):
            if not _TIME.fullmatch(text):
                raise InvalidInput(
                    f"{field} needs times from 00:00 to 23:59, got {shortened(text)}", field=field
                )
        return cls(time.fromisoformat(start), time.fromisoformat(end))

    def to_json(self) -> dict[str, str]:
        """Return the times as replies show them."""
        return {"start": f"{self.start:%H:%M}", "end": f"{self.end:%H:%M}"}

    def span(self, day: date, timezone: str) -> tuple[datetime, datetime]:
        """Return the UTC instants of start and end of the shift that starts on a local day.

        The wall clock decides: a night may last an hour more or less where clocks change. A time that
        occurs twice is its first; one that is skipped is as long after midnight as on other days.
        """
        local = zone(timezone)
        last = day if self.end > self.start else day + timedelta(days=1)
        start = datetime.combine(day, self.start, local).astimezone(UTC)
        return start, datetime.combine(last, self.end, local).astimezone(UTC)

    def next_day(self, after: datetime, timezone: str) -> date:
        """Return the local day on which the first shift starts that ends after an instant."""
        day = after.astimezone(zone(timezone)).date() - timedelta(days=1)
        while self.span(day, timezone)[1] <= after:
            day += timedelta(days=1)
        return day

    def last_day(self, until: datetime, timezone: str) -> date:
        """Return the local day on which the last shift starts that has ended by an instant."""
        day = until.astimezone(zone(timezone)).date()
        while self.span(day, timezone)[1] > until:
            day -= timedelta(days=1)
        return day


DEFAULT_SHIFTS: Mapping[ShiftName, Shift] = {
    "early": Shift(time(6), time(14)),
    "late": Shift(time(14), time(22)),
    "night": Shift(time(22), time(6)),
}


def shifts_of(settings: Mapping[str, Any]) -> dict[ShiftName, Shift]:
    """Return the shifts of a region's settings; those not set are the defaults."""
    outer, inner = SETTINGS_PATH
    stored = settings.get(outer, {}).get(inner, {})
    return {
        name: Shift.of(**stored[name], field=f"shifts.{name}") if name in stored else default
        for name, default in DEFAULT_SHIFTS.items()
    }


def shifts_json(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return a region's shifts as replies show them."""
    return {name: shift.to_json() for name, shift in shifts_of(settings).items()}
