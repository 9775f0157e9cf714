"""Information gain: pyCSEP's values, the rate term by hand, level and sign of its tests.

The values of pyCSEP 0.8.0 are those of `csep.core.poisson_evaluations._t_test_ndarray(a, b, 25, 27.0, 22.5)`
and `_w_test_ndarray(log(a) - log(b), (27.0 - 22.5) / 25)` for the rates below.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from models.evaluation.information_gain import RateRatio, information_gain
from models.units import DAY_S, HOUR_S

PYCSEP = {"gain": -0.12240228, "t": -0.99274524, "z": -0.60540551, "p_w": 0.54490959}
HOURS = np.arange(28 * 24) * HOUR_S


def drawn(n, mean, sd, excess=0.0, seed=0):
    """Incidents of four weeks whose log ratios are normal; the first forecast expects more by `excess`."""
    rng = np.random.default_rng(seed)
    time_s = np.sort(rng.integers(0, 28 * DAY_S, n))
    return RateRatio(
        rng.normal(mean, sd, n), time_s, np.full(len(HOURS), excess / len(HOURS)), HOURS
    )


def test_equal_to_pycsep():
    rng = np.random.default_rng(8)
    a = rng.gamma(2.0, 0.1, 25)
    b = a * np.exp(rng.normal(-0.3, 0.6, 25))
    time_s, hour_s = np.arange(25) * DAY_S, np.arange(25) * DAY_S
    ratio = RateRatio(np.log(a) - np.log(b), time_s, np.full(25, (27.0 - 22.5) / 25), hour_s)
    found = information_gain(ratio)
    for name, value in PYCSEP.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-7), name


def test_tests_are_those_of_scipy():
    ratio = drawn(300, 0.05, 0.8, excess=6.0)
    found, each = information_gain(ratio), ratio.log_ratio - 6.0 / 300
    t, p_t = stats.ttest_1samp(each, 0.0)
    assert (found.t, found.p_t) == (pytest.approx(t), pytest.approx(p_t))
    assert found.p_w == pytest.approx(stats.wilcoxon(each, method="asymptotic").pvalue)
    assert found.gain == pytest.approx(each.mean())
    assert found.lo < found.gain < found.hi


def test_it_is_the_difference_of_poisson_log_likelihoods():
    """By hand: two hours, two cells; rates 1, 2, 3, 4 against 2, 2, 2, 2; counts 0, 1, 2, 1."""
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 2.0)
    count = np.array([0, 1, 2, 1])
    log_likelihoods = [stats.poisson.logpmf(count, rate).sum() for rate in (first, second)]
    bins = np.repeat(np.arange(4), count)
    ratio = RateRatio(
        np.log(first / second)[bins],
        bins // 2 * HOUR_S,
        (first - second).reshape(2, 2).sum(axis=1),
        np.array([0, HOUR_S]),
    )
    expected = (log_likelihoods[0] - log_likelihoods[1]) / 4
    assert information_gain(ratio).gain == pytest.approx(expected)
    assert expected == pytest.approx((2 * np.log(1.5) + np.log(2.0) - 2.0) / 4)


def test_whoever_expects_more_everywhere_pays_for_it():
    """Twice the true rate: log 2 an incident, less one incident too many expected for each."""
    n = 200
    twice = replace(drawn(n, 0.0, 0.0, excess=n), log_ratio=np.full(n, np.log(2.0)))
    assert information_gain(twice).gain == pytest.approx(np.log(2.0) - 1.0)


def test_the_tests_find_a_gain_and_none_at_their_level():
    found = information_gain(drawn(400, 0.3, 1.0))
    assert max(found.p, found.p_t, found.p_w) <= 0.001
    assert found.lo > 0
    assert found.t > 0
    none = [information_gain(drawn(100, 0.0, 1.0, seed=k), block_s=DAY_S) for k in range(200)]
    for name in ("p", "p_t", "p_w"):
        rejected = sum(getattr(one, name) < 0.05 for one in none)
        assert rejected <= 24, f"{name}: 5 % of 200, and chance"


def test_swapped_forecasts_have_the_opposite_gain():
    ratio = drawn(150, 0.2, 1.0, excess=-9.0)
    other = RateRatio(-ratio.log_ratio, ratio.time_s, -ratio.excess, ratio.hour_s)
    one, back = information_gain(ratio), information_gain(other)
    assert back.gain == pytest.approx(-one.gain)
    assert (back.p_t, back.p_w) == (pytest.approx(one.p_t), pytest.approx(one.p_w))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_equal_forecasts_and_few_incidents_prove_nothing(n):
    found = information_gain(drawn(n, 0.0, 0.0))
    assert (found.gain, found.p_t, found.p_w, found.p) == (0.0, 1.0, 1.0, 1.0)
