"""Joint tests in a backtest: which periods they know, what they say of true and of wrong forecasts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from app.evaluation.backtests.consistency.clustering import joint_tests, periods_before
from app.evaluation.backtests.consistency.joint import consistency_json, number_outcomes
from app.evaluation.backtests.consistency.joint_tests import JointTests
from app.evaluation.backtests.counts import count_forecasts
from app.evaluation.backtests.execute import Execution, Protocol, run_protocol
from app.evaluation.backtests.result import of_first_seed
from app.geo.synthetic import TIMEZONE
from app.releases.disclosure import shown_backtest
from models.base import FitCancelled
from models.evaluation import consistency
from models.evaluation.consistency import INDEPENDENT, Clustering, JointForecast, simulations
from models.units import DAY_S, N_WINDOWS

MODELS = ("uniform", "pooled-kde")
DAYS = 14


@pytest.fixture(scope="module")
def wide(incidents):
    end_s = int(incidents.time_s[-1]) + 1
    return Protocol(MODELS, tuple(end_s - k * DAYS * DAY_S for k in range(5, 0, -1)), DAYS)


@pytest.fixture(scope="module")
def counts(incidents, wide):
    return count_forecasts(incidents, TIMEZONE, wide)


@pytest.fixture(scope="module")
def joint(incidents, grid, wide, counts):
    return joint_tests(incidents, grid, wide, counts)


@pytest.fixture(scope="module")
def tested(incidents, grid, wide, joint):
    return run_protocol(incidents, grid, wide, Execution(2), joint=joint)


@pytest.fixture(scope="module")
def found(tested, wide, counts, joint):
    return consistency_json(of_first_seed(tested, wide), number_outcomes(counts, wide), joint)


def test_every_forecast_is_tested_and_says_how_clustering_was_known(found, wide):
    assert list(found["models"]) == list(MODELS)
    for one in found["models"].values():
        rows = one["per_origin"]
        assert [row["clustering"]["periods"] for row in rows] == [0, 1, 2, 3, 3]
        assert rows[0]["clustering"] == {"periods": 0, **vars(INDEPENDENT)}
        for test in ("N", "S", "CL"):
            passed = sum(row[test]["passed"] for row in rows)
            assert one[test] == {"passed": passed, "of": 5, "rate": passed / 5}
            assert sum(f["test"] == test for f in one["failures"]) == 5 - passed
        whole = sum(all(row[t]["passed"] for t in ("N", "S", "CL")) for row in rows)
        assert one["all"]["passed"] == whole
    numbers = [[row["N"] for row in one["per_origin"]] for one in found["models"].values()]
    assert numbers[0] == numbers[1], "the number is forecast by the counts alone"
    json.dumps(found)


def test_places_drawn_at_random_are_refused_and_the_failure_names_its_day(found):
    """Incidents are drawn from hotspots, independently; `uniform` knows none."""
    uniform = found["models"]["uniform"]
    assert not uniform["per_origin"][0]["S"]["passed"]
    first = uniform["failures"][0]
    assert (first["test"], first["origin"]) == ("S", uniform["per_origin"][0]["origin"])
    assert first["quantile"] <= found["level"]


def test_results_of_files_are_those_of_fits(incidents, grid, wide, joint, tested, tmp_path):
    fits = 0

    def count(_share, message):
        nonlocal fits
        fits = message.params["n"]

    run = incidents, grid, wide, Execution(1, tmp_path), count
    with pytest.raises(FitCancelled):
        run_protocol(*run, lambda: fits >= 3, joint=joint)
    again = run_protocol(*run, joint=joint)
    assert [one.joint for one in again] == [one.joint for one in tested]


@pytest.mark.slow
def test_twice_as_many_incidents_fail_the_test_of_their_number(tested, wide, counts, joint):
    doubled = {o: replace(one, observed=2 * one.observed) for o, one in counts.items()}
    numbers = number_outcomes(doubled, wide)
    one = consistency_json(of_first_seed(tested, wide), numbers, joint)["models"]["uniform"]
    assert one["N"]["passed"] == one["all"]["passed"] == 0
    failed = [f["origin"] for f in one["failures"] if f["test"] == "N"]
    assert failed == [row["origin"] for row in one["per_origin"]]


@pytest.mark.parametrize(
    ("days", "delay", "before"),
    [((0, 14, 28), 0, (0, 14)), ((0, 14, 28), 3, (0,)), ((0, 7, 14), 0, (0,)), ((14,), 0, ())],
    ids=["back to back", "known late", "overlapping", "only one"],
)
def test_a_period_that_was_not_over_teaches_nothing(days, delay, before):
    """The last origin is asked."""
    origins = tuple(d * DAY_S for d in days)
    protocol = Protocol(MODELS, origins, DAYS, delay_days=delay)
    assert periods_before(protocol, origins[-1]) == tuple(d * DAY_S for d in before)


@pytest.mark.slow
def test_what_happens_later_changes_no_test(incidents, grid, wide, joint):
    """Of the third origin: everything after its period is left out."""
    cut = incidents.before(wide.end_of(wide.origins_s[2]))
    early = replace(wide, origins_s=wide.origins_s[:3])
    few = joint_tests(cut, grid, early, count_forecasts(cut, TIMEZONE, early))
    for origin_s, one in few.by_origin.items():
        np.testing.assert_array_equal(one.mean, joint.by_origin[origin_s].mean)
        assert one.clustering == joint.by_origin[origin_s].clustering


@pytest.mark.slow
def test_clustering_is_that_of_incidents(incidents, grid, wide, counts, joint):
    """Where each incident has three companions in its hour and cell, the later origins know it."""
    often = incidents.take(np.repeat(np.arange(len(incidents)), 4))
    four = joint_tests(often, grid, wide, count_forecasts(often, TIMEZONE, wide))
    last = wide.origins_s[-1]
    assert four.by_origin[last].clustering.followers > 2
    assert joint.by_origin[last].clustering.followers < 0.5


class Drawn:
    """Incidents drawn from a forecast of counts and places, at the first cell's hours."""

    def __init__(self, incidents, grid, wide, counts, table):
        one = counts[wide.origins_s[0]]
        self.forecast = JointForecast(
            one.mean, one.slots.window.astype(np.int64), one.slots.time_s, table, one.model
        )
        self.slots, (self.x_m, self.y_m), self.like = one.slots, grid.centres_m(), incidents

    def incidents(self, seed):
        rng = np.random.default_rng(seed)
        (one,) = simulations(self.forecast, 400, INDEPENDENT, rng, 1)
        slot, cell = one.slot[np.argsort(one.slot)], one.cell[np.argsort(one.slot)]
        return replace(
            self.like.take(np.arange(400)),
            x_m=self.x_m[cell].astype(np.float32),
            y_m=self.y_m[cell].astype(np.float32),
            time_s=self.slots.time_s[slot] + 60,
            window=self.slots.window[slot].astype(np.int16),
        )


@pytest.mark.slow
def test_a_forecast_passes_on_what_is_drawn_from_it_and_fails_on_other_places(
    monkeypatch, incidents, grid, wide, counts, joint
):
    monkeypatch.setattr(consistency, "N_SIMULATIONS", 100)
    rng = np.random.default_rng(4)
    table = rng.gamma(1.0, 1.0, (N_WINDOWS, len(grid))) * rng.gamma(0.5, 1.0, len(grid))
    table /= table.sum(axis=1, keepdims=True)
    drawn = Drawn(incidents, grid, wide, counts, table)
    test = replace(joint.by_origin[wide.origins_s[0]], clustering=INDEPENDENT)

    def outcomes(probability):
        periods = [drawn.incidents(seed) for seed in range(12)]
        found = [
            test.outcome(probability, grid.locate(p.x_m, p.y_m), p.at_s, seed=0) for p in periods
        ]
        return [(one.space.passed, one.joint.passed) for one in found]

    assert np.sum(outcomes(table), axis=0).min() >= 10, "95 % of 12, and chance"
    assert np.sum(outcomes(np.roll(table, 1, axis=1)), axis=0).max() <= 1


def test_only_the_first_seed_has_a_test(incidents, grid, wide, joint):
    one = replace(wide, models=("uniform",), origins_s=wide.origins_s[:1], n_seeds=2)
    found = run_protocol(incidents, grid, one, Execution(1), joint=joint)
    assert [result.joint is None for result in found] == [False, True]


def test_counts_learn_from_nothing_that_was_not_known(incidents, wide):
    """With data known three days late, these days change no forecast."""
    origin_s = wide.origins_s[0]
    first = replace(wide, origins_s=(origin_s,), delay_days=3)
    whole = count_forecasts(incidents, TIMEZONE, first)[origin_s]
    late = incidents.time_s >= first.cutoff_of(origin_s)
    late &= incidents.time_s < origin_s
    without = count_forecasts(incidents.take(~late), TIMEZONE, first)[origin_s]
    np.testing.assert_array_equal(whole.mean, without.mean)


def test_stored_results_of_other_tests_are_not_taken_up(joint):
    one, *others = joint.by_origin.items()
    for changed in (
        {"clustering": Clustering(followers=0.1)},
        {"mean": 1.001 * one[1].mean},
        {"n_before": 2},
    ):
        other = JointTests(dict([(one[0], replace(one[1], **changed)), *others]))
        assert other.key != joint.key
    assert JointTests(dict(joint.by_origin)).key == joint.key


def test_readers_see_nothing_of_a_backtest_without_a_release(found):
    result = {"models": {}, "differences": [], "n": 3, "consistency": found, "provenance": {}}
    assert shown_backtest(result)["consistency"] is None
    assert shown_backtest(result, exact=True)["consistency"] == found
