"""Default geocodes of a merge by its rows, of a large one by a sample whose numbers are scaled up."""

import numpy as np
import pytest
from sqlalchemy import text

from app.data_quality.checks.default_geocodes import FullPlace
from app.geo.study_area import to_degrees, to_metres
from app.incidents.full_places import SAMPLED, _counted, places_in_doubt
from app.regions.service import add_region
from app.regions.store import get_region

CRS = "EPSG:32633"
DEFAULT_M = (400_000.0, 5_300_000.0)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("city_mix", "default_geocode"),
        ("heaped_times", "default_geocode_times"),
        ("policy", "place_dropped"),
    ],
)
@pytest.mark.parametrize(("percent", "n"), [(100.0, 30), (40.0, 75)])
def test_a_place_is_named_by_its_reason_in_degrees_with_the_whole_number(reason, code, percent, n):
    found = _counted(FullPlace(*map(int, DEFAULT_M), 30, True, reason), CRS, percent)
    longitude, latitude = found.pop("longitude"), found.pop("latitude")
    assert found == {"code": code, "n": n}
    assert to_metres(longitude, latitude, CRS) == pytest.approx(DEFAULT_M, abs=0.2)


@pytest.fixture(scope="module")
def region(engine):
    add_region(engine, "full", timezone="UTC", cell_size_m=250.0)
    with engine.connect() as connection:
        return get_region(connection, "full")


def doubted(engine, region, n_default, n_rows, n=3_000, snapped_m=1.0):
    """What is said of incidents of all hours, so many of them on one point."""
    rng = np.random.default_rng(1)
    x_m, y_m = (
        centre + np.round(rng.uniform(-5_000, 5_000, n) / snapped_m) * snapped_m
        for centre in DEFAULT_M
    )
    x_m[:n_default], y_m[:n_default] = DEFAULT_M
    order = rng.permutation(n)
    rows = [
        {"t": int(t), "x": float(x_m[i]), "y": float(y_m[i]), "k": int(i % 3)}
        for t, i in zip(rng.integers(0, 10**8, n), order, strict=True)
    ]
    with engine.connect() as connection:
        connection.execute(text(
            'CREATE TEMP TABLE merged_incidents (time_s bigint, "window" smallint, x_m real, y_m real,'
            " category_key integer) ON COMMIT DROP"
        ))  # fmt: skip
        connection.execute(text("INSERT INTO merged_incidents VALUES (:t, 0, :x, :y, :k)"), rows)
        found = places_in_doubt(connection, region, CRS, n_rows)
        connection.rollback()
    return found


def test_a_point_of_all_hours_and_kinds_is_found_with_its_number(engine, region):
    few, (place,) = doubted(engine, region, 300, 3_000)
    assert few is None
    assert place["n"] == 300
    wanted = [round(float(degrees), 6) for degrees in to_degrees(*DEFAULT_M, CRS)]
    assert [place["longitude"], place["latitude"]] == wanted
    assert doubted(engine, region, 1, 3_000) == (None, [])


def test_of_more_rows_than_are_sampled_the_number_is_an_estimate(engine, region):
    _, (place,) = doubted(engine, region, 300, 2 * SAMPLED)
    assert place["n"] == pytest.approx(300, rel=0.5)


def test_one_point_per_square_of_five_kilometres_is_said_to_be_few(engine, region):
    few, _ = doubted(engine, region, 0, 3_000, snapped_m=5_000.0)
    assert (few.n, few.distinct, few.nearest_m) == (3_000, 9, 5_000.0)
