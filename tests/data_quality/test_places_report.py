"""The report of places counts them, says their precision, and judges the full ones by policy and mix."""

import numpy as np
import pytest

from app.data_quality.checks.default_geocodes import Mix
from app.data_quality.places import places_report
from app.data_quality.store import Scope
from app.geo.time_heaping import MINUTES_OF_DAY
from app.incidents.service import UploadSource, ingest
from app.regions.learning_policy import SETTINGS_PATH
from app.regions.service import add_region
from app.regions.store import get_region, put_setting

N, N_DEFAULT = 1200, 200
DEFAULT = (13.5, 48.1)


@pytest.fixture(scope="module")
def region(engine, settings):
    """A region with incidents of two kinds at all hours, a sixth of them on one point."""
    add_region(engine, "piles", timezone="UTC")
    rng = np.random.default_rng(2)
    rows = ["occurred_at,longitude,latitude,category"]
    for i in range(N):
        lon, lat = DEFAULT if i < N_DEFAULT else (rng.uniform(13.4, 13.6), rng.uniform(48.0, 48.2))
        day, minute = rng.integers(1, 28), rng.integers(0, 1440)
        rows.append(
            f"2026-01-{day:02}T{minute // 60:02}:{minute % 60:02},{lon:.6f},{lat:.6f},{'ab'[i % 2]}"
        )
    ingest(engine, "piles", ["\n".join(rows).encode()], UploadSource("text/csv"), settings=settings)
    return "piles"


def report(engine, name, policy=None):
    whole = Mix(np.full(MINUTES_OF_DAY, 1), np.array([N // 2, N // 2]))
    with engine.connect() as connection:
        found = get_region(connection, name)
        if policy is not None:
            put_setting(connection, found.key, SETTINGS_PATH, policy)
            found = get_region(connection, name)
        scope = Scope(found.key, found.timezone, None)
        made = places_report(connection, found, scope, whole, ["a", "b"])
        connection.rollback()
    return made


def test_places_are_counted_and_the_full_one_is_judged(engine, region):
    found = report(engine, region)
    assert found["distinct"] == N - N_DEFAULT + 1
    assert found["share_on_repeated"] == pytest.approx(N_DEFAULT / N)
    assert (found["decimals"], found["step_m"]) == (None, None)
    (full,) = found["full"]
    assert (full["n"], full["share"]) == (N_DEFAULT, pytest.approx(N_DEFAULT / N))
    assert (full["longitude"], full["latitude"]) == pytest.approx(DEFAULT)
    assert found["piles"] == ([full] if full["default"] else [])
    assert found["fullest"] == [{name: full[name] for name in ("longitude", "latitude", "n")}]


@pytest.mark.parametrize("choice", ["keep_places", "drop_places"])
def test_the_policy_decides_of_the_places_it_names(engine, region, choice):
    found = report(engine, region, {choice: [{"longitude": DEFAULT[0], "latitude": DEFAULT[1]}]})
    (full,) = found["full"]
    assert (full["default"], full["reason"]) == (choice == "drop_places", "policy")


def test_a_region_without_incidents_has_no_places(engine):
    add_region(engine, "nowhere", timezone="UTC")
    found = report(engine, "nowhere")
    assert (found["distinct"], found["share_on_repeated"], found["full"]) == (0, 0, [])
    assert (found["nearest_m"], found["decimals"]) == (None, None)
