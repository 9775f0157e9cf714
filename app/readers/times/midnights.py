"""Dates that a program wrote as midnights, where the sender says that dates without a time are intervals."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.zones import zone
from app.readers.reading import Assumed
from app.readers.times.refused import TimeColumn

MIN_ROWS = 20
"""Fewer midnights may be times."""
_TIME = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:"
_MIDNIGHT = r"^\d{4}-\d{2}-\d{2}[Tt ]00:00(?::00(?:\.0+)?)?(?:[Zz]|[+-]\d{2}:?\d{2})?$"
_ZONED = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"


class Midnights:
    """Decides once for a column whether its times are dates: all are midnights, as written or local.

    Args:
        timezone: the region's.
    """

    def __init__(self, timezone: str, assumed: Assumed) -> None:
        self.timezone = timezone
        self.assumed = assumed
        self.rule: Literal["written", "local", "none"] | None = None

    def applied(self, times: TimeColumn) -> TimeColumn:
        """Return a block's times, with `YYYY-MM-DD` for midnights that are dates."""
        if self.rule == "none":
            return times
        texts = pd.Series(list(times.values), dtype=object)
        timed = texts.str.contains(_TIME).fillna(False).to_numpy(bool)
        if self.rule is None and timed.sum() < MIN_ROWS:
            return times
        for rule in ("written", "local") if self.rule is None else (self.rule,):
            days = self._days(texts, timed, local=rule == "local")
            is_day = np.array([day is not None for day in days], bool)
            if self.rule is not None or is_day[timed].all():
                self.rule = rule
                self.assumed.add("midnights", value=texts[timed].iloc[0])
                texts[is_day] = days[is_day]
                return TimeColumn(texts.tolist(), times.refused)
        self.rule = "none"
        return times

    def _days(
        self, texts: pd.Series[Any], timed: NDArray[np.bool_], *, local: bool
    ) -> NDArray[np.object_]:
        """Return the dates (n,) of midnights, None elsewhere."""
        found = np.full(len(texts), None, object)
        if not local:
            rows = timed & texts.str.contains(_MIDNIGHT).fillna(False).to_numpy(bool)
            found[rows] = texts[rows].str[:10]
            return found
        rows = timed & texts.str.contains(_ZONED).fillna(False).to_numpy(bool)
        moments = pd.to_datetime(texts[rows], utc=True, format="ISO8601", errors="coerce")
        wall = moments.dt.tz_convert(zone(self.timezone)).dt.tz_localize(None)
        is_day = (wall == wall.dt.normalize()).to_numpy(bool)
        found[np.flatnonzero(rows)[is_day]] = wall[is_day].dt.strftime("%Y-%m-%d")
        return found
