"""The stack's tables are made in blocks of cells: the same as whole ones, in bounded memory."""

import tracemalloc

import numpy as np
import pytest

from models.base import FitContext, normalised
from models.densities import stack
from models.densities.cox import HourTilt
from models.densities.drift import DriftedBackbone
from models.densities.history import History
from models.densities.maf import HourFlow
from models.densities.near_repeat import Sepp
from models.densities.recent import RecentKde
from models.densities.stack import COMPONENTS, Stack
from models.units import N_WINDOWS
from tests.models.densities.test_stack import CUTOFF_S, drawn
from tests.support.simulated.square_grid import square_grid

CELLS, CONTEXT = square_grid(7, 6), FitContext(CUTOFF_S)
BYTES_PER_CELL = 168 * 8 * 6


def whole_tables(known):
    """The components' tables (K, 168, N) by definition, none of them in factors or blocks."""
    drifted = DriftedBackbone().fit(known, CELLS, CONTEXT)
    base, backbone = drifted.probability_, drifted.backbone_.probability_[0]
    flow = HourFlow().fit(drifted.tables_, base, CONTEXT).probability_
    others = [model().fit(known, CELLS, CONTEXT) for model in (RecentKde, History, Sepp)]
    made = [
        flow,
        HourTilt().fit(drifted.tables_, base, CONTEXT).probability_,
        flow / base * backbone,
        np.tile(base, (N_WINDOWS, 1)),
        *(flow / base * other.probability_[0] for other in others),
    ]
    return np.stack([normalised(table, CELLS.area_km2) for table in made])


@pytest.mark.parametrize("at_once", [5, 1_000])
def test_blocks_are_those_of_the_whole_tables(at_once, monkeypatch):
    monkeypatch.setattr("models.hour_table.CELLS_AT_ONCE", at_once)
    known = drawn(400)
    components, tables = stack._Components(known, CELLS, CONTEXT), whole_tables(known)
    np.testing.assert_allclose(components.block(slice(3, 11)), tables[:, :, 3:11], rtol=1e-5)
    weights = np.random.default_rng(0).dirichlet(np.ones(len(COMPONENTS)))
    mixed = np.einsum("k,kwn->wn", weights, tables)
    np.testing.assert_allclose(components.mixed(weights), mixed, rtol=1e-5)


@pytest.mark.slow
def test_what_a_validation_has_fitted_is_not_fitted_again(monkeypatch):
    made, original = [], stack._Components

    def counted(known, cells, context):
        made.append(context.cutoff_s)
        return original(known, cells, context)

    monkeypatch.setattr(stack, "_Components", counted)
    memo, known = {}, drawn(700)
    earlier = CUTOFF_S - 28 * 86_400
    Stack().fit(known.before(earlier), CELLS, FitContext(earlier, memo=memo))
    again = Stack().fit(known, CELLS, FitContext(CUTOFF_S, memo=memo))
    assert len(made) == len(set(made)) == 4
    assert len(memo) == stack.MAX_REMEMBERED
    fresh = Stack().fit(known, CELLS, CONTEXT)
    np.testing.assert_array_equal(again.probability_, fresh.probability_)
    other = drawn(700, seed=5)
    Stack().fit(other, CELLS, FitContext(CUTOFF_S, memo=memo))
    assert len(made) == 4 + 3 + 3


@pytest.mark.slow
def test_memory_is_a_few_tables_whatever_the_number_of_components():
    """All seven tables of 64 bits would take 9.4 kB a cell, and two of each their copies."""
    cells = square_grid(100, 100)
    tracemalloc.start()
    try:
        Stack().fit(drawn(300), cells, CONTEXT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < BYTES_PER_CELL * len(cells)
