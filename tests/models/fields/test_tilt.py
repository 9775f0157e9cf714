"""Tilts: the fit is where the penalised likelihood is flat, whatever the probabilities sum to one over."""

import numpy as np
import pytest
import torch

from models.base import FitCancelled, FitContext
from models.fields.lattice import Lattice, multilinear
from models.fields.tilt import OverCells, OverLines, OverRows, TiltSettings, fit_tilt
from tests.support.planted_hours import uneven_backbone
from tests.support.square_grid import square_grid

NX, NY = 16, 12
SPREAD = {1000.0: 0.3, 250.0: 0.3}


@pytest.fixture(scope="module")
def cells():
    return square_grid(NX, NY)


def problem(cells, seed=10):
    backbone, rng = uneven_backbone(NX * NY), np.random.default_rng(seed)
    counts = torch.tensor(rng.poisson(40 * backbone * NX * NY / 20, (5, NX * NY)).astype("float32"))
    features = torch.tensor(rng.normal(size=(5, 3)).astype("float32"))
    return counts, torch.tensor(np.log(backbone)).float(), features, Lattice.of_cells(cells, SPREAD)


OVER = {
    "cells": lambda _cells: OverCells(),
    "rows": lambda _cells: OverRows(),
    "columns of cells": lambda cells: OverLines(torch.as_tensor(cells.ix)),
}


def log_softmax(kind, logits, cells):
    """By definition, apart from the code under test."""
    if kind == "columns of cells":
        parts = [logits[:, cells.ix == column] for column in range(NX)]
        result = torch.empty_like(logits)
        for column, part in enumerate(parts):
            result[:, cells.ix == column] = torch.log_softmax(part, dim=1)
        return result
    return torch.log_softmax(logits, dim=1 if kind == "cells" else 0)


@pytest.mark.parametrize("kind", OVER)
def test_fit_is_where_the_penalised_likelihood_is_flat(cells, kind):
    """Autograd's gradient at the solution, relative to that at the start, is next to nothing."""
    counts, log_base, features, lattice = problem(cells)
    place = np.stack([cells.ix, cells.iy])
    weights = [multilinear(place, 250.0, m).toarray() * s for m, s in SPREAD.items()]
    dense = torch.tensor(np.concatenate(weights, axis=1).astype("float32"))

    def loss(coefficients):
        logits = log_base + features @ (dense @ coefficients).T
        return (
            -(counts * log_softmax(kind, logits, cells)).sum() + 0.5 * coefficients.square().sum()
        )

    fields = fit_tilt(
        counts,
        log_base,
        features,
        lattice,
        FitContext(0),
        TiltSettings(n_steps=2_000),
        OVER[kind](cells),
    )
    # The coefficients of least norm that give these fields are the solution's own.
    solution = torch.linalg.lstsq(dense, fields, driver="gelsd").solution.requires_grad_()
    start = torch.zeros_like(solution).requires_grad_()
    at_end, at_start = (torch.autograd.grad(loss(c), c)[0].norm() for c in (solution, start))
    assert at_end < 0.01 * at_start


@pytest.mark.parametrize("kind", OVER)
def test_probabilities_share_out_the_totals(cells, kind):
    counts, log_base, features, _ = problem(cells)
    over = OVER[kind](cells)
    logits = log_base + features @ torch.randn(
        3, NX * NY, generator=torch.Generator().manual_seed(1)
    )
    expected = torch.exp(log_softmax(kind, logits, cells))
    torch.testing.assert_close(over.softmax(logits.clone()), expected, atol=1e-6, rtol=1e-5)
    shared = (expected * over.totals(counts)).sum()
    torch.testing.assert_close(shared, counts.sum(), rtol=1e-5, atol=0)


def test_a_fit_can_be_cancelled(cells):
    with pytest.raises(FitCancelled):
        fit_tilt(*problem(cells), FitContext(0, cancelled=lambda: True))
