"""Backtests on times that are not exact: nothing of the future is used, and no hour is guessed."""

import numpy as np
import pytest

from app.evaluation.backtests.checkpoints import Protocol, Task
from app.evaluation.backtests.counts import count_forecasts, counts_json
from app.evaluation.backtests.execute import fit_and_score
from models.units import DAY_S
from tests.support.simulated.hidden_times import exact_times, hidden
from tests.support.simulated.square_grid import square_grid

GRID = square_grid(12, 12)
HORIZON_DAYS = 14


@pytest.fixture(scope="module")
def known():
    return hidden(exact_times(12_000), 0.5)


@pytest.fixture(scope="module")
def origin_s(known):
    return int(known.time_s[-1]) - 10 * HORIZON_DAYS * DAY_S


def scored(known, origin_s, model="window-kde"):
    protocol = Protocol((model,), (origin_s,), HORIZON_DAYS)
    return fit_and_score(known, GRID, Task(model, origin_s, 0), protocol).scored


def test_what_happens_after_the_test_period_changes_nothing(known, origin_s):
    end_s = origin_s + HORIZON_DAYS * DAY_S
    whole = scored(known, origin_s)
    cut = scored(known.take(known.time_s < end_s), origin_s)
    for name in ("log_density", "mid_rank", "hit_shares", "place"):
        assert (getattr(whole, name) == getattr(cut, name)).all(), name


def test_a_fit_does_not_see_its_test_period(known, origin_s):
    """Half of the tested incidents are left out: the others' scores stay."""
    end_s = origin_s + HORIZON_DAYS * DAY_S
    tested = np.flatnonzero((known.time_s >= origin_s) & (known.time_s < end_s))
    whole = scored(known, origin_s)
    fewer = scored(known.take(np.arange(len(known)) <= tested[len(tested) // 2]), origin_s)
    n = len(fewer.log_density)
    assert 0 < n < len(whole.log_density)
    assert (whole.log_density[:n] == fewer.log_density).all()


def test_an_interval_that_ends_after_the_origin_teaches_nothing(known, origin_s):
    """Those that have begun and not ended are neither learnt from nor tested."""
    running = (known.time_s < origin_s) & (known.intervals.end_s > origin_s)
    assert running.any()
    whole, without = scored(known, origin_s), scored(known.take(~running), origin_s)
    np.testing.assert_allclose(whole.log_density, without.log_density, atol=0.02)
    assert len(whole.log_density) == len(without.log_density)


def test_hourly_intervals_hold_when_half_the_times_are_not_exact(known, origin_s):
    protocol = Protocol(("uniform",), (origin_s,), 28)
    found = counts_json(count_forecasts(known, "UTC", protocol), protocol)
    assert found["coverage"] == pytest.approx(0.9, abs=0.04)
