"""Counts and transforms: what a true model scores, and what a wrong one does."""

import numpy as np
import pytest

from models.counts.fit import Slots
from models.counts.model import CountModel
from models.evaluation.calibration import (
    crps,
    evaluate_counts,
    ks_distance,
    pit_histogram,
    reliability,
)

HOUR_COUNT = 168 * 60


@pytest.fixture(scope="module")
def slots() -> Slots:
    hour = np.arange(HOUR_COUNT)
    return Slots(hour * 3600, hour % 168, np.zeros(len(hour), bool))


def _model(**changes) -> CountModel:
    return CountModel((1.0,) * 168, (), 2.0, 2.0, 1.0, nominal_level=0.9, **changes)


def _factors(rng, variance: float, n: int):
    return rng.gamma(1 / variance, variance, n)


def test_uniform_transform_has_no_gap_and_a_shifted_one_has():
    even = (np.arange(1000) + 0.5) / 1000
    assert ks_distance(even) == pytest.approx(0.0005)
    assert ks_distance(even**2) == pytest.approx(0.25, abs=0.01)
    assert pit_histogram(even) == [0.1] * 10
    assert ks_distance(np.zeros(0)) == 0.0


def test_judged_counts_of_the_true_model_are_calibrated(slots):
    rng = np.random.default_rng(0)
    count = rng.poisson(2.0 * _factors(rng, 0.1, HOUR_COUNT))
    found = evaluate_counts(_model(by_slot=0.1), slots, count)
    assert found["worst_gap"] < 0.02
    assert found["observed"] == count.sum()
    np.testing.assert_allclose(found["pit"], 0.1, atol=0.015)
    wrong = evaluate_counts(_model(by_slot=0.1), slots, 2 * count)
    assert wrong["worst_gap"] > 0.2
    assert wrong["by_hour"]["crps"] > found["by_hour"]["crps"]


def test_sums_of_days_are_covered_only_with_their_own_errors(slots):
    rng = np.random.default_rng(1)
    of_day = np.repeat(_factors(rng, 0.2, HOUR_COUNT // 24), 24)
    count = rng.poisson(2.0 * of_day)
    true, blind = (
        evaluate_counts(_model(**{part: 0.2}), slots, count) for part in ("by_day", "by_slot")
    )
    assert true["by_day"]["n"] == HOUR_COUNT // 24
    assert true["by_week"]["n"] == 60
    assert true["by_day"]["coverage"]["90"] == pytest.approx(0.9, abs=0.04)
    assert true["by_day"]["coverage"]["50"] == pytest.approx(0.5, abs=0.07)
    assert blind["by_day"]["coverage"]["90"] < 0.7
    assert blind["by_day"]["crps"] > true["by_day"]["crps"]
    assert blind["by_day"]["log_score"] < true["by_day"]["log_score"]


def test_weeks_ahead_are_told_apart(slots):
    count = np.where(slots.time_s < 604_800, 2, 9)
    by_lead = evaluate_counts(_model(), slots, count)["by_lead"]
    assert [one["week"] for one in by_lead] == list(range(1, 61))
    assert by_lead[0]["observed"] == 336
    assert by_lead[0]["coverage"] == 1.0
    assert by_lead[1]["coverage"] == 0.0


def test_half_a_day_has_no_sum_of_days(slots):
    found = evaluate_counts(_model(), slots.take(slice(0, 12)), np.ones(12, np.int64))
    assert found["by_day"] is None
    assert found["by_week"] is None


@pytest.mark.parametrize("dispersion", [0.0, 0.4])
def test_crps_is_its_definition_by_expected_distances(dispersion):
    rng = np.random.default_rng(2)
    n = 400_000
    drawn = rng.poisson(4.0 * (_factors(rng, dispersion, n) if dispersion else np.ones(n)))
    for count in (0, 4, 11):
        half = n // 2
        expected = np.abs(drawn - count).mean() - np.abs(drawn[:half] - drawn[half:]).mean() / 2
        found = crps(np.array([count]), np.array([4.0]), dispersion)
        assert found[0] == pytest.approx(expected, abs=0.02)


def test_reliability_bands_hold_what_is_expected_of_a_true_forecast_only():
    even = (np.arange(1000) + 0.5) / 1000
    rows = reliability(even)
    assert len(rows) == 10
    assert all(row["lo"] < row["expected"] < row["hi"] for row in rows)
    sharp = reliability(even**3)
    assert sharp[0]["lo"] > sharp[0]["expected"]
    assert reliability(np.zeros(0))[0]["hi"] == 1.0
