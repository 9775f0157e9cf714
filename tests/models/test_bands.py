"""Bands: calibrated on one period they hold nine in ten counts of the next, whatever the world."""

import numpy as np
import pytest

from models.bands import Band, by_part_of_week, calibrated, parts_of_week
from models.units import N_WINDOWS

N = 400


def raw_band():
    """A posterior that believes itself rather sure, less so of some cells."""
    return Band(np.ones((N_WINDOWS, 1)), np.linspace(0.01, 0.05, N)[None, :])


def world(sd, seed):
    """A forecast, and counts (168, N) of two periods whose rates differ from it log-normally."""
    rng = np.random.default_rng(seed)
    weight = rng.gamma(2.0, size=N)
    forecast = np.tile(weight / weight.sum(), (N_WINDOWS, 1))
    periods = []
    for _ in range(2):
        off = np.exp(sd * rng.normal(size=(8, N)) - sd**2 / 2)[parts_of_week()]
        periods.append(rng.poisson(40 * forecast * off).astype(float))
    return forecast, periods


@pytest.mark.parametrize("sd", [0.0, 0.2, 0.5])
def test_bands_hold_nine_in_ten_counts_of_the_next_period(sd):
    forecast, (past, future) = world(sd, 7)
    band = calibrated(raw_band(), [by_part_of_week(past, forecast, raw_band())])
    held, n = by_part_of_week(future, forecast, band).coverage(0.5)
    assert n > 2_000
    assert 0.88 < held < 0.92
    alone, _ = by_part_of_week(future, forecast).coverage(0.5)
    assert sd < 0.3 or alone < 0.85, "chance alone does not explain them"


def test_an_even_world_needs_no_more_than_the_posterior_and_an_uneven_one_more():
    wide = []
    for sd in (0.0, 0.5):
        forecast, (past, _) = world(sd, 8)
        band = calibrated(raw_band(), [by_part_of_week(past, forecast, raw_band())])
        wide.append(band.factor(5).mean())
    assert wide[0] == pytest.approx(raw_band().factor(5).mean())
    assert wide[1] > 1.5 * wide[0]


def test_without_a_past_period_the_usual_factors_hold():
    assert calibrated(raw_band(), []).factor(5).min() > 1.3


def test_parts_of_the_week_tile_it():
    part = parts_of_week()
    assert sorted(set(part.tolist())) == list(range(8))
    assert part[0] == 0
    assert part[23] == 3
    assert part[5 * 24] == 4
    forecast, (past, _) = world(0.2, 9)
    sums = by_part_of_week(past, forecast, raw_band())
    assert sums.observed.sum() == past.sum()
    assert sums.expected.sum() == pytest.approx(past.sum())
    np.testing.assert_allclose(sums.log_variance, np.tile(raw_band().variance, (8, 1)))


def test_pooled_cells_share_one_variance():
    few = np.arange(N) < 40
    band = raw_band().pooled(few)
    np.testing.assert_allclose(band.variance[0, few], raw_band().variance[0, few].mean())
    np.testing.assert_array_equal(band.variance[0, ~few], raw_band().variance[0, ~few])
