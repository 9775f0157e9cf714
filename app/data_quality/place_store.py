"""Counts of places for the data report, computed by PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from app.data_quality.checks.default_geocodes import SAME_PLACE_M, Mix, Point
from app.data_quality.store import Scope
from app.geo.time_heaping import MINUTES_OF_DAY

MAX_PLACES = 200_000
FULLEST_PLACES = 300
BLOCK_M = 2_000
_PLACES = """
    CREATE TEMP TABLE report_places ON COMMIT DROP AS
    SELECT round(x_m)::int AS x_m, round(y_m)::int AS y_m, count(*) AS n,
           min(longitude) AS longitude, min(latitude) AS latitude
    FROM incidents
    WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
    GROUP BY 1, 2
"""
_HISTOGRAM = "SELECT n, count(*) AS places FROM report_places GROUP BY n"
_FULLEST = """
    SELECT x_m, y_m, longitude, latitude, n FROM report_places
    ORDER BY n DESC, x_m, y_m LIMIT :limit
"""
_NEAR = """
    SELECT p.x_m, p.y_m, longitude, latitude, n
    FROM report_places AS p
    JOIN unnest(CAST(:x_m AS float8[]), CAST(:y_m AS float8[])) AS named (x_m, y_m)
      ON sqrt((p.x_m - named.x_m) ^ 2 + (p.y_m - named.y_m) ^ 2) <= :radius
    ORDER BY n DESC, p.x_m, p.y_m LIMIT :limit
"""
_MIXES = """
    SELECT x, y, minute, c.name, n
    FROM (
        SELECT p.x, p.y, i.minute, i.category_key, count(*) AS n
        FROM (
            SELECT round(x_m)::int AS x, round(y_m)::int AS y, category_key,
                   (extract(hour FROM occurred_at AT TIME ZONE :timezone) * 60
                    + extract(minute FROM occurred_at AT TIME ZONE :timezone))::int AS minute
            FROM incidents
            WHERE region_key = :region AND (CAST(:upload AS bigint) IS NULL OR upload_id = :upload)
        ) AS i
        JOIN unnest(CAST(:x_m AS int[]), CAST(:y_m AS int[])) AS p (x, y) USING (x, y)
        GROUP BY GROUPING SETS ((p.x, p.y, i.minute), (p.x, p.y, i.category_key))
    ) AS counted
    LEFT JOIN categories AS c ON c.key = counted.category_key
"""
# Whole blocks of the city, so that sampled places have their neighbours.
_SAMPLE = """
    SELECT x_m, y_m, longitude, latitude FROM report_places
    WHERE mod(abs(floor(x_m / :block)::bigint * 73856093 # floor(y_m / :block)::bigint * 19349663),
              :one_of) = 0
"""


@dataclass(frozen=True)
class CountedPlace:
    """A place in metres and degrees with the number of its incidents."""

    x_m: int
    y_m: int
    longitude: float
    latitude: float
    n: int

    @property
    def point(self) -> tuple[int, int]:
        """The place in metres."""
        return self.x_m, self.y_m


@dataclass(frozen=True)
class PlaceCounts:
    """Places rounded to a metre.

    Args:
        histogram: {incidents of a place: number of such places}.
        fullest: the places with most incidents, most first.
        named: places within five metres of those that the policy names.
        sample: (n, 4) x_m, y_m, longitude, latitude of places in a sample of whole blocks.
    """

    histogram: dict[int, int]
    fullest: list[CountedPlace]
    named: list[CountedPlace]
    sample: NDArray[np.float64]

    @property
    def n_places(self) -> int:
        """Number of places."""
        return sum(self.histogram.values())

    @property
    def n_incidents(self) -> int:
        """Incidents at all places."""
        return sum(n * places for n, places in self.histogram.items())

    @property
    def on_repeated(self) -> int:
        """Incidents at places that hold more than one."""
        return self.n_incidents - self.histogram.get(1, 0)


def place_counts(connection: Connection, scope: Scope, named: Sequence[Point]) -> PlaceCounts:
    """Count how places repeat; leaves a temporary table until the transaction ends.

    Args:
        named: further places (metres) to look up.
    """
    connection.execute(scope.query(_PLACES))
    histogram = {int(r.n): int(r.places) for r in connection.execute(text(_HISTOGRAM))}
    limit = {"limit": FULLEST_PLACES}
    fullest = connection.execute(text(_FULLEST), limit)
    x_m, y_m = ([point[axis] for point in named] for axis in (0, 1))
    near = {"x_m": x_m, "y_m": y_m, "radius": SAME_PLACE_M, **limit}
    by_policy = connection.execute(text(_NEAR), near) if named else ()
    one_of = -(-sum(histogram.values()) // MAX_PLACES) or 1
    rows = connection.execute(text(_SAMPLE), {"block": float(BLOCK_M), "one_of": one_of}).all()
    return PlaceCounts(
        histogram,
        [CountedPlace(*row) for row in fullest],
        [CountedPlace(*row) for row in by_policy],
        np.array([tuple(row) for row in rows], np.float64).reshape(-1, 4),
    )


def mixes(
    connection: Connection, scope: Scope, points: Sequence[tuple[int, int]], kinds: Sequence[str]
) -> list[Mix]:
    """Count the incidents of each place (metres) by minute of the local day and by kind."""
    if not points:
        return []
    found = {
        point: Mix(np.zeros(MINUTES_OF_DAY, np.int64), np.zeros(len(kinds), np.int64))
        for point in points
    }
    code = {name: i for i, name in enumerate(kinds)}
    x_m, y_m = ([point[axis] for point in points] for axis in (0, 1))
    statement = scope.query(_MIXES).bindparams(x_m=x_m, y_m=y_m)
    for x, y, minute, name, n in connection.execute(statement):
        mix = found[x, y]
        if name is None:
            mix.by_minute[minute] = n
        else:
            mix.by_kind[code[name]] = n
    return [found[point] for point in points]
