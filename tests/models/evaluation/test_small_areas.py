"""Scores of lists of small areas against values worked out by hand."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest

from models.evaluation.metrics import score_rows
from models.evaluation.significance import wilson_interval
from models.evaluation.small_areas import (
    SMALL_AREAS_KM2,
    ListScore,
    best_by_window,
    best_in_period,
    first_within,
    recapture_rate,
    small_area_hits,
)
from models.units import DAY_S


def test_indices_of_a_list_by_hand():
    # 30 of 120 incidents in 1 of 200 km2; the best square kilometre had 50; last year 400 of 2,000.
    found = ListScore(120, 30.0, 1.0, 200.0, 50.0, 2_000, 400.0).to_json()
    assert (found["n"], found["hits"], found["area_share"]) == (120, 30, 0.005)
    assert found["share"] == pytest.approx(0.25)
    assert found["pai"] == pytest.approx(50.0)
    assert found["pei"] == pytest.approx(0.6)
    assert found["rri"] == pytest.approx(0.25 / 0.2)
    lo, hi = wilson_interval(30, 120)
    assert (found["pai_lo"], found["pai_hi"]) == pytest.approx((200 * lo, 200 * hi))
    assert (found["pei_lo"], found["pei_hi"]) == pytest.approx((120 * lo / 50, 120 * hi / 50))
    sd = sqrt(1 / 30 - 1 / 120 + 1 / 400 - 1 / 2_000)
    assert log(found["rri_hi"] / 1.25) == pytest.approx(1.959964 * sd)
    assert found["rri_lo"] == pytest.approx(1.25 * exp(-1.959964 * sd))


def test_a_list_without_hits_has_bounds_and_one_without_incidents_nothing():
    none_caught = ListScore(40, 0.0, 1.0, 200.0, 10.0, 1_000, 100.0).to_json()
    assert (none_caught["pai"], none_caught["pei"], none_caught["rri"]) == (0, 0, 0)
    assert none_caught["pai_lo"] == none_caught["rri_lo"] == 0
    assert none_caught["pai_hi"] == pytest.approx(200 * wilson_interval(0, 40)[1])
    assert 0 < none_caught["rri_hi"] < 1
    empty = ListScore(0, 0.0, 1.0, 200.0, 0.0).to_json()
    names = [
        f"{name}{end}" for name in ("share", "pai", "pei", "rri") for end in ("", "_lo", "_hi")
    ]
    assert [empty[name] for name in names] == [None] * 12
    assert recapture_rate(3, 10, 0, 50)["rri"] is None


def test_a_list_takes_whole_cells_in_order_within_the_area():
    area_km2 = np.array([1.0, 1.0, 0.25, 1.0])
    order = np.array([3, 2, 0, 1])
    assert first_within(order, area_km2, 1.25).tolist() == [3, 2]
    assert first_within(order, area_km2, 2.0).tolist() == [3, 2]
    assert first_within(order, area_km2, 0.1).tolist() == [3]
    rows, window = np.array([0, 0, 1, 3, 3, 3]), np.array([5, 5, 5, 9, 9, 5])
    assert best_in_period(rows, area_km2, 1.0) == 3
    assert best_in_period(rows, area_km2, 2.0) == 5
    assert best_by_window(rows, window, area_km2, 1.0) == 2 + 2


def test_lists_of_a_backtest_agree_with_counting_cell_by_cell(incidents, grid, fixed_model):
    """Lists by hour of random tables, judged by brute force."""
    rng = np.random.default_rng(4)
    table = rng.random((168, len(grid)))
    model = fixed_model(table / table.sum(axis=1, keepdims=True), grid.area_km2)
    cutoff_s = int(incidents.time_s[-1]) - 14 * DAY_S
    past, test = incidents.before(cutoff_s), incidents.since(cutoff_s)
    found = small_area_hits(model, grid, past, test, cutoff_s)
    rows = grid.locate(test.x_m, test.y_m)
    for place, budget in enumerate(SMALL_AREAS_KM2):
        listed = {
            hour: set(first_within(np.argsort(-table[hour], kind="stable"), grid.area_km2, budget))
            for hour in range(168)
        }
        expected = [row in listed[hour] for row, hour in zip(rows, test.window, strict=True)]
        np.testing.assert_array_equal(found.window[:, place], expected)
        area = np.mean([grid.area_km2[list(listed[hour])].sum() for hour in test.window])
        assert found.area_km2[1, place] == pytest.approx(area)
        assert area <= budget + 1e-9
        rates = 1 + np.bincount(past.window, minlength=168)
        order = np.argsort(-(rates @ model.probability_), kind="stable")
        mine = np.isin(rows, first_within(order, grid.area_km2, budget))
        np.testing.assert_array_equal(found.period[:, place], mine)
        old = np.isin(grid.locate(past.x_m, past.y_m), first_within(order, grid.area_km2, budget))
        assert found.past_hits[0, place] == old.sum()
    assert found.past_n == len(past)
    assert len(score_rows(model, grid, test)) == len(found.period)
