"""The served flow's fields: convex fit, exact mass, planted truths found, nothing seen in noise."""

import numpy as np
import pytest
import torch

from models.base import DAY_S, N_WINDOWS, FitCancelled, FitContext, Incidents
from models.densities.cox import FlowCorrection
from models.densities.lattice import Lattice, bilinear
from models.densities.log_gaussian_cox import TiltSettings, fit_tilt
from models.densities.priors import drift_covariance, hour_covariance, leading_features
from tests.support.square_grid import square_grid

CUTOFF_S = 1_700_006_400
NX, NY = 16, 12


@pytest.fixture(scope="module")
def cells():
    return square_grid(NX, NY)


@pytest.fixture(scope="module")
def backbone():
    weight = np.random.default_rng(1).gamma(0.7, size=NX * NY) + 0.01
    return weight / weight.sum()


def drawn(cells, table, n, seed, days=700):
    """Incidents of random windows at cells drawn from a table (168, N) of that window."""
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.integers(-days * 24, 0, n))
    time_s = CUTOFF_S + hours * 3600 + rng.integers(0, 3600, n)
    window = time_s // 3600 % N_WINDOWS
    cumulative = np.cumsum(table, axis=1)
    picked = [np.searchsorted(cumulative[w], u) for w, u in zip(window, rng.random(n), strict=True)]
    row = np.minimum(np.array(picked), len(cells.ix) - 1)
    x = (cells.ix[row] + rng.random(n)) * 250.0
    y = (cells.iy[row] + rng.random(n)) * 250.0
    order = np.argsort(time_s, kind="stable")
    return Incidents(
        x[order].astype(np.float32),
        y[order].astype(np.float32),
        time_s[order],
        window[order].astype(np.int16),
        np.zeros(n, np.int16),
    )


def planted(cells, backbone, strength):
    """East by night, west by day."""
    hour = np.arange(N_WINDOWS) % 24
    lean = strength * np.cos(2 * np.pi * hour / 24)[:, None] * (cells.ix / NX - 0.5)[None, :] * 2
    table = backbone * np.exp(lean)
    return table / table.sum(axis=1, keepdims=True)


def score(table, incidents, cells):
    rows = cells.locate(incidents.x_m, incidents.y_m)
    return np.log(table[incidents.window.astype(int), rows]).mean()


def test_rows_sum_to_one_and_are_positive(cells, backbone):
    known = drawn(cells, planted(cells, backbone, 0.5), 5_000, 2)
    fit = FlowCorrection().fit(known, cells, backbone, FitContext(CUTOFF_S))
    np.testing.assert_allclose(fit.ratio_ @ backbone, 1.0, atol=1e-9)
    np.testing.assert_allclose(fit.drift_ratio_ @ backbone, 1.0, atol=1e-9)
    assert np.all(fit.ratio_ > 0)


def test_a_planted_lean_by_hour_is_found(cells, backbone):
    truth = planted(cells, backbone, 1.0)
    known, fresh = drawn(cells, truth, 40_000, 3), drawn(cells, truth, 40_000, 4)
    fit = FlowCorrection().fit(known, cells, backbone, FitContext(CUTOFF_S))
    flat = score(np.tile(backbone, (N_WINDOWS, 1)), fresh, cells)
    gain = score(fit.ratio_ * backbone, fresh, cells) - flat
    possible = score(truth, fresh, cells) - flat
    assert gain > 0.8 * possible > 0.03


@pytest.mark.parametrize("n", [200, 3_000, 40_000])
def test_where_there_is_nothing_to_find_next_to_nothing_is_lost(cells, backbone, n):
    flat = np.tile(backbone, (N_WINDOWS, 1))
    known, fresh = drawn(cells, flat, n, 5), drawn(cells, flat, 40_000, 6)
    fit = FlowCorrection().fit(known, cells, backbone, FitContext(CUTOFF_S))
    assert score(fit.ratio_ * backbone, fresh, cells) > score(flat, fresh, cells) - 0.02


def test_recent_drift_is_carried_into_the_horizon(cells, backbone):
    """The east has had twice its share for the last half year."""
    now = backbone * np.where(cells.ix >= NX // 2, 2.0, 1.0)
    now = now / now.sum()
    old = drawn(cells, np.tile(backbone, (N_WINDOWS, 1)), 20_000, 7, days=900)
    old = old.before(CUTOFF_S - 180 * DAY_S)
    new = drawn(cells, np.tile(now, (N_WINDOWS, 1)), 5_000, 8, days=180)
    both = Incidents(
        *(
            np.concatenate([getattr(old, name), getattr(new, name)])
            for name in ("x_m", "y_m", "time_s", "window", "category")
        )
    )
    fit = FlowCorrection(hours=None).fit(both, cells, backbone, FitContext(CUTOFF_S))
    share = (fit.drift_ratio_ * backbone)[cells.ix >= NX // 2].sum()
    before, after = backbone[cells.ix >= NX // 2].sum(), now[cells.ix >= NX // 2].sum()
    assert before + 0.8 * (after - before) < share < after + 0.2 * (after - before)


def test_what_comes_after_the_cutoff_changes_nothing(cells, backbone):
    known = drawn(cells, planted(cells, backbone, 0.5), 5_000, 9)
    cutoff_s = CUTOFF_S - 100 * DAY_S
    alone = FlowCorrection().fit(known.before(cutoff_s), cells, backbone, FitContext(cutoff_s))
    peeking = FlowCorrection().fit(known, cells, backbone, FitContext(cutoff_s))
    np.testing.assert_array_equal(alone.ratio_, peeking.ratio_)


def test_fit_is_where_the_penalised_likelihood_is_flat(cells, backbone):
    """Autograd's gradient at the solution, relative to that at the start, is next to nothing."""
    rng = np.random.default_rng(10)
    counts = torch.tensor(rng.poisson(40 * backbone * NX * NY / 20, (5, NX * NY)).astype("float32"))
    features = torch.tensor(rng.normal(size=(5, 3)).astype("float32"))
    spread = {1000.0: 0.3, 250.0: 0.3}
    lattice, log_base = Lattice(cells, spread), torch.tensor(np.log(backbone)).float()
    weights = np.concatenate([bilinear(cells, m).toarray() * s for m, s in spread.items()], axis=1)
    dense = torch.tensor(weights.astype("float32"))

    def loss(coefficients):
        log_p = torch.log_softmax(log_base + features @ (dense @ coefficients).T, dim=1)
        return -(counts * log_p).sum() + 0.5 * coefficients.square().sum()

    fields = fit_tilt(
        counts, log_base, features, lattice, FitContext(0), TiltSettings(n_steps=2_000)
    )
    # The coefficients of least norm that give these fields are the solution's own.
    solution = torch.linalg.lstsq(dense, fields, driver="gelsd").solution.requires_grad_()
    start = torch.zeros_like(solution).requires_grad_()
    at_end, at_start = (torch.autograd.grad(loss(c), c)[0].norm() for c in (solution, start))
    assert at_end < 0.01 * at_start


def test_a_fit_can_be_cancelled(cells, backbone):
    known = drawn(cells, np.tile(backbone, (N_WINDOWS, 1)), 500, 11)
    with pytest.raises(FitCancelled):
        FlowCorrection().fit(known, cells, backbone, FitContext(CUTOFF_S, cancelled=lambda: True))


def test_lattice_rows_sum_to_one_and_vary_smoothly(cells):
    weights = bilinear(cells, 1000.0)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    place = (np.arange(weights.shape[1])[None, :] * weights.toarray()).sum(axis=1)
    assert len(np.unique(place.round(6))) > NX
    assert bilinear(cells, 250.0).shape == (NX * NY, NX * NY)


def test_features_reproduce_their_covariance():
    covariance = hour_covariance(2.0, 0.9, 0.7)
    features = leading_features(covariance, N_WINDOWS)
    np.testing.assert_allclose(features @ features.T, covariance, atol=1e-9)
    np.testing.assert_allclose(covariance.sum(axis=0), 0.0, atol=1e-9)
    assert covariance[0, 1] > covariance[0, 6]  # neighbouring hours are alike
    assert covariance[10, 34] > covariance[10, 130]  # like days are
    ages = np.array([0.0, 10.0, 100.0])
    drift = drift_covariance(ages, [(100.0, 0.3), (1500.0, 1.0)])
    np.testing.assert_allclose(np.diag(drift), 1.3)
    assert drift[0, 1] > drift[0, 2]


def test_features_follow_from_the_covariance_and_not_from_the_library():
    """Equal eigenvalues: 1e-14 of noise turns their eigenvectors anyhow, and must not turn these."""
    covariance = hour_covariance(2.0, 0.9, 0.7)
    noise = 1e-14 * np.random.default_rng(4).standard_normal(covariance.shape)
    for rank in (1, 9, 20, 30):
        features = leading_features(covariance, rank)
        assert rank <= features.shape[1] <= rank + 8
        again = leading_features(covariance + noise + noise.T, rank)
        np.testing.assert_allclose(again, features, atol=1e-10)
