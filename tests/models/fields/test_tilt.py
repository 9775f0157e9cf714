"""Tilts: the fit is where the penalised likelihood is flat, whatever the probabilities sum to one over."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from models.base import FitCancelled, FitContext
from models.fields.lattice import Lattice, multilinear
from models.fields.tilt import Logits, OverCells, OverLines, OverRows, TiltSettings, fit_tilt
from tests.support.simulated.planted_hours import uneven_backbone
from tests.support.simulated.square_grid import square_grid

NX, NY = 16, 12
SPREAD = {1000.0: 0.3, 250.0: 0.3}


@pytest.fixture(scope="module")
def cells():
    return square_grid(NX, NY)


def problem(cells, seed=10):
    backbone, rng = uneven_backbone(NX * NY), np.random.default_rng(seed)
    counts = rng.poisson(40 * backbone * NX * NY / 20, (5, NX * NY)).astype(np.float64)
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
            -(torch.tensor(counts).float() * log_softmax(kind, logits, cells)).sum()
            + 0.5 * coefficients.square().sum()
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
@pytest.mark.parametrize("at_once", [7, 10_000])
def test_blocks_pull_as_the_whole_table_does(cells, kind, at_once, monkeypatch):
    monkeypatch.setattr("models.fields.tilt.CELLS_AT_ONCE", at_once)
    counts, log_base, features, _ = problem(cells)
    over = OVER[kind](cells)
    fields = torch.randn(NX * NY, 3, generator=torch.Generator().manual_seed(1))
    logits = Logits(log_base, features, NX * NY)
    logits.fields = fields
    total = torch.tensor(over.totals(counts)).float()
    shares = torch.exp(log_softmax(kind, log_base + features @ fields.T, cells))
    torch.testing.assert_close((shares * total).sum(), torch.tensor(counts.sum()).float())
    expected = (shares * total).T @ features
    torch.testing.assert_close(over.pull(logits, total), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("kind", OVER)
def test_sparse_counts_are_counts(cells, kind):
    counts, *rest = problem(cells)
    counts[:, ::3] = 0.0
    settings, over = TiltSettings(n_steps=20), OVER[kind](cells)
    one, other = (
        fit_tilt(table, *rest, FitContext(0), settings, over)
        for table in (counts, csr_array(counts))
    )
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_fit_can_be_cancelled(cells):
    with pytest.raises(FitCancelled):
        fit_tilt(*problem(cells), FitContext(0, cancelled=lambda: True))
