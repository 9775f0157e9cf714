"""Metrics equal cases computed by hand, ties included, and obey their invariances."""

import numpy as np
import pytest

from app.registry.stored_model import StoredModel
from models.base import CategoryDensity
from models.evaluation.metrics import (
    HIT_PERCENTS,
    area_shares,
    cap_curve,
    n_top,
    ranked_rows,
    score_incidents,
    summarise,
)
from models.times.intervals import HourShares

ALL_AREA = dict.fromkeys((1, 5, 10, 15, 20), 1.0)


@pytest.mark.parametrize(
    ("n_cells", "percent", "expected"),
    [(1, 20, 1), (99, 1, 1), (100, 1, 1), (199, 1, 1), (200, 1, 2), (1000, 0.1, 1), (30, 10, 3)],
)
def test_top_k_percent_is_floored_but_never_empty(n_cells, percent, expected):
    assert n_top(n_cells, percent) == expected


def test_golden_case_with_ties(fixed_model):
    # Ten cells of 1 km2. Order by probability, ties by id: 3 | 0 1 2 (tied) | 4 5 6 7 8 9 (tied).
    probability = np.array([0.2, 0.2, 0.2, 0.28, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02])
    model = fixed_model(probability)
    rows = np.array([3, 0, 2, 9])
    scored = score_incidents(model, rows, np.zeros(4, int))
    # mid-ranks: (0 + 1/2)/10, (1 + 3/2)/10 twice, (4 + 6/2)/10
    np.testing.assert_allclose(scored.mid_rank, [0.05, 0.25, 0.25, 0.7])
    np.testing.assert_array_equal(scored.place, [0, 1, 3, 9])
    np.testing.assert_allclose(scored.log_density, np.log([0.28, 0.2, 0.2, 0.02]))
    found = summarise(scored, {1: 0.1, 5: 0.1, 10: 0.1, 15: 0.1, 20: 0.2})
    assert found["n"] == 4
    assert found["cap_auc"] == pytest.approx(1 - (0.05 + 0.25 + 0.25 + 0.7) / 4)
    assert found["hits"] == {"1": 1, "5": 1, "10": 1, "15": 1, "20": 2}
    assert found["hit_rate"]["20"] == 0.5
    assert found["pai"]["10"] == pytest.approx(0.25 / 0.1)
    assert found["pai"]["20"] == pytest.approx(0.5 / 0.2)
    # Every cell holds at most one incident, so that the best 1 (or 2) cells would catch 1 (or 2).
    assert found["pei"] == {"1": 1.0, "5": 1.0, "10": 1.0, "15": 1.0, "20": 1.0}


def test_ranks_and_best_hits_are_taken_within_each_window(fixed_model):
    tables = np.full((168, 10), 0.05)
    tables[0, 0], tables[1, 9] = 0.55, 0.55
    model = fixed_model(tables)
    rows, window = np.array([0, 0, 9, 9]), np.array([0, 1, 0, 1])
    scored = score_incidents(model, rows, window)
    np.testing.assert_array_equal(scored.place, [0, 1, 9, 0])
    np.testing.assert_allclose(scored.mid_rank, [0.05, 0.55, 0.55, 0.05])
    assert scored.best_hits[10] == 2  # one cell per window: one incident in each


def test_small_cells_rank_by_probability_but_score_by_density(fixed_model):
    model = fixed_model([0.6, 0.4], area_km2=[3.0, 0.5])
    scored = score_incidents(model, np.array([0, 1]), np.zeros(2, int))
    np.testing.assert_array_equal(scored.place, [0, 1])
    np.testing.assert_allclose(scored.log_density, np.log([0.2, 0.8]))
    assert area_shares(model, np.zeros(2, int))[20] == pytest.approx(3.0 / 3.5)
    # The denser cell comes first in the PIT: 0..0.4 for it, 0.4..1 for the other.
    assert 0.4 <= scored.pit_values[0] <= 1.0
    assert 0.0 <= scored.pit_values[1] <= 0.4


def test_uniform_forecast_scores_chance(fixed_model):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 50, 4000)
    scored = score_incidents(fixed_model(np.full(50, 0.02)), rows, np.zeros(4000, int))
    assert summarise(scored, ALL_AREA)["cap_auc"] == 0.5
    assert abs(scored.pit_values.mean() - 0.5) < 0.02


def test_pit_values_are_uniform_when_the_density_is_right(fixed_model):
    rng = np.random.default_rng(1)
    probability = rng.dirichlet(np.full(200, 0.3)) * 0.99 + 0.01 / 200
    area = rng.uniform(0.2, 1.0, 200)
    rows = rng.choice(200, 20_000, p=probability)
    scored = score_incidents(fixed_model(probability, area), rows, np.zeros(20_000, int))
    histogram, _ = np.histogram(scored.pit_values, bins=10, range=(0, 1))
    np.testing.assert_allclose(histogram / 20_000, 0.1, atol=0.01)


def test_categories_meet_their_own_table(fixed_model):
    own = {
        1: CategoryDensity(np.array([0.5, 4.0, 32.0]), np.zeros(3)),
        2: CategoryDensity(np.array([1.0, 8.0, 8.0]), np.array([0.0, 0.5, 0.0])),
    }
    model = fixed_model([0.8, 0.1, 0.1], category_density=own)
    rows, window = np.array([2, 2, 1, 0]), np.array([5, 5, 7, 9])
    scored = score_incidents(model, rows, window, category=np.array([0, 1, 2, 3]))
    np.testing.assert_allclose(scored.log_density, np.log([0.1, 0.8, 0.5 + 0.5 / 3, 0.8]))
    np.testing.assert_array_equal(scored.place, [2, 0, 0, 0])
    plain = score_incidents(model, rows, window)
    np.testing.assert_allclose(plain.log_density, np.log([0.1, 0.1, 0.1, 0.8]))


def test_cap_curve_rises_from_nothing_to_all_and_meets_the_hits(fixed_model):
    rng = np.random.default_rng(2)
    probability = rng.dirichlet(np.ones(137))
    rows = rng.integers(0, 137, 500)
    scored = score_incidents(fixed_model(probability), rows, np.zeros(500, int))
    curve = cap_curve(scored.place, scored.n_cells)
    hits = summarise(scored, ALL_AREA)["hit_rate"]
    assert curve[0] == 0.0
    assert curve[100] == 1.0
    assert np.all(np.diff(curve) >= 0)
    for percent in (1, 5, 10, 15, 20):
        assert curve[percent] == pytest.approx(hits[str(percent)])


def test_scores_do_not_depend_on_the_order_of_rows(fixed_model):
    rng = np.random.default_rng(3)
    model = fixed_model(rng.dirichlet(np.full(60, 0.5), size=168).round(3) + 1e-4)
    rows, window = rng.integers(0, 60, 800), rng.integers(0, 168, 800)
    shuffled = rng.permutation(800)
    first = summarise(score_incidents(model, rows, window), area_shares(model, window))
    second = summarise(
        score_incidents(model, rows[shuffled], window[shuffled]),
        area_shares(model, window[shuffled]),
    )
    for name in ("n", "hits", "hit_rate", "pei"):
        assert first[name] == second[name]
    for name in ("log_score", "cap_auc"):
        assert first[name] == pytest.approx(second[name], abs=1e-12)


def test_better_knowledge_scores_better(fixed_model):
    rng = np.random.default_rng(4)
    truth = rng.dirichlet(np.full(80, 0.4)) * 0.99 + 0.01 / 80
    rows = rng.choice(80, 3000, p=truth)
    blurred = 0.5 * truth + 0.5 / 80
    window = np.zeros(3000, int)
    exact, vague = (
        summarise(score_incidents(fixed_model(p), rows, window), ALL_AREA) for p in (truth, blurred)
    )
    assert exact["log_score"] > vague["log_score"]
    assert exact["cap_auc"] == pytest.approx(vague["cap_auc"])  # the order is the same


def test_nothing_to_score_gives_no_scores(fixed_model):
    none = np.zeros(0, int)
    found = summarise(score_incidents(fixed_model(np.full(5, 0.2)), none, none), ALL_AREA)
    assert found["n"] == 0
    assert found["log_score"] is None


def test_an_interval_is_scored_by_the_probability_of_its_place_over_all_its_hours():
    rng = np.random.default_rng(0)
    model = StoredModel(rng.dirichlet(np.ones(40), 168), np.ones(40))
    rows = np.array([3, 17])
    hours = HourShares(
        np.array([0, 0, 0, 1]), np.array([5, 6, 7, 100]), np.array([0.2, 0.5, 0.3, 1])
    )
    scored = score_incidents(model, rows, np.array([6, 100]), hours=hours)
    table = model.probability_
    mixed = 0.2 * table[5, 3] + 0.5 * table[6, 3] + 0.3 * table[7, 3]
    np.testing.assert_allclose(scored.log_density, np.log([mixed, table[100, 17]]), rtol=1e-9)
    for place, percent in enumerate(HIT_PERCENTS):
        top = [3 in ranked_rows(table[w])[: n_top(40, percent)] for w in (5, 6, 7)]
        assert scored.hit_shares[0, place] == pytest.approx(np.dot(top, [0.2, 0.5, 0.3]))
    exact = score_incidents(model, rows, np.array([6, 100]))
    assert scored.hit_shares[1].tolist() == exact.hit_shares[1].tolist()
    assert scored.pit_values.tolist() == exact.pit_values.tolist()
