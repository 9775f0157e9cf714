"""Counts an upload's times of day, to warn of those that stand for unknown ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.core.messages import Message, MessageTable
from app.geo.time_heaping import MINUTES_OF_DAY, clock_label, clock_times, one_time_of_day

DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60
MIN_ROWS = 20
MIN_ROWS_OF_ZONE = 300
MIN_SHIFT_H = 3
QUIET_HOURS = 6
QUIET_SHARE = 0.19
QUIET_AT = (2.0, 8.0)
"""Middle of a city's six quietest hours; it was 4.5 to 6.5 in four cities, with 12 to 15 % of incidents."""
DOUBTFUL_AT = (1.0, 10.0)
CLOCK_WARNINGS = MessageTable(
    {
        "one_time_of_day": "{n:,} incidents ({share:.0%}) have one time of day, {at}, as dates "
        "without a time do: forecasts would place the crime of all hours there; send times of day, or "
        "date_only=interval if they are dates",
        "time_heaping": "{n:,} incidents ({share:.1%}) are timed {at}, far more than the hours around "
        "have: probably unknown times; leave those out, or forecasts will peak there",
        "zone_in_doubt": "the file calls its times UTC; read so, the quietest hours of the day are around "
        "{believed}, as they are in no city, and around {written} if its times are local; erase this "
        "upload and send it with zone=local if they are, with zone=UTC if not",
    }
)


class ClockCounts:
    """Counts accepted incidents by minute of the local and of the UTC day."""

    def __init__(self) -> None:
        self.by_minute = np.zeros(MINUTES_OF_DAY, np.int64)
        self.by_utc_minute = np.zeros(MINUTES_OF_DAY, np.int64)

    def note(self, time_s: NDArray[np.int64], offset_s: NDArray[np.int64]) -> None:
        """Count instants (n,) whose local time is `offset_s` (n,) ahead of UTC."""
        self.by_minute += _by_minute(time_s + offset_s)
        self.by_utc_minute += _by_minute(time_s)

    def warnings(self, *, states_utc: bool) -> Iterator[Message]:
        """Yield what the times of day suggest.

        Args:
            states_utc: whether the file calls all its times UTC, and the sender did not confirm it.
        """
        total = int(self.by_minute.sum())
        if total < MIN_ROWS:
            return
        one = one_time_of_day(self.by_minute, self.by_utc_minute)
        if one is not None:
            yield CLOCK_WARNINGS.make(
                "one_time_of_day", n=one.n_incidents, share=one.share, at=one.at
            )
            return
        for found in clock_times(self.by_minute):
            if found.spike:
                yield CLOCK_WARNINGS.make(
                    "time_heaping", n=found.n_incidents, share=found.share, at=found.label
                )
        if states_utc and total >= MIN_ROWS_OF_ZONE:
            yield from self._zone_in_doubt()

    def _zone_in_doubt(self) -> Iterator[Message]:
        """Warn if the day's quiet hours lie where they should only if times called UTC are local."""
        (believed, quiet), (written, _) = _quietest(self.by_minute), _quietest(self.by_utc_minute)
        away = abs((believed - written + 12) % 24 - 12)
        is_odd = not DOUBTFUL_AT[0] <= believed <= DOUBTFUL_AT[1]
        is_usual = QUIET_AT[0] <= written <= QUIET_AT[1]
        if away >= MIN_SHIFT_H and is_odd and is_usual and quiet <= QUIET_SHARE:
            labels = {
                name: clock_label(round(hour * MINUTE_S))
                for name, hour in (("believed", believed), ("written", written))
            }
            yield CLOCK_WARNINGS.make("zone_in_doubt", **labels)


def _by_minute(time_s: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(time_s % DAY_S // MINUTE_S, minlength=MINUTES_OF_DAY)


def _quietest(by_minute: NDArray[np.int64]) -> tuple[float, float]:
    """Return the middle of the six quietest hours, and their share of the incidents."""
    by_hour = by_minute.reshape(24, 60).sum(axis=1)
    sums = np.array([np.roll(by_hour, -hour)[:QUIET_HOURS].sum() for hour in range(24)])
    return (float(sums.argmin()) + QUIET_HOURS / 2) % 24, float(sums.min() / by_hour.sum())
