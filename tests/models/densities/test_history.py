"""Boosting on each cell's history: it learns what recurs, and sees nothing of the future."""

import numpy as np
import pytest

from models.base import HORIZON_DAYS, FitContext
from models.densities.history import MIN_HISTORY_DAYS, History, _CellHistory, _excess
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS
from tests.support.simulated.square_grid import square_grid

CUTOFF_S = 1_700_000_000
CELLS = square_grid(16, 16)
PERIOD_S = HORIZON_DAYS * DAY_S


def incidents_at(cell, time_s, seed=0):
    """Incidents anywhere in their cells, by time."""
    order = np.argsort(time_s, kind="stable")
    cell, time_s = cell[order], time_s[order]
    rng = np.random.default_rng(seed)
    x_m, y_m = (250 * (at + rng.random(len(cell))) for at in (cell % 16, cell // 16))
    return Incidents(
        x_m.astype(np.float32),
        y_m.astype(np.float32),
        time_s.astype(np.int64),
        (time_s // 3600 % N_WINDOWS).astype(np.int16),
        np.zeros(len(cell), np.int32),
    )


def uniform_city(n, n_days, seed=0):
    rng = np.random.default_rng(seed)
    time_s = rng.integers(CUTOFF_S - n_days * DAY_S, CUTOFF_S, n)
    return rng.integers(0, 256, n), time_s


def momentum(n_periods=16, seed=0):
    """A city of one rate, in which a dozen cells in turn are hot for two periods each.

    Which are hot in the period after the cutoff for the second time is the second result.
    """
    rng = np.random.default_rng(seed)
    hot = [rng.choice(256, 12, replace=False) for _ in range(n_periods + 1)]
    cells, times = [], []
    for k in range(n_periods):
        rate = np.full(256, 4.0)
        rate[hot[k]] *= 8
        if k:
            rate[hot[k - 1]] *= 8
        count = rng.poisson(rate)
        cells.append(np.repeat(np.arange(256), count))
        start_s = CUTOFF_S - (n_periods - k) * PERIOD_S
        times.append(rng.integers(start_s, start_s + PERIOD_S, count.sum()))
    return incidents_at(np.concatenate(cells), np.concatenate(times)), hot[n_periods - 1]


def fit(incidents, **settings):
    return History(**settings).fit(incidents, CELLS, FitContext(CUTOFF_S))


@pytest.mark.slow
def test_a_cell_that_has_just_become_hot_is_expected_to_stay_so():
    known, still_hot = momentum()
    model = fit(known)
    backbone = fit(known, n_periods=0)
    assert model.report()["periods"] > 2
    assert backbone.report()["periods"] == 0
    raised = model.probability_[0] / backbone.probability_[0]
    others = np.setdiff1d(np.arange(256), still_hot)
    assert np.median(raised[still_hot]) > 1.5 * np.median(raised[others])
    assert model.probability_.sum() == pytest.approx(1, abs=1e-12)
    assert model.probability_.min() > 0


@pytest.mark.parametrize("n_days", [0, 100, MIN_HISTORY_DAYS])
def test_a_short_history_gives_the_backbone(n_days):
    known = incidents_at(*uniform_city(5 * n_days, max(n_days, 1)))
    model = fit(known)
    assert model.report()["periods"] == 0
    np.testing.assert_array_equal(model.probability_, fit(known, n_periods=0).probability_)


def test_counts_are_of_half_open_spans():
    cell, time_s = np.array([3, 3, 7]), np.array([100, 200, 300])
    history = _CellHistory(incidents_at(cell, time_s), cell, CELLS)
    assert history.counts(100, 300)[[3, 7]].tolist() == [2, 0]
    assert history.counts(101, 301)[[3, 7]].tolist() == [1, 1]
    assert history.counts(400, 500).sum() == 0


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_sums_around_cells_end_at_the_edge(radius):
    values = np.random.default_rng(1).random(256)
    history = _CellHistory(incidents_at(*uniform_city(10, 10)), np.zeros(10, int), CELLS)
    far = np.maximum(np.abs(CELLS.ix[:, None] - CELLS.ix), np.abs(CELLS.iy[:, None] - CELLS.iy))
    np.testing.assert_allclose(history._around(values, radius), (far <= radius) @ values)


def test_features_of_an_instant_know_nothing_later():
    cell, time_s = uniform_city(3_000, 500)
    known = incidents_at(cell, time_s)
    at_s = CUTOFF_S - 2 * PERIOD_S
    backbone = np.full(256, 1 / 256)
    cells = CELLS.locate(known.x_m, known.y_m)
    earlier = known.time_s < at_s
    whole = _CellHistory(known, cells, CELLS).features(at_s, backbone)
    cut = _CellHistory(known.take(earlier), cells[earlier], CELLS).features(at_s, backbone)
    np.testing.assert_array_equal(whole, cut)
    assert np.isfinite(whole).all()


def test_rows_of_a_past_period_say_how_far_it_was_from_the_backbone():
    cell, time_s = uniform_city(3_000, 500)
    known = incidents_at(cell, time_s)
    history = _CellHistory(known, CELLS.locate(known.x_m, known.y_m), CELLS)
    origin_s = CUTOFF_S - PERIOD_S
    backbone = np.arange(1.0, 257) / np.arange(1.0, 257).sum()
    _, ratio, expected = history.training_rows(origin_s, backbone)
    np.testing.assert_allclose(ratio * expected, history.counts(origin_s, CUTOFF_S))
    assert expected.sum() == pytest.approx(history.counts(origin_s, CUTOFF_S).sum())


def test_nothing_seen_where_nothing_is_expected_is_no_excess():
    assert _excess(np.array([0.0, 3.0, 0.0]), np.array([0.0, 3.0, 1.0])).tolist() == [
        0.0, 0.0, -np.log(2.0),
    ]  # fmt: skip
