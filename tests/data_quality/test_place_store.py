"""Places counted by PostgreSQL are those that NumPy counts, in metres, minutes and kinds."""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from app.data_quality import place_store
from app.data_quality.place_store import PlaceCounts, mixes, place_counts
from app.data_quality.store import Scope
from app.geo.study_area import to_metres
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.regions.store import get_region

TIMEZONE = "Asia/Kolkata"
"""Half an hour beside whole ones."""
KINDS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def rows():
    """When, where and of which kind: 300 incidents on some forty places."""
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(77.5, 77.6, 40), rng.uniform(12.9, 13.0, 40)
    lon[1], lat[1] = lon[0] + 2e-5, lat[0]  # two metres beside
    place = np.minimum(rng.geometric(0.1, 300) - 1, 39)
    minutes = rng.choice(60 * 24 * 60, 300, replace=False)
    return [
        (int(m), round(float(lon[p]), 6), round(float(lat[p]), 6), KINDS[k])
        for m, p, k in zip(minutes, place, rng.integers(0, 2, 300), strict=True)
    ]


@pytest.fixture(scope="module")
def region(engine, settings, rows):
    add_region(engine, "places", timezone=TIMEZONE)
    for part in (rows[:200], rows[200:]):
        lines = [
            f"2024-{1 + m // 43_200:02d}-{1 + m % 43_200 // 1440 % 28:02d}"
            f"T{m // 60 % 24:02d}:{m % 60:02d}:00Z,{x:.6f},{y:.6f},{kind}\n"
            for m, x, y, kind in part
        ]
        body = ("occurred_at,longitude,latitude,category\n" + "".join(lines)).encode()
        done = ingest(engine, "places", [body], UploadSource("text/csv"), settings=settings)
        assert done.accepted == len(part)
    with engine.connect() as connection:
        return get_region(connection, "places")


def metres(rows, region):
    x_m, y_m = to_metres(*np.array([(x, y) for _, x, y, _ in rows]).T, region.crs)
    return [
        (int(a), int(b))
        for a, b in zip(
            np.rint(x_m.astype(np.float32)), np.rint(y_m.astype(np.float32)), strict=True
        )
    ]


@pytest.fixture
def ask(engine, region):
    """A function that counts in a transaction of its own."""

    def count(upload=None, named=()):
        with engine.connect() as connection:
            scope = Scope(region.key, region.timezone, upload)
            found = place_counts(connection, scope, named)
            connection.rollback()
        return found

    return count


def test_the_histogram_and_the_fullest_places_are_those_of_the_rows(ask, rows, region):
    counted = Counter(metres(rows, region))
    found = ask()
    assert found.histogram == Counter(counted.values())
    assert (found.n_places, found.n_incidents) == (len(counted), 300)
    assert found.on_repeated == sum(n for n in counted.values() if n > 1)
    assert {place.point: place.n for place in found.fullest} == counted
    assert [(-p.n, *p.point) for p in found.fullest] == sorted(
        (-p.n, *p.point) for p in found.fullest
    )
    x_m, y_m = to_metres(found.fullest[0].longitude, found.fullest[0].latitude, region.crs)
    assert (x_m, y_m) == pytest.approx(found.fullest[0].point, abs=1.0)


def test_one_upload_is_counted_by_itself(ask, rows, region, engine):
    assert ask(upload=10**6).n_incidents == 0
    counted = [ask(upload=k).n_incidents for k in range(1, 3)]
    assert counted == [200, 100]


def test_places_within_five_metres_of_a_named_one_are_looked_up(ask, rows, region):
    points = Counter(metres(rows, region))
    first = max(points, key=lambda p: points[p])
    near = {p for p in points if np.hypot(p[0] - first[0], p[1] - first[1]) <= 5}
    assert len(near) > 1, "planted two metres beside"
    found = ask(named=[first])
    assert {place.point for place in found.named} == near
    assert ask().named == []
    assert ask(named=[(0.0, 0.0)]).named == []


def test_a_sample_of_places_holds_whole_blocks(ask, monkeypatch):
    whole = ask().sample
    assert len(whole) == ask().n_places
    monkeypatch.setattr(place_store, "MAX_PLACES", 15)
    some = {tuple(row) for row in ask().sample}
    assert 0 < len(some) < len(whole)
    block = {tuple((row[:2] // place_store.BLOCK_M).astype(int)) for row in np.array(sorted(some))}
    inside = [tuple((row[:2] // place_store.BLOCK_M).astype(int)) in block for row in whole]
    assert sum(inside) == len(some)


def test_mixes_count_minutes_of_the_local_day_and_kinds(engine, rows, region):
    points = metres(rows, region)
    (busy, n), (other, _) = Counter(points).most_common(2)
    with engine.connect() as connection:
        scope = Scope(region.key, region.timezone, None)
        found = mixes(connection, scope, [other, busy], KINDS)
        assert mixes(connection, scope, [], KINDS) == []
        connection.rollback()
    mine = [row for row, point in zip(rows, points, strict=True) if point == busy]
    shift = datetime(2024, 1, 1, tzinfo=ZoneInfo(TIMEZONE)).utcoffset().total_seconds() // 60
    minutes = np.bincount([int((m + shift) % 1440) for m, *_ in mine], minlength=1440)
    np.testing.assert_array_equal(found[1].by_minute, minutes)
    kinds = Counter(kind for *_, kind in mine)
    assert found[1].by_kind.tolist() == [kinds["a"], kinds["b"], 0]
    assert found[1].by_minute.sum() == found[1].by_kind.sum() == n


def test_no_places_are_no_incidents():
    empty = PlaceCounts({}, [], [], np.empty((0, 4)))
    assert (empty.n_places, empty.n_incidents, empty.on_repeated) == (0, 0, 0)
