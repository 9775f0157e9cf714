"""What a version says of its data: unknown times, renamed kinds, places left out, and where it was made."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app import __version__
from app.data_quality.checks.default_geocodes import FullPlace
from app.fitting.data import TrainingData
from app.geo.study_area import to_metres
from app.regions.learning_policy import LearningPolicy
from app.regions.store import OutlinedRegion
from app.registry import store as registry
from app.training.report import code_sha256, data_facts, probability_tables, provenance
from models.base import CategoryDensity, FitContext
from models.incidents import Incidents
from models.units import DAY_S
from tests.support.simulated.made_forecasts import region_of, version_of

N = 6_000
START = datetime(2023, 1, 2, tzinfo=UTC)
VERSION = version_of()
GRID = VERSION.grid


def data_of(time_s=None, category=None, names=("theft", "arson"), x_m=None, **more):
    """Incidents of a year anywhere on the grid, at any minute."""
    rng = np.random.default_rng(1)
    if time_s is None:
        time_s = int(START.timestamp()) + np.sort(rng.integers(0, 364 * DAY_S, N))
    n = len(time_s)
    x, y = (rng.uniform(0, 1_500, n) + low for low in (GRID.x0_m, GRID.y0_m))
    incidents = Incidents(
        (x if x_m is None else x_m).astype(np.float32), y.astype(np.float32), time_s,
        np.zeros(n, np.int16), np.zeros(n, np.int32) if category is None else category,
    )  # fmt: skip
    known = TrainingData(
        OutlinedRegion(**vars(region_of(timezone="America/Bogota"))), VERSION.area, GRID, incidents,
        np.zeros(n, np.int64), list(names), int(time_s[-1]) + 1, 3, [], LearningPolicy(),
    )  # fmt: skip
    return replace(known, **more)


def facts(data):
    return data_facts(data)["data"]


def test_good_data_have_nothing_to_say():
    found = facts(data_of())
    assert found.pop("outside_study_area") == 3
    assert found.pop("kinds_revision") == 0
    assert {name: value for name, value in found.items() if value} == {}


def test_a_heap_at_local_midnight_is_named_by_the_local_clock():
    known = data_of()
    time_s = known.incidents.time_s.copy()
    heaped = np.random.default_rng(2).random(N) < 0.3
    time_s[heaped] = time_s[heaped] // DAY_S * DAY_S + 5 * 3600
    (unknown,) = facts(data_of(np.sort(time_s)))["unknown_times"]
    assert unknown["at"] == "00:00"
    assert unknown["n_incidents"] == pytest.approx(heaped.sum(), rel=0.05)


def test_days_without_hours_are_said_to_be():
    time_s = int(START.timestamp()) + np.sort(np.random.default_rng(3).integers(0, 364, N)) * DAY_S
    one = facts(data_of(time_s + 5 * 3600))["one_time_of_day"]
    assert (one["n_incidents"], one["share"], one["at"]) == (N, 1.0, ["00:00"])


def test_a_kind_that_ends_as_another_begins_is_dated_by_its_week():
    known = data_of()
    half = int((START + timedelta(weeks=26)).timestamp())
    rng = np.random.default_rng(4)
    kind = np.where(rng.random(N) < 0.5, 0, np.where(known.incidents.time_s < half, 1, 2))
    found = facts(data_of(category=kind.astype(np.int32), names=("theft", "robbery", "ROB")))
    (renamed,) = found["renamed_kinds"]
    assert (renamed["ended"], renamed["began"]) == (["robbery"], ["ROB"])
    about = datetime.fromisoformat(renamed["about"]).replace(tzinfo=UTC)
    assert abs(about - (START + timedelta(weeks=26))) <= timedelta(weeks=1)


def test_default_geocodes_are_given_in_metres_and_degrees():
    place = FullPlace(int(GRID.x0_m) + 100, int(GRID.y0_m) + 200, 77, True, "city_mix")
    (found,) = facts(data_of(piles=[place]))["default_geocodes"]
    assert (found["x_m"], found["y_m"], found["n_incidents"], found["reason"]) == (
        place.x_m, place.y_m, 77, "city_mix",
    )  # fmt: skip
    x_m, y_m = to_metres(found["longitude"], found["latitude"], GRID.crs)
    assert (x_m, y_m) == pytest.approx((place.x_m, place.y_m), abs=0.2)


def test_categories_left_out_by_the_policy_are_told_apart_from_those_of_patrols():
    policy = LearningPolicy(exclude_categories=("vice",), discovered_weight=0.25)
    found = facts(data_of(policy=policy, excluded_categories=["vice", "Drug offences"]))
    assert found["excluded_categories"] == ["vice", "Drug offences"]
    assert found["excluded_by_policy"] == ["vice"]
    assert found["discovered_weight"] == 0.25


def test_tables_are_of_all_and_of_the_categories_that_have_room(fixed_model):
    own = CategoryDensity(np.array([1.0, 2.0]), np.array([0.1, 0.0]))
    codes = (0, registry.MAX_CATEGORY_CODE, registry.MAX_CATEGORY_CODE + 1)
    model = fixed_model([[0.4, 0.6]], category_density=dict.fromkeys(codes, own))
    tables = probability_tables(model)
    assert set(tables) == {registry.ALL_CATEGORIES, *codes[:2]}
    np.testing.assert_array_equal(tables[registry.ALL_CATEGORIES], [[0.4, 0.6]])
    np.testing.assert_array_equal(tables[0], [[1.0, 2.0], [0.1, 0.0]])


def test_provenance_says_with_what_a_version_was_made():
    found = provenance(FitContext(0, n_threads=3), {"fit": 1.234, "validate": 2.0})
    assert found["seconds"] == 3.2
    assert found["durations_s"] == {"fit": 1.23, "validate": 2.0}
    assert (found["device"], found["n_threads"]) == ("cpu", 3)
    assert found["libraries"]["hotslot"] == __version__
    assert found["libraries"]["numpy"] == np.__version__
    assert found["code_sha256"] == code_sha256()
    assert len(bytes.fromhex(code_sha256())) == 32
    made = datetime.fromisoformat(found["created_at"])
    assert timedelta(0) <= datetime.now(UTC) - made < timedelta(minutes=1)
