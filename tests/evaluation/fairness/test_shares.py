"""Shares by neighbourhood add up, follow the flagged cells, and hide what is small."""

import numpy as np
import pytest

from app.evaluation.fairness.shares import groups_report, share_report
from app.geo.grid import build_grid
from app.geo.neighbourhoods import Neighbourhoods
from app.geo.synthetic import synthetic_city
from models.units import DAY_S
from tests.support.simulated.town import halves


@pytest.fixture(scope="module")
def grid():
    return build_grid(synthetic_city().area, 1_000.0)


def collection(**properties):
    """The two halves of the city; the west has further properties."""
    west, east = halves()
    west["properties"].update(properties)
    east["properties"].update({name: 300 for name in properties if name == "population"})
    return {"type": "FeatureCollection", "features": [west, east]}


def report(grid, flagged, n_west=60, n_east=40, minimum=0, layer=None):
    west = int(np.argmin(grid.ix))
    east = int(np.argmax(grid.ix))
    rows = np.array([west] * n_west + [east] * n_east)
    time_s = np.arange(len(rows)) * DAY_S // 2
    tables = {name: [np.array(table, np.int32)] for name, table in flagged.items()}
    return share_report(tables, rows, time_s, grid, layer or collection(), minimum)


def by_name(found):
    return {row["name"]: row for row in found["rows"]}


def test_shares_are_of_all_and_sorted_by_incidents(grid):
    found = report(grid, {"all": [np.arange(len(grid))]}, 40, 60)
    assert [row["name"] for row in found["rows"]] == ["east", "west"]
    rows = by_name(found)
    assert rows["west"]["incident_share"] == 0.4
    assert rows["west"]["incident_share_lo"] <= 0.4 <= rows["west"]["incident_share_hi"]
    for name in ("area_share", "incident_share"):
        assert sum(row[name] for row in rows.values()) == pytest.approx(1)
    for row in rows.values():
        assert row["flagged_share"]["all"] == pytest.approx(row["area_share"])
        assert row["population_share"] is None


def test_a_model_that_flags_one_half_only_is_said_to(grid):
    west = np.flatnonzero(grid.ix < grid.nx // 2)[:4]
    found = report(grid, {"west": [west], "all": [np.arange(len(grid))]})
    assert by_name(found)["west"]["flagged_share"]["west"] == 1.0
    assert found["disparity"]["west"]["misplaced"] == pytest.approx(0.4)
    assert found["disparity"]["all"]["misplaced"] < 0.2


def test_small_parts_are_hidden_and_not_to_be_worked_out(grid):
    found = report(grid, {"all": [np.arange(len(grid))]}, 95, 5, minimum=20)
    assert all(row["incident_share"] is None for row in found["rows"])
    assert all(row["hidden"] for row in found["rows"])
    shown = report(grid, {"all": [np.arange(len(grid))]}, 60, 40, minimum=20)
    assert all(row["incident_share"] for row in shown["rows"])


def test_population_is_shared_out_only_where_all_of_it_is_known(grid):
    tables = {"all": [np.arange(len(grid))]}
    rows = by_name(report(grid, tables, layer=collection(population=100)))
    assert (rows["west"]["population_share"], rows["east"]["population_share"]) == (0.25, 0.75)
    half = collection(population=100)
    del half["features"][1]["properties"]["population"]
    rows = by_name(report(grid, tables, layer=half))
    assert {row["population_share"] for row in rows.values()} == {None}


def test_a_group_that_lives_where_nothing_is_flagged_has_no_exposure(grid):
    part = (grid.ix >= grid.nx // 2).astype(np.int64)
    flagged = np.flatnonzero(part == 1)[None, :5].astype(np.int32)
    groups = {"west": np.array([10.0, 0.0]), "east": np.array([0.0, 10.0]), "none": np.zeros(2)}
    parts = Neighbourhoods(("west", "east"), part, np.array([100.0, 100.0]), groups)
    found = groups_report(parts, flagged, grid)
    assert found["west"]["exposure"]["value"] == 0
    assert found["west"]["ratio"]["value"] == 0
    assert found["east"]["ratio"]["value"] > 1
    assert found["none"] == {"exposure": None, "others": found["none"]["others"], "ratio": None}
