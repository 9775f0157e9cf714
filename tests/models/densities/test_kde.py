"""Kernel densities follow their incidents, and nothing but those before the cutoff."""

import numpy as np
import pytest

from app.geo.grid import Grid
from models.base import FitContext
from models.densities.kde import MultiKde, PooledKde, WindowKde, rule_of_thumb_m
from models.incidents import Incidents
from models.units import DAY_S
from tests.support.simulated.square_grid import square_grid

CUTOFF_S = 120 * DAY_S
MODELS = [PooledKde, MultiKde, WindowKde]


def clustered(seed=0, n=900, cutoff_s=CUTOFF_S):
    """Incidents around two places of a box of 3 km, by time."""
    rng = np.random.default_rng(seed)
    centre = np.where(rng.random((n, 1)) < 0.7, [[700.0, 900.0]], [[2200.0, 1900.0]])
    x_m, y_m = np.clip(rng.normal(centre, 120.0), 1, 2999).T
    return Incidents(
        x_m.astype(np.float32),
        y_m.astype(np.float32),
        np.sort(rng.integers(0, cutoff_s, n)),
        rng.integers(168, size=n).astype(np.int16),
        np.zeros(n, np.int32),
    )


def fitted(model, incidents, grid=None, cutoff_s=CUTOFF_S):
    return model().fit(incidents, grid or square_grid(12, 12), FitContext(cutoff_s))


@pytest.mark.parametrize("model", MODELS)
def test_each_row_is_a_distribution_that_is_high_where_incidents_are(model):
    grid, incidents = square_grid(12, 12), clustered()
    made = fitted(model, incidents)
    np.testing.assert_allclose(made.probability_.sum(axis=1), 1.0)
    assert (made.probability_ > 0).all()
    count = np.bincount(grid.locate(incidents.x_m, incidents.y_m), minlength=144)
    busiest = np.argsort(-count)[:10]
    assert made.probability_[:, busiest].sum(axis=1).min() > 0.35
    assert 0 <= made.leaked_share_ < 0.05


@pytest.mark.parametrize("model", MODELS)
def test_what_comes_after_the_cutoff_or_lies_outside_changes_nothing(model):
    incidents = clustered()
    late = clustered(seed=1)
    outside = np.arange(0, 900, 7)
    x_m = incidents.x_m.copy()
    x_m[outside] = -4000.0
    within = incidents.take(np.setdiff1d(np.arange(900), outside))
    more = Incidents(
        np.concatenate([x_m, late.x_m]),
        np.concatenate([incidents.y_m, late.y_m]),
        np.concatenate([incidents.time_s, late.time_s + CUTOFF_S]),
        np.concatenate([incidents.window, late.window]),
        np.concatenate([incidents.category, late.category]),
    )
    np.testing.assert_array_equal(
        fitted(model, more).probability_, fitted(model, within).probability_
    )


@pytest.mark.parametrize("model", MODELS)
def test_a_city_seen_in_a_mirror_has_the_mirrored_density(model):
    incidents = clustered()
    mirrored = Incidents(
        (3000.0 - incidents.x_m).astype(np.float32),
        incidents.y_m,
        incidents.time_s,
        incidents.window,
        incidents.category,
    )
    there = fitted(model, incidents).probability_.reshape(-1, 12, 12)
    back = fitted(model, mirrored).probability_.reshape(-1, 12, 12)[:, :, ::-1]
    # Lattice sites are not symmetric about a point on their border.
    np.testing.assert_allclose(back, there, rtol=0.02, atol=2e-4)


def test_a_given_bandwidth_is_used_and_wider_ones_are_flatter():
    incidents, grid = clustered(), square_grid(12, 12)
    peaks = []
    for bandwidth_m in (50.0, 300.0, 1500.0):
        made = PooledKde(bandwidth_m).fit(incidents, grid, FitContext(CUTOFF_S))
        assert made.report()["bandwidth_m"] == bandwidth_m
        peaks.append(made.probability_.max())
    assert peaks == sorted(peaks, reverse=True)


def test_weights_of_bandwidths_are_shares():
    made = fitted(MultiKde, clustered())
    assert made.report()["validation_periods"] == 3
    assert sum(made.report()["weights"].values()) == pytest.approx(1.0)
    assert min(made.weights_) >= 0


def test_the_rule_of_thumb_is_scotts_within_its_bounds():
    incidents = clustered(n=400)
    wide = Incidents(
        incidents.x_m * 4, incidents.y_m * 4, incidents.time_s, incidents.window, incidents.category
    )
    expected_m = np.sqrt((np.var(wide.x_m) + np.var(wide.y_m)) / 2) * 400 ** (-1 / 6)
    assert rule_of_thumb_m(wide) == pytest.approx(expected_m, rel=1e-6)
    assert rule_of_thumb_m(incidents.take(slice(0, 1))) == 1000.0
    assert rule_of_thumb_m(incidents.take(np.zeros(50, int))) == 100.0


def test_cut_cells_have_densities_by_their_own_area():
    """A cell of half the area takes half of an even density's mass."""
    area_km2 = np.full(144, 0.0625)
    area_km2[::2] /= 2
    grid = Grid("EPSG:32618", 0.0, 0.0, 250.0, 12, 12, np.arange(144), area_km2)
    made = PooledKde(3500.0).fit(clustered(), grid, FitContext(CUTOFF_S))
    inner = made.probability_.reshape(12, 12)[4:8, 4:8]
    assert (inner[:, 1::2] / inner[:, ::2]).mean() == pytest.approx(2.0, rel=0.05)
