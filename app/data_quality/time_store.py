"""Counts of what is known of incidents' times, computed by PostgreSQL.

Results are bounded by kinds and hours of the week, not by the number of incidents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row
from sqlalchemy.sql.elements import TextClause

from app.core.db.engine import long_statements
from app.data_quality.store import Scope
from app.geo.hour_of_week import N_WINDOWS
from app.regions.kinds import KindKey

FloatArray = NDArray[np.float64]
WEEK_LONG_H = 167
"""Intervals from here on have no information on the hour of the week."""
LONGEST_H = 32 * 24
_MINE = """
    WITH mine AS (
        SELECT k.code, i."window", i.occurred_at, i.occurred_to,
               i.occurred_at AT TIME ZONE :timezone AS begins, i.occurred_to AT TIME ZONE :timezone AS ends
        FROM incidents AS i
        JOIN unnest(CAST(:keys AS int[]), CAST(:codes AS int[]), CAST(:since AS timestamptz[]),
                    CAST(:until AS timestamptz[])) AS k (key, code, since, until)
          ON k.key = i.category_key
         AND (k.since IS NULL OR i.occurred_at >= k.since)
         AND (k.until IS NULL OR i.occurred_at < k.until)
        WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
    )
"""
_SIZES = "SELECT code, count(*) AS n FROM mine GROUP BY code"
# In hours since the start of the hour in which the incident begins; compared in seconds, which are exact.
_MEASURED = """
    , timed AS (
        SELECT *, coalesce(extract(epoch FROM occurred_to - occurred_at), 0)::float8 AS lasts_s,
               (extract(minute FROM begins) * 60 + extract(second FROM begins))::float8 AS begin_s
        FROM mine
    ), measured AS (
        SELECT code, "window", begin_s, occurred_to IS NULL AS is_instant,
               begin_s / 3600 AS begin, lasts_s / 3600 AS lasts, (begin_s + lasts_s) / 3600 AS finish,
               begin_s + lasts_s > 3600 AS is_interval,
               coalesce(begins = date_trunc('day', begins) AND ends = begins + interval '1 day', false)
                   AS is_day
        FROM timed
    )
"""
# The entropy of an even spread: ln(hours), less what the partial hours at both ends lack.
_BY_HOUR = """
    SELECT code, "window", count(*) AS starts, count(*) FILTER (WHERE NOT is_interval) AS exact,
           count(*) FILTER (WHERE is_instant AND begin_s < 60 * :early_minutes) AS early,
           count(*) FILTER (WHERE is_day) AS days,
           count(*) FILTER (WHERE is_interval AND NOT is_day AND lasts > 24) AS long,
           coalesce(sum(1 / lasts) FILTER (WHERE is_interval), 0) AS rate,
           coalesce(sum(begin / lasts) FILTER (WHERE is_interval), 0) AS moment,
           coalesce(sum(
               1 - (ln(lasts) - ((1 - begin) * ln(1 - begin) + CASE WHEN finish > floor(finish)
                    THEN (finish - floor(finish)) * ln(finish - floor(finish)) ELSE 0 END) / lasts)
                   / ln(CAST(:week_h AS float8))
           ) FILTER (WHERE is_interval AND lasts < :week_long_h), 0) AS information
    FROM measured GROUP BY code, "window"
"""
_ENDS = """
    SELECT code, "window" + floor(finish)::int AS hour, sum(1 / lasts) AS rate,
           sum(("window" + finish) / lasts) AS moment
    FROM measured WHERE is_interval GROUP BY code, hour
"""
_LENGTHS = """
    SELECT code, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY lasts) AS hours
    FROM measured WHERE is_interval GROUP BY GROUPING SETS ((code), ())
"""


@dataclass(frozen=True)
class KindRows:
    """A stored category whose incidents have a code, from `since` and before `until` if only then."""

    key: int
    code: int
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class TimeCounts:
    """What is known of the times of the incidents of G codes; windows are hours of the local week.

    Args:
        starts: (G, 168) all incidents, at their time or the start of their interval.
        exact: (G, 168) those whose time is known to the hour.
        early: (G, 168) instants in the first minutes of their hour.
        spread: (G, 168) intervals, evenly over their time.
        days: (G,) intervals that are one local day.
        long: (G,) other intervals of more than 24 hours.
        information: (G,) sum over intervals of one less the entropy of their hours, in units of ln 168.
        lengths_h: (G + 1, 2) median and 90 % quantile of the intervals, in hours; NaN without any. The
            last are those of all.
    """

    starts: FloatArray
    exact: FloatArray
    early: FloatArray
    spread: FloatArray
    days: FloatArray
    long: FloatArray
    information: FloatArray
    lengths_h: FloatArray


def rows_of(keys: dict[int, KindKey], code: dict[str, int]) -> list[KindRows]:
    """Return which stored categories have incidents of each code.

    Args:
        keys: what stored categories count as.
        code: by kind; others are left out.
    """
    found = []
    for key, kind in keys.items():
        since = None if kind.before is None else datetime.fromtimestamp(kind.since_s, UTC)
        if kind.now in code:
            found.append(KindRows(key, code[kind.now], since=since))
        if kind.before in code:
            found.append(KindRows(key, code[kind.before], until=since))
    return found


def kind_sizes(
    connection: Connection, scope: Scope, keys: dict[int, KindKey], kinds: Sequence[str]
) -> dict[str, int]:
    """Count the incidents of each of these kinds."""
    rows = rows_of(keys, {name: code for code, name in enumerate(kinds)})
    found = connection.execute(_bound(_MINE + _SIZES, scope, rows))
    return {kinds[row.code]: int(row.n) for row in found}


def time_counts(
    connection: Connection, scope: Scope, rows: Sequence[KindRows], n_codes: int, early_minutes: int
) -> TimeCounts:
    """Count what is known of times; the hour that a clock change adds or skips is ignored in intervals.

    Args:
        early_minutes: how many minutes of an hour are its first ones.
    """
    long_statements(connection)
    names = ("starts", "exact", "early", "days", "long", "rate", "moment", "information")
    sums = {name: np.zeros((n_codes, N_WINDOWS)) for name in names}
    hours = {"early_minutes": early_minutes, "week_h": N_WINDOWS, "week_long_h": WEEK_LONG_H}
    for row in connection.execute(_bound(_MINE + _MEASURED + _BY_HOUR, scope, rows), hours):
        for name in names:
            sums[name][row.code, row.window] = getattr(row, name)
    lengths_h = np.full((n_codes + 1, 2), np.nan)
    ends: Iterable[Row[Any]] = ()
    if sums["rate"].any():
        for row in connection.execute(_bound(_MINE + _MEASURED + _LENGTHS, scope, rows)):
            if row.hours is not None:
                lengths_h[n_codes if row.code is None else row.code] = row.hours
        ends = connection.execute(_bound(_MINE + _MEASURED + _ENDS, scope, rows))
    spread = _spread(sums.pop("rate"), sums.pop("moment"), ends)
    by_code = {name: sums.pop(name).sum(axis=1) for name in ("days", "long", "information")}
    return TimeCounts(spread=spread, lengths_h=lengths_h, **sums, **by_code)


def _spread(rate: FloatArray, moment: FloatArray, ends: Iterable[Row[Any]]) -> FloatArray:
    """Return intervals (G, 168) spread evenly over their hours.

    What has passed of all intervals by an hour rises with the rate of each, from its start to its end; so
    sums of the rates 1 / length, and of rate times place, by the hour of both ends are enough.

    Args:
        rate, moment: (G, 168) sums of the rates, and of rate times hours since the start of the hour, of
            intervals that start in each hour.
        ends: rows of code, hour since the start of the week, sum of rates and of rate times place.
    """
    rates = np.zeros((len(rate), N_WINDOWS + LONGEST_H))
    moments = np.zeros_like(rates)
    rates[:, :N_WINDOWS] = rate
    moments[:, :N_WINDOWS] = rate * np.arange(N_WINDOWS) + moment
    for row in ends:
        rates[row.code, row.hour] -= row.rate
        moments[row.code, row.hour] -= row.moment
    at_end = np.arange(1, rates.shape[1] + 1)
    passed = at_end * rates.cumsum(axis=1) - moments.cumsum(axis=1)
    by_hour = np.diff(passed, axis=1, prepend=0.0)
    n_weeks = -(-rates.shape[1] // N_WINDOWS)
    by_hour = np.pad(by_hour, ((0, 0), (0, n_weeks * N_WINDOWS - rates.shape[1])))
    by_window = by_hour.reshape(len(rate), n_weeks, N_WINDOWS).sum(axis=1)
    return np.asarray(np.maximum(by_window, 0.0), np.float64)


def _bound(query: str, scope: Scope, rows: Sequence[KindRows]) -> TextClause:
    names = ("key", "code", "since", "until")
    keys, codes, since, until = ([getattr(row, name) for row in rows] for name in names)
    return scope.query(query).bindparams(keys=keys, codes=codes, since=since, until=until)
