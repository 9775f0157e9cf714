"""What a merge did, and which places are doubtful, is said with numbers; nothing is said of nothing."""

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text

from app.incidents.merging.corrections import Changes
from app.incidents.merging.merge import Merged
from app.incidents.merging.twins import Twins
from app.incidents.uploads.warnings import UPLOAD_WARNINGS, merge_warnings, place_warnings
from app.regions.service import add_region
from app.regions.store import get_region, outlined

CRS = "EPSG:32633"
CASES = [
    ({"differing": 3}, "repeated_ids"),
    ({"changes": Changes(conflicts=3)}, "id_conflicts"),
    ({"changes": Changes(turned_back=3)}, "turned_back"),
    ({"twins": Twins(skipped=3)}, "near_duplicates_skipped"),
    ({"twins": Twins(corrected=3)}, "near_duplicates_replaced"),
    ({"removed": 3}, "removed"),
    ({"missing": 3}, "missing_upstream"),
]


@pytest.mark.parametrize(("members", "code"), CASES)
def test_each_number_of_a_merge_is_said(members, code):
    (warning,) = merge_warnings(replace(Merged(), **members))
    assert (warning.code, warning.params) == (code, {"n": 3})


def test_a_merge_of_new_rows_only_says_nothing():
    assert list(merge_warnings(Merged(added=9, changes=Changes(corrected=2, outdated=1)))) == []


@pytest.mark.parametrize("code", sorted(UPLOAD_WARNINGS.templates))
def test_every_warning_can_be_made_of_numbers(code):
    assert (
        "{"
        not in UPLOAD_WARNINGS.make(code, **dict.fromkeys(UPLOAD_WARNINGS.fields(code), 1)).message
    )


@pytest.fixture(scope="module")
def region(engine):
    add_region(engine, "doubts", timezone="UTC", cell_size_m=250.0)
    with engine.connect() as connection:
        return outlined(connection, get_region(connection, "doubts"))


def said(engine, region, x_m, y_m):
    """Return the warnings of merged incidents at these places, at all hours and of three kinds."""
    n = len(x_m)
    times = np.arange(n) * 3_660 * 7
    rows = [
        {"t": int(t), "w": int(t // 3600 % 168), "x": float(x), "y": float(y), "k": i % 3}
        for i, (t, x, y) in enumerate(zip(times, x_m, y_m, strict=True))
    ]
    with engine.connect() as connection:
        connection.execute(text(
            'CREATE TEMP TABLE merged_incidents (time_s bigint, "window" smallint, x_m real, y_m real,'
            " category_key integer) ON COMMIT DROP"
        ))  # fmt: skip
        connection.execute(text("INSERT INTO merged_incidents VALUES (:t, :w, :x, :y, :k)"), rows)
        found = list(place_warnings(connection, region, CRS, n))
        connection.rollback()
    return found


def test_places_of_their_own_are_not_warned_of(engine, region):
    rng = np.random.default_rng(1)
    assert said(engine, region, *rng.uniform(400_000, 420_000, (2, 500))) == []


def test_a_point_for_each_precinct_is_said(engine, region):
    precinct = np.arange(480) % 12
    (warning,) = said(engine, region, 400_000 + 2_000 * precinct, 5_300_000 + 0 * precinct)
    assert warning.code == "few_places"
    assert (warning.params["n"], warning.params["distinct"], warning.params["nearest_m"]) == (
        480,
        12,
        2000,
    )


def test_a_default_geocode_is_said_with_its_place_and_share(engine, region):
    rng = np.random.default_rng(1)
    x_m, y_m = rng.uniform(400_000, 420_000, 3_000), rng.uniform(5_300_000, 5_320_000, 3_000)
    at_default = rng.random(3_000) < 0.2
    (warning,) = said(
        engine, region, np.where(at_default, 410_000, x_m), np.where(at_default, 5_310_000, y_m)
    )
    n = int(at_default.sum())
    assert (warning.code, warning.params["n"]) == ("default_geocode", n)
    assert warning.params["share"] == pytest.approx(n / 3_000)
    assert 13 < warning.params["longitude"] < 15
