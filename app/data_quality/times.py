"""What is known of incidents' times before any model: exact, intervals, dates alone, placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.core.errors import NotFound
from app.core.texts import shortened
from app.data_quality.store import Scope
from app.data_quality.time_store import TimeCounts, kind_sizes, rows_of, time_counts
from app.geo.hour_of_week import N_WINDOWS
from app.regions.category_store import kinds_of
from app.regions.kinds import Kinds, folded
from app.regions.store import Region
from models.times.aoristic import MIN_OWN
from models.times.placeholders import HOURS, LAST_MINUTE, chances_of_counts
from models.units import HOURS_PER_DAY

FloatArray = NDArray[np.float64]
N_DAYS = N_WINDOWS // HOURS_PER_DAY
DAY_INFORMATION = 1.0 - log(HOURS_PER_DAY) / log(N_WINDOWS)
"""Of a date alone, on the hour of the week."""


@dataclass(frozen=True)
class KnownTimes:
    """What is known of the times of n incidents; arrays (168,) are by hour of the local week.

    Args:
        kinds: names by code; None: the kinds of few incidents together.
        counts: by code.
        placeholders: (G, 168) instants of unknown time of day, in the hour where they are recorded.
    """

    kinds: Sequence[str | None]
    counts: TimeCounts
    placeholders: FloatArray

    def exact(self) -> FloatArray:
        """Return how many times (168,) are known to the hour."""
        return np.asarray((self.counts.exact - self.placeholders).sum(axis=0), np.float64)

    def intervals(self) -> FloatArray:
        """Return the intervals (168,), spread evenly over their hours."""
        return np.asarray(self.counts.spread.sum(axis=0), np.float64)

    def spread(self) -> FloatArray:
        """Return all incidents (168,): intervals over their hours, placeholders over their day."""
        days = self.placeholders.sum(axis=0).reshape(N_DAYS, HOURS_PER_DAY).mean(axis=1)
        found = self.exact() + self.intervals() + np.repeat(days, HOURS_PER_DAY)
        return np.asarray(found, np.float64)

    def facts(self, code: int | None = None) -> dict[str, Any]:
        """Return the shares, lengths and information of a kind, or of all."""
        counts, mine = self.counts, slice(None) if code is None else slice(code, code + 1)
        n, exact, placeholders = (
            float(part[mine].sum()) for part in (counts.starts, counts.exact, self.placeholders)
        )
        days, long, of_intervals = (
            float(part[mine].sum()) for part in (counts.days, counts.long, counts.information)
        )
        intervals = n - exact
        median_h, p90_h = counts.lengths_h[len(self.kinds) if code is None else code]
        information = exact - placeholders + of_intervals + DAY_INFORMATION * placeholders
        return {
            "n": round(n),
            "exact_share": _share(exact - placeholders, n),
            "interval_share": _share(intervals - days, n),
            "date_only_share": _share(days, n),
            "placeholder_share": _share(placeholders, n),
            "hour_information": _share(information, n),
            "median_interval_hours": _hours(median_h),
            "p90_interval_hours": _hours(p90_h),
            "over_day_share": _share(long, intervals) if intervals else None,
        }


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0


def _hours(hours: float) -> float | None:
    return None if np.isnan(hours) else round(float(hours), 2)


def known_times(
    connection: Connection, region: Region, scope: Scope, asked: Sequence[str] | None = None
) -> KnownTimes:
    """Return what is known of the times of a region's incidents.

    Placeholders are estimated by kind, those of few incidents together, as a training does. Kinds count
    as they do in forecasts: with aliases.

    Args:
        asked: kinds, aliases or groups; None: all.

    Raises:
        NotFound: the region has no category of one of them.
    """
    keys = kinds_of(connection, region)
    kinds = [name for kind in keys.values() for name in (kind.now, kind.before) if name is not None]
    if asked is not None:
        kinds = _chosen(kinds, region, asked)
    sizes = kind_sizes(connection, scope, keys, list(dict.fromkeys(kinds)))
    own = sorted((name for name in sizes if sizes[name] >= MIN_OWN), key=lambda one: -sizes[one])
    rare = sizes.keys() - own
    code: dict[str, int] = {name: place for place, name in enumerate(own)}
    code |= dict.fromkeys(rare, len(own))
    names: list[str | None] = [*own, *([None] if rare else [])]
    counts = time_counts(connection, scope, rows_of(keys, code), len(names), LAST_MINUTE + 1)
    return KnownTimes(names, counts, _placeholders(counts.early))


def _chosen(kinds: Sequence[str], region: Region, asked: Sequence[str]) -> list[str]:
    """Return the kinds that some names stand for."""
    known = {folded(name) for name in kinds}
    wanted: set[str] = set()
    for name in asked:
        meant = {folded(one) for one in Kinds.of(region.settings).expanded([name])}
        if not meant & known:
            raise NotFound(f"the region has no category {shortened(name)}", field="category")
        wanted |= meant
    return [name for name in kinds if folded(name) in wanted]


def _placeholders(early: FloatArray) -> FloatArray:
    """Return how many instants (G, 168) have no known time of day.

    Args:
        early: (G, 168) instants in the first minutes of each hour of the week.
    """
    by_hour = early.reshape(len(early), N_DAYS, HOURS_PER_DAY)
    found = np.zeros_like(by_hour)
    for code, counts in enumerate(by_hour.sum(axis=1)):
        found[code][:, list(HOURS)] = by_hour[code][:, list(HOURS)] * chances_of_counts(counts)
    return found.reshape(early.shape)


def time_precision(found: KnownTimes) -> dict[str, Any]:
    """Return the report's part on times that are not exact."""
    return {
        "all": found.facts(),
        "kinds": [{"category": name, **found.facts(code)} for code, name in enumerate(found.kinds)],
        "week_by_start": _rounded(found.counts.starts.sum(axis=0)),
        "week_spread": _rounded(found.spread()),
    }


def hour_of_week(found: KnownTimes) -> Mapping[str, Any]:
    """Return exact times, intervals and placeholders by hour of the week."""
    facts = found.facts()
    return {
        "n_incidents": facts["n"],
        "hour_information": facts["hour_information"],
        "exact": _rounded(found.exact()),
        "interval": _rounded(found.intervals()),
        "placeholder": _rounded(found.placeholders.sum(axis=0)),
    }


def _rounded(values: FloatArray) -> list[float]:
    return [float(value) for value in np.round(values, 3)]
