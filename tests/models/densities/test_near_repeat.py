"""Near repeats: found where they are planted, and within bounds where all of a city is near."""

import numpy as np
import pytest

from models.base import FitContext
from models.densities import near_repeat as sepp
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS
from tests.support.simulated.square_grid import square_grid

START_S = 1_600_000_000
N_DAYS = 500
SIDE = 8


@pytest.fixture(scope="module")
def cells():
    return square_grid(SIDE, SIDE)


@pytest.fixture(scope="module")
def few_blocks():
    """Incidents of a few blocks, a third of which are followed by another next door within days."""
    rng = np.random.default_rng(1)
    n = 4_500
    x, y = rng.uniform(0, SIDE * 250, (2, n))
    day = rng.uniform(0, N_DAYS, n)
    again = rng.random(n) < 1 / 3
    x = np.concatenate([x, x[again] + rng.normal(0, 40, again.sum())])
    y = np.concatenate([y, y[again] + rng.normal(0, 40, again.sum())])
    day = np.concatenate([day, day[again] + rng.exponential(5, again.sum())])
    order = np.argsort(day)
    time_s = (START_S + day[order] * DAY_S).astype(np.int64)
    window = (time_s // 3600 % N_WINDOWS).astype(np.int16)
    return Incidents(
        x[order].astype(np.float32),
        y[order].astype(np.float32),
        time_s,
        window,
        np.zeros(len(order), np.int16),
    )


@pytest.mark.parametrize("most", [sepp.MAX_PAIRS, 50_000])
def test_pairs_are_bounded_and_near_repeats_found(monkeypatch, cells, few_blocks, most):
    found = []
    pairs = sepp._pairs

    def counted(latest):
        found.append(pairs(latest))
        return found[-1]

    monkeypatch.setattr(sepp, "_pairs", counted)
    monkeypatch.setattr(sepp, "MAX_PAIRS", most)
    model = sepp.Sepp().fit(few_blocks, cells, FitContext(int(few_blocks.time_s[-1]) + 1))
    (child, _, _), *_ = found
    assert 20_000 < len(child) <= 1.2 * most
    assert model.process_.offspring == pytest.approx(0.33, abs=0.12)
    assert model.process_.mean_lag_days == pytest.approx(5.0, rel=0.5)
