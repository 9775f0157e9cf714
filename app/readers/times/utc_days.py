"""The calendar day of a date with an offset that stands beside a clock: `2026/03/05 00:00:00+00`, `17:30`."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.errors import Conflict
from app.core.zones import zone
from app.readers.times.clocks import Clocks

Rule = Literal["written_days", "local_days"]
_NEARLY_ALL = 0.99
_MOSTLY = 0.9
DAY_S = 86_400


class DayRule:
    """Decides once for a table whether such dates mean the day written or the region's local day.

    Args:
        given: the caller's `zone`: `local` means as written, any other that the offsets are right.
    """

    def __init__(self, timezone: str, given: str | None) -> None:
        self.timezone = timezone
        self.rule: Rule | None = None
        if given is not None:
            self.rule = "written_days" if given == "local" else "local_days"

    def applied(
        self, days: NDArray[np.datetime64], own: Clocks, beside: NDArray[np.float64]
    ) -> tuple[NDArray[np.datetime64], Rule | None]:
        """Return the days meant, and the rule if rows with an offset needed one.

        Args:
            own: the times of day that the dates hold.
            beside: seconds of the day of the clocks beside them.

        Raises:
            Conflict: `zone_in_doubt`.
        """
        rows = (own.offset != "") & ~np.isnat(days)
        if not rows.any():
            return days, None
        local = self._local(days[rows], own.seconds[rows], own.offset[rows])
        local_day = local.astype("datetime64[D]")
        local_s = (local - local_day.astype("datetime64[s]")).astype(np.int64)
        if self.rule is None and not (local_day == days[rows]).all():
            self.rule = _rule(own.seconds[rows], local_s, beside[rows])
        if self.rule == "local_days":
            days = days.copy()
            days[rows] = local_day
        return days, self.rule

    def _local(
        self,
        days: NDArray[np.datetime64],
        seconds: NDArray[np.float64],
        offset: NDArray[np.object_],
    ) -> NDArray[np.datetime64]:
        written = days.astype("datetime64[s]") + seconds.astype("timedelta64[s]")
        texts = pd.Series(np.datetime_as_string(written).astype(object) + offset)
        moments = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
        return (
            moments.dt.tz_convert(zone(self.timezone))
            .dt.tz_localize(None)
            .to_numpy("datetime64[s]")
        )


def _rule(
    own_s: NDArray[np.float64], local_s: NDArray[np.int64], beside: NDArray[np.float64]
) -> Rule:
    def same_hour(seconds: NDArray[np.float64] | NDArray[np.int64]) -> float:
        return float(np.mean(seconds // 3600 == beside // 3600))

    if (own_s == 0).mean() >= _NEARLY_ALL:
        return "written_days"
    if (local_s == 0).mean() >= _NEARLY_ALL or same_hour(local_s) >= _MOSTLY:
        return "local_days"
    if same_hour(own_s) >= _MOSTLY:
        return "written_days"
    raise Conflict(
        "dates with an offset stand beside local times, but are not all midnights of UTC or of the "
        "region's zone; say zone=local if the day is as written, zone=UTC if the offsets are right",
        field="zone",
        code="zone_in_doubt",
    )
