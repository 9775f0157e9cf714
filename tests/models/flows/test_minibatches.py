"""Draws of minibatches: from similar hours in the kernel's shares, by the weights of the incidents."""

import numpy as np
import pytest
import torch

from models.flows.minibatches import WindowedRows, window_kernel
from models.units import N_WINDOWS


def test_the_kernel_shares_out_each_hour_and_knows_like_days():
    kernel = window_kernel(2.0, 0.5, 0.05)
    np.testing.assert_allclose(kernel.sum(axis=1), 1.0)
    assert kernel[10, 10] > kernel[10, 11] > kernel[10, 14]
    assert kernel[10, 34] > kernel[10, 5 * 24 + 10], "a weekday is more like a weekday"
    assert kernel[0, 23] == pytest.approx(kernel[0, 1]), "the day is a circle"
    np.testing.assert_array_equal(window_kernel(0.0, 0.0, 0.0), np.eye(N_WINDOWS))


def test_rows_are_drawn_by_kernel_and_weight():
    rng = np.random.default_rng(3)
    window = rng.choice([7, 8, 100], size=300)
    weight = rng.gamma(1.0, size=300)
    kernel = np.zeros((N_WINDOWS, N_WINDOWS))
    kernel[:, 7], kernel[:, 8] = 0.3, 0.7
    rows = WindowedRows(window, weight, kernel, "cpu")
    which, place = (torch.as_tensor(rng.random((1, 200_000))) for _ in range(2))
    drawn = np.bincount(rows.draw(torch.tensor([7]), which, place).numpy()[0], minlength=300)
    wanted = weight * np.select([window == 7, window == 8], [0.3, 0.7], 0.0)
    np.testing.assert_allclose(drawn / drawn.sum(), wanted / wanted.sum(), atol=2e-3)
    assert drawn[window == 100].sum() == 0


def test_an_hour_without_like_ones_draws_from_all():
    rows = WindowedRows(np.array([3, 3, 90]), np.ones(3), np.eye(N_WINDOWS), "cpu")
    which, place = (
        torch.rand(1, 1_000, generator=torch.Generator().manual_seed(s)) for s in (1, 2)
    )
    assert set(rows.draw(torch.tensor([50]), which, place).flatten().tolist()) == {0, 1, 2}
