"""Tests of joint forecasts: against pyCSEP's values, level and power by simulation, clustering recovered.

The values of pyCSEP 0.8.0 are those of `csep.core.poisson_evaluations` for the case below:
`_number_test_ndarray(rates.sum(), counts.sum(), 1e-6)` and `_poisson_likelihood_test(...,
num_simulations=20000, seed=3, use_observed_counts=True, normalize_likelihood=True)` of all bins and of
the sums by cell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.counts.model import CountModel
from models.evaluation import consistency
from models.evaluation.clustering import estimate_clustering
from models.evaluation.consistency import (
    INDEPENDENT,
    Clustering,
    JointForecast,
    Observed,
    as_observed,
    likelihood_tests,
    number_test,
    simulations,
)
from models.units import HOUR_S, N_WINDOWS

PYCSEP = {"N upper": 0.05263, "N lower": 0.96126, "S": 0.5317, "CL": 0.15095}
POISSON = CountModel((1.0,) * N_WINDOWS, (), 1.0, 1.0, 1.0)
SLOTS = np.arange(168 * 4)
N_CELLS = 300


def space_test(*given, **options):
    return likelihood_tests(*given, **options)[0]


def conditional_likelihood_test(*given, **options):
    return likelihood_tests(*given, **options)[1]


def _pycsep_case() -> tuple[JointForecast, Observed]:
    rng = np.random.default_rng(1)
    rates = rng.gamma(0.7, 1.0, (24, 10))
    rates *= 40 / rates.sum()
    counts = rng.poisson(rates * 1.1)
    table = np.full((N_WINDOWS, 10), 0.1)
    table[:24] = rates / rates.sum(axis=1, keepdims=True)
    forecast = JointForecast(
        rates.sum(axis=1), np.arange(24), np.arange(24) * HOUR_S, table, POISSON
    )
    slot, cell = np.nonzero(counts)
    times = counts[slot, cell]
    return forecast, Observed(np.repeat(slot, times), np.repeat(cell, times))


def _forecast(n: float = 2000.0, counts: CountModel = POISSON) -> JointForecast:
    """Four weeks of 300 cells, whose shares differ by the hour."""
    rng = np.random.default_rng(5)
    table = rng.gamma(1.0, 1.0, (N_WINDOWS, N_CELLS)) + rng.gamma(0.5, 4.0, N_CELLS)
    mean = rng.gamma(2.0, 1.0, N_WINDOWS)[SLOTS % N_WINDOWS]
    table /= table.sum(axis=1, keepdims=True)
    return JointForecast(mean * n / mean.sum(), SLOTS % N_WINDOWS, SLOTS * HOUR_S, table, counts)


def test_equal_to_pycsep(monkeypatch):
    monkeypatch.setattr(consistency, "LEAST_SIMULATIONS", consistency.N_SIMULATIONS)
    forecast, observed = _pycsep_case()
    number = number_test(forecast, len(observed))
    assert number.upper == pytest.approx(PYCSEP["N upper"], abs=0.01)
    assert number.quantile == pytest.approx(PYCSEP["N lower"], abs=0.01)
    assert number.passed
    spread = 3 * 0.5 / np.sqrt(consistency.N_SIMULATIONS)
    assert space_test(forecast, observed).quantile == pytest.approx(PYCSEP["S"], abs=spread)
    found = conditional_likelihood_test(forecast, observed).quantile
    assert found == pytest.approx(PYCSEP["CL"], abs=spread)


@pytest.mark.slow
@pytest.mark.parametrize("clustering", [INDEPENDENT, Clustering(0.15, 0.4, 0.5)])
def test_periods_drawn_from_the_forecast_pass_as_often_as_stated(monkeypatch, clustering):
    monkeypatch.setattr(consistency, "N_SIMULATIONS", 40)
    forecast = _forecast(300, CountModel((1.0,) * N_WINDOWS, (), 1, 1, 1, by_slot=0.2, by_day=0.1))
    drawn = list(simulations(forecast, 300, clustering, np.random.default_rng(2), 40))
    for test in (space_test, conditional_likelihood_test):
        failed = sum(
            not test(forecast, one, clustering, seed=i).passed for i, one in enumerate(drawn)
        )
        assert failed <= 7, "5 % of 40, and chance"


@pytest.mark.slow
def test_stopping_early_changes_no_verdict(monkeypatch):
    monkeypatch.setattr(consistency, "N_SIMULATIONS", 300)
    forecast = _forecast(300)
    drawn = list(
        simulations(forecast, 300, Clustering(0.1, 0.3, 0.5), np.random.default_rng(9), 12)
    )
    verdicts = []
    for least in (100, 300):
        monkeypatch.setattr(consistency, "LEAST_SIMULATIONS", least)
        found = [likelihood_tests(forecast, one, seed=i) for i, one in enumerate(drawn)]
        verdicts.append([[outcome.passed for outcome in pair] for pair in found])
    assert verdicts[0] == verdicts[1]
    assert {passed for pair in verdicts[0] for passed in pair} == {True, False}


def test_a_wrong_number_wrong_places_and_wrong_hours_are_found(monkeypatch):
    monkeypatch.setattr(consistency, "N_SIMULATIONS", 100)
    forecast = _forecast()
    good = next(simulations(forecast, 2000, INDEPENDENT, np.random.default_rng(3), 1))
    assert number_test(forecast, 2000).passed
    assert not number_test(forecast, 2200).passed
    assert not number_test(forecast, 1800).passed
    other_places = Observed(good.slot, (good.cell + 7) % N_CELLS)
    assert not space_test(forecast, other_places).passed
    other_hours = Observed((good.slot + 5) % len(SLOTS), good.cell)
    assert space_test(forecast, other_hours).passed
    assert not conditional_likelihood_test(forecast, other_hours).passed


def test_clustered_incidents_fail_as_independent_ones_and_pass_as_clustered(monkeypatch):
    monkeypatch.setattr(consistency, "N_SIMULATIONS", 100)
    truth, forecast = Clustering(0.1, 0.8, 0.5), _forecast()
    drawn = list(simulations(forecast, 2000, truth, np.random.default_rng(4), 4))
    found = estimate_clustering((forecast, one) for one in drawn[:3])
    assert not space_test(forecast, drawn[3]).passed
    assert space_test(forecast, drawn[3], found).passed
    assert conditional_likelihood_test(forecast, drawn[3], found).passed


def test_clustering_is_recovered_and_independence_too():
    forecast, rng = _forecast(1000), np.random.default_rng(6)
    truth = Clustering(0.2, 0.6, 0.5)
    drawn = simulations(forecast, 1000, truth, rng, 20)
    found = estimate_clustering((forecast, one) for one in drawn)
    assert found.by_cell == pytest.approx(0.2, rel=0.35)
    assert found.followers == pytest.approx(0.6, rel=0.5)
    assert found.followers * found.at_once == pytest.approx(0.3, rel=0.25)
    drawn = simulations(forecast, 1000, INDEPENDENT, rng, 20)
    found = estimate_clustering((forecast, one) for one in drawn)
    assert found.by_cell < 0.03
    assert found.followers < 0.1
    assert estimate_clustering([]) == INDEPENDENT


@pytest.mark.slow
def test_one_table_for_all_hours_is_as_good_as_168_equal_ones(monkeypatch):
    forecast = _forecast()
    one = replace(forecast, probability=forecast.probability[:1])
    same = replace(forecast, probability=np.repeat(one.probability, N_WINDOWS, axis=0))
    np.testing.assert_allclose(one.cell_share(one.mean), same.cell_share(same.mean))
    drawn = list(simulations(one, 2000, INDEPENDENT, np.random.default_rng(8), 20))
    slots = np.bincount(np.concatenate([d.slot for d in drawn]), minlength=len(SLOTS)) / 40_000
    rate = one.mean / one.mean.sum()
    assert np.abs(slots - rate).max() < 5 * np.sqrt(rate.max() / 40_000)
    found = [vars(estimate_clustering([(each, drawn[0])])) for each in (one, same)]
    assert found[0] == pytest.approx(found[1])
    monkeypatch.setattr(consistency, "LEAST_SIMULATIONS", consistency.N_SIMULATIONS)
    for seen in drawn[1:4]:
        pairs = zip(likelihood_tests(one, seen), likelihood_tests(same, seen), strict=True)
        for of_one, of_same in pairs:
            assert of_one.quantile == pytest.approx(of_same.quantile, abs=0.1)


def test_simulations_follow_the_rates():
    forecast, rng = _forecast(), np.random.default_rng(7)
    drawn = list(simulations(forecast, 2000, INDEPENDENT, rng, 40))
    n = 40 * 2000
    share = np.bincount(np.concatenate([one.cell for one in drawn]), minlength=N_CELLS) / n
    expected = forecast.cell_share(forecast.mean)
    assert np.abs(share - expected).max() < 5 * np.sqrt(expected.max() / n)
    slots = np.bincount(np.concatenate([one.slot for one in drawn]), minlength=len(SLOTS)) / n
    rate = forecast.mean / forecast.mean.sum()
    assert np.abs(slots - rate).max() < 5 * np.sqrt(rate.max() / n)


def test_incidents_outside_slots_and_cells_are_left_out():
    starts = np.array([0, HOUR_S, 3 * HOUR_S])
    cell = np.array([4, -1, 2, 3, 1])
    time_s = np.array([0, 10, HOUR_S + 1, 2 * HOUR_S + 1, 3 * HOUR_S + 5])
    observed, inside = as_observed(cell, time_s, starts)
    assert inside.tolist() == [True, False, True, False, True]
    assert observed.slot.tolist() == [0, 1, 2]
    assert observed.cell.tolist() == [4, 2, 1]
