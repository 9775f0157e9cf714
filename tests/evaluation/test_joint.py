"""Joint tests in a backtest: what they say of its counts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from app.evaluation.backtests.counts import count_forecasts
from app.evaluation.backtests.joint import consistency_json, number_outcomes
from app.evaluation.backtests.result import of_first_seed
from app.geo.synthetic import TIMEZONE
from app.releases.disclosure import shown_backtest


@pytest.fixture(scope="module")
def counts(incidents, protocol):
    return count_forecasts(incidents, TIMEZONE, protocol)


@pytest.fixture(scope="module")
def found(results, protocol, counts):
    return consistency_json(of_first_seed(results, protocol), number_outcomes(counts, protocol))


def test_every_period_has_its_test_and_the_rates_are_of_them(found, protocol):
    assert list(found["models"]) == list(protocol.models)
    for one in found["models"].values():
        passed = [row["N"]["passed"] for row in one["per_origin"]]
        n = len(protocol.origins_s)
        assert one["N"] == {"passed": sum(passed), "of": n, "rate": sum(passed) / n}
        assert len(one["failures"]) == n - sum(passed)
    numbers = [[row["N"] for row in one["per_origin"]] for one in found["models"].values()]
    assert all(one == numbers[0] for one in numbers), "the number is forecast by the counts alone"
    json.dumps(found)


def test_twice_as_many_incidents_fail_and_the_failure_names_its_day(results, protocol, counts):
    doubled = {o: replace(one, observed=2 * one.observed) for o, one in counts.items()}
    found = consistency_json(of_first_seed(results, protocol), number_outcomes(doubled, protocol))
    one = found["models"]["uniform"]
    assert one["N"]["passed"] == 0
    assert [f["origin"] for f in one["failures"]] == [row["origin"] for row in one["per_origin"]]
    assert all(f["quantile"] > 1 - found["level"] / 2 for f in one["failures"])


def test_counts_learn_from_nothing_that_was_not_known(incidents, protocol):
    """With data known three days late, these days change no forecast."""
    origin_s = protocol.origins_s[0]
    first = replace(protocol, origins_s=(origin_s,), delay_days=3)
    whole = count_forecasts(incidents, TIMEZONE, first)[origin_s]
    late = incidents.time_s >= first.cutoff_of(origin_s)
    late &= incidents.time_s < origin_s
    without = count_forecasts(incidents.take(~late), TIMEZONE, first)[origin_s]
    np.testing.assert_array_equal(whole.mean, without.mean)


def test_readers_see_nothing_of_a_backtest_without_a_release(found):
    result = {"models": {}, "differences": [], "n": 3, "consistency": found, "provenance": {}}
    assert shown_backtest(result)["consistency"] is None
    assert shown_backtest(result, exact=True)["consistency"] == found
