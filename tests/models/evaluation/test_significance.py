"""Intervals hold what they say; small cases equal their closed forms."""

import numpy as np
import pytest

from models.evaluation.metrics import score_incidents
from models.evaluation.significance import (
    WEEK_S,
    compare_all,
    diebold_mariano,
    hit_rate_differences,
    holm,
    mcnemar_exact,
    paired_difference,
    wilson_interval,
)


def test_mean_difference_and_identity():
    time_s = np.arange(100) * WEEK_S // 10
    score = np.linspace(0, 1, 100)
    same = paired_difference(score, score, time_s)
    assert (same.mean, same.lo, same.hi, same.p_value) == (0.0, 0.0, 0.0, 1.0)
    shifted = paired_difference(score + 0.25, score, time_s)
    assert shifted.mean == pytest.approx(0.25)
    assert shifted.lo == pytest.approx(0.25)
    assert shifted.p_value <= 0.001
    assert shifted.n_blocks == 10


def test_week_intervals_hold_the_truth_when_weeks_hang_together():
    """With strong week effects, an interval over incidents would hold the truth far too rarely."""
    rng = np.random.default_rng(0)
    n_weeks, per_week, n_trials = 16, 50, 200
    time_s = np.repeat(np.arange(n_weeks), per_week) * WEEK_S
    held = naive = 0
    for trial in range(n_trials):
        week = np.repeat(rng.normal(0, 0.3, n_weeks), per_week)
        difference = week + rng.normal(0, 0.5, len(time_s))
        found = paired_difference(difference, np.zeros_like(difference), time_s, seed=trial)
        held += found.lo <= 0 <= found.hi
        half = 1.96 * difference.std() / np.sqrt(len(difference))
        naive += abs(difference.mean()) <= half
    assert 0.86 <= held / n_trials <= 0.98
    assert naive / n_trials < 0.75


def test_diebold_mariano_grows_with_autocorrelation():
    rng = np.random.default_rng(1)
    noise = rng.normal(0.1, 1, 400)
    smooth = np.convolve(noise, np.ones(5) / 5, mode="valid")
    assert diebold_mariano(np.full(10, 0.0)) == 1.0
    assert diebold_mariano(np.full(10, 0.3)) == 0.0
    assert diebold_mariano(noise[:3]) == 1.0
    plain = abs(smooth.mean()) / (smooth.std() / np.sqrt(len(smooth)))
    from math import erfc, sqrt

    assert diebold_mariano(smooth) > erfc(plain / sqrt(2))


def test_holm_against_hand_computed_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_mcnemar_and_wilson():
    # The study's largest difference: 3 more incidents of 21 caught by one model.
    assert mcnemar_exact(3, 0) == pytest.approx(0.25)
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(10, 0) == pytest.approx(2 / 2**10)
    low, high = wilson_interval(0, 16)
    assert low == 0.0
    assert high == pytest.approx(0.1936, abs=1e-3)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_compare_all_pairs_every_model_with_each_reference(fixed_model):
    rng = np.random.default_rng(2)
    truth = rng.dirichlet(np.ones(40))
    rows = rng.choice(40, 500, p=truth)
    window = np.zeros(500, int)
    scored = {
        "good": score_incidents(fixed_model(0.99 * truth + 0.01 / 40), rows, window),
        "uniform": score_incidents(fixed_model(np.full(40, 1 / 40)), rows, window),
    }
    time_s = np.sort(rng.integers(0, 10 * WEEK_S, 500))
    found = compare_all(scored, time_s, ["uniform", "absent"])
    assert [(d["model"], d["against"]) for d in found] == [("good", "uniform")]
    assert found[0]["lo"] > 0
    assert (found[0]["n_weeks"], found[0]["block_days"]) == (10, 7)
    few = compare_all(scored, np.sort(time_s // 5), ["uniform"])
    assert (few[0]["n_weeks"], few[0]["block_days"]) == (2, 1)
    assert found[0]["cap_auc_lo"] > 0
    assert found[0]["log_score"] == pytest.approx(
        scored["good"].log_density.mean() - scored["uniform"].log_density.mean()
    )


class _Always:
    """A model of four cells with fixed probabilities."""

    def __init__(self, *probability):
        self.probability_ = np.array([probability])
        self.area_km2_ = np.ones(len(probability))
        self.category_density_ = {}

    def cell_probability(self, window, category=None):
        return self.probability_[0]

    def log_density(self, rows, window, category=None):
        return np.log(self.probability_[0, rows])


def test_differences_of_hit_rates_are_those_of_the_lists():
    # One cell each: 12 incidents in the first's, 4 in the other's, 4 elsewhere; each week alike.
    rows = np.tile([0, 0, 0, 1, 2], 4)
    time_s = np.repeat(np.arange(4), 5) * WEEK_S
    window = np.zeros(20, np.int64)
    one, other = (
        score_incidents(_Always(*probability), rows, window)
        for probability in ((0.7, 0.1, 0.1, 0.1), (0.1, 0.7, 0.1, 0.1))
    )
    found = hit_rate_differences(one, other, time_s)
    assert list(found) == ["1", "5", "10", "15", "20"]
    assert found["5"] == pytest.approx({"mean": 0.4, "lo": 0.4, "hi": 0.4})
    row = compare_all({"a": one, "b": other}, time_s, ["b"])[0]
    assert (row["model"], row["hit_rate"]["5"]["mean"]) == ("a", pytest.approx(0.4))
