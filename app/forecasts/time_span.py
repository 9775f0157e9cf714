"""The hours that a request names: one slot, or a range of them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from app.core.errors import InvalidInput, LimitExceeded
from app.core.zones import localised
from app.forecasts.plan import Selector
from app.geo.hour_of_week import HOUR_S, slot_start

MAX_HORIZON_YEARS = 30
MAX_RANGE_SLOTS = 169
"""A week, plus the hour that a clock change may add."""


def check_one_way(selector: Selector) -> None:
    """Refuse a request that names its time in no way or in several.

    Raises:
        InvalidInput: there is not exactly one of `at`, `window` and a range.
    """
    ways = (selector.at, selector.window, selector.shift, selector.start or selector.end)
    if sum(way is not None for way in ways) != 1:
        raise InvalidInput("give exactly one of at, window, shift, or from with to", field="at")
    if selector.day is not None and selector.shift is None:
        raise InvalidInput("date needs a shift", field="date")


def slots_of(selector: Selector, timezone: str) -> tuple[datetime, int]:
    """Return the UTC start of the first slot and the number of slots, of `at` or a range.

    Raises:
        InvalidInput: see `range_of`.
        LimitExceeded: the range is longer than a week.
    """
    if selector.at is not None:
        return slot_start(_checked(selector.at, timezone, "at"), timezone), 1
    start, end = range_of(selector, timezone)
    n_slots = math.ceil((end - start).total_seconds() / HOUR_S)
    if n_slots > MAX_RANGE_SLOTS:
        raise LimitExceeded(
            f"the range spans {n_slots} hours, the limit is {MAX_RANGE_SLOTS}",
            field="to",
            limit=MAX_RANGE_SLOTS,
            asked=n_slots,
        )
    return start, n_slots


def range_of(selector: Selector, timezone: str) -> tuple[datetime, datetime]:
    """Return the requested range: the start of its first hour and its end, both aware.

    Raises:
        InvalidInput: one is missing or out of range, or the end is not after the start.
    """
    if selector.start is None or selector.end is None:
        raise InvalidInput("give both from and to", field="from")
    start = _checked(selector.start, timezone, "from")
    end = _checked(selector.end, timezone, "to")
    if end <= start:
        raise InvalidInput("to must be after from", field="to")
    return slot_start(start, timezone), end


def _checked(moment: datetime, timezone: str, field: str) -> datetime:
    """Return the instant, made aware, if it is in the valid range.

    Raises:
        InvalidInput: the instant is before 1970 or more than 30 years ahead.
    """
    aware = localised(moment, timezone)
    limit = datetime.now(UTC) + timedelta(days=365 * MAX_HORIZON_YEARS)
    try:
        inside = datetime(1970, 1, 2, tzinfo=UTC) <= aware <= limit
    except OverflowError:
        inside = False
    if not inside:
        raise InvalidInput(
            f"{field} must lie within 1970 and {MAX_HORIZON_YEARS} years from now", field=field
        )
    return aware
