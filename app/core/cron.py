"""Cron expressions in a region's local time.

As in Debian's cron, ticks that a clock change skips run right after it and ticks that it repeats run
once (an expression that covers every hour runs by real hours).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from app.core.bounds import check_text
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.core.zones import zone

N_FIELDS = 5


def check_cron(expression: str) -> str:
    """Return the expression with normalised spaces.

    Raises:
        InvalidInput: not five fields, a field is out of range, or it never matches.

    >>> check_cron(" 15  3 * * MON ")
    '15 3 * * MON'
    """
    check_text(expression, "cron")
    tidy = " ".join(expression.split())
    try:
        if len(tidy.split(" ")) != N_FIELDS:
            raise InvalidInput(
                f"cron needs {N_FIELDS} fields, got {shortened(expression)}", field="cron"
            )
        next(CronSim(tidy, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise InvalidInput(
            f"cron {shortened(expression)}: {error or 'never matches'}", field="cron"
        ) from error
    return tidy


def latest_tick(expression: str, timezone: str, now: datetime) -> datetime | None:
    """Return the last tick at or before `now` in UTC, or None if there is none.

    >>> latest_tick("0 3 * * *", "Europe/Paris", datetime(2024, 7, 2, 0, 30, tzinfo=UTC))
    datetime.datetime(2024, 7, 1, 1, 0, tzinfo=datetime.timezone.utc)
    """
    after = now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    return _first(CronSim(expression, after.astimezone(zone(timezone)), reverse=True))


def next_tick(expression: str, timezone: str, now: datetime) -> datetime | None:
    """Return the first tick after `now`, in UTC."""
    return _first(CronSim(expression, now.astimezone(zone(timezone))))


def _first(ticks: CronSim) -> datetime | None:
    found = next(ticks, None)
    return None if found is None else found.astimezone(UTC)
