"""When something is due: mornings and shifts by the region's clock, states as they are made.

An occasion is a text such as `morning:2026-11-30`, `shift:2026-11-30/late` or `state:VERSION/17`. A
subscription has at most one delivery for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from app.core.zones import zone
from app.forecasts.plan import Selector
from app.regions.shifts import SHIFT_NAMES, Shift, ShiftName
from app.subscriptions.spec import SubscriptionSpec

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Due:
    """An occasion, and when it was due."""

    occasion: str
    at: datetime


def due_by_clock(
    spec: SubscriptionSpec, timezone: str, shifts: Mapping[ShiftName, Shift], now: datetime
) -> Iterator[Due]:
    """Yield the occasions of mornings or shifts that are due and not over.

    After a stop, what is over is not sent: a plan of a shift that has ended is of no use.
    """
    today = now.astimezone(zone(timezone)).date()
    if spec.occasion == "morning":
        at = morning_of(spec, today, timezone)
        if at <= now:
            yield Due(f"morning:{today}", at)
    elif spec.occasion == "shift":
        lead = timedelta(minutes=spec.lead_minutes)
        for name in spec.shifts or SHIFT_NAMES:
            first = shifts[name].next_day(now, timezone)
            for day in (first, first + DAY):
                start, _ = shifts[name].span(day, timezone)
                if start - lead <= now:
                    yield Due(f"shift:{day}/{name}", start - lead)


def morning_of(spec: SubscriptionSpec, day: date, timezone: str) -> datetime:
    """Return the UTC instant of a day's morning."""
    return datetime.combine(day, time(spec.at_hour), zone(timezone)).astimezone(UTC)


def selector_of(
    occasion: str, spec: SubscriptionSpec, timezone: str, first_tried: datetime
) -> Selector:
    """Return what is forecast on an occasion: the shift, or the 24 hours from the morning on.

    Of a state, or as a test, the 24 hours from `first_tried` on.
    """
    kind, _, what = occasion.partition(":")
    if kind == "shift":
        day, _, name = what.partition("/")
        (shift,) = (known for known in SHIFT_NAMES if known == name)
        return Selector(shift=shift, day=date.fromisoformat(day))
    if kind == "morning":
        start = morning_of(spec, date.fromisoformat(what), timezone)
        return Selector(start=start, end=start + DAY)
    hour = first_tried.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    version = state = None
    if kind == "state":
        version, _, state = what.rpartition("/")
    return Selector(start=hour, end=hour + DAY, model=version, state=state)
