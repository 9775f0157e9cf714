"""A bad version is never promoted; a good one is."""

import math

import numpy as np
import pytest

from app.training.promotion_policy import decide
from models.evaluation.metrics import score_incidents
from models.evaluation.significance import Difference, paired_difference
from models.units import DAY_S


def planted(fixed_model, truth, spoil, n, seed):
    """Differences of a spoiled version from the true density on n incidents of 28 days."""
    rng = np.random.default_rng(seed)
    n_cells = len(truth)
    rows = rng.choice(n_cells, n, p=truth)
    time_s = np.sort(rng.integers(0, 28 * DAY_S, n))
    window = np.zeros(n, int)
    scores = [
        score_incidents(fixed_model(p), rows, window).log_density
        for p in (spoil(truth, rng), truth)
    ]
    return paired_difference(*scores, time_s, seed, block_s=DAY_S)


def mixed(share):
    return lambda truth, rng: (1 - share) * truth + share / len(truth)


def moved(truth, rng):
    return rng.permutation(truth)


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).dirichlet(np.full(400, 0.2)) * 0.98 + 0.02 / 400


@pytest.mark.parametrize(
    "spoil", [mixed(0.6), mixed(0.95), moved], ids=["blurred", "flat", "moved"]
)
def test_planted_bad_version_is_never_promoted(fixed_model, truth, spoil):
    for seed in range(100):
        found = planted(fixed_model, truth, spoil, 400, seed)
        decision = decide({"the champion": found})
        assert not decision.promote
        assert "the champion" in decision.reason.message


@pytest.mark.slow
def test_equal_and_better_versions_are_promoted(fixed_model, truth):
    promoted = 0
    for seed in range(100):
        same = planted(fixed_model, truth, lambda p, _rng: 0.999 * p + 0.001 / len(p), 1500, seed)
        promoted += decide({"pooled-kde": same}).promote
        found = planted(fixed_model, truth, mixed(0.5), 1500, seed)
        better = Difference(
            -found.mean, -found.hi, -found.lo, found.p_value, 1.0, found.n, found.n_blocks
        )
        assert decide({"pooled-kde": better, "the champion": better}).promote
    assert promoted >= 85


def test_every_rival_counts():
    good = Difference(0.05, 0.02, 0.08, 0.001, 0.001, 900, 28)
    bad = Difference(-0.02, -0.03, -0.01, 0.001, 0.001, 900, 28)
    assert decide({"pooled-kde": good, "the champion": good}).promote
    assert not decide({"pooled-kde": good, "the champion": bad}).promote
    assert not decide({"pooled-kde": bad, "the champion": good}).promote


def test_without_evidence_nothing_is_promoted():
    assert not decide({}).promote
    nothing = Difference(0.0, 0.0, 0.0, 1.0, 1.0, 0, 0)
    assert not decide({"pooled-kde": nothing}).promote
    broken = Difference(math.nan, math.nan, math.nan, math.nan, 1.0, 50, 20)
    assert not decide({"pooled-kde": broken}).promote
    vague = Difference(-0.4, -1.2, 0.4, 0.3, 0.3, 6, 5)
    assert not decide({"pooled-kde": vague}).promote
