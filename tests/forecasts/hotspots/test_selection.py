"""The one rule of the top-k% cells."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.forecasts.hotspots.selection import n_top_cells
from models.evaluation.metrics import ranked_rows


@given(st.integers(1, 200_000), st.integers(1, 10_000))
def test_no_cell_is_lost_to_binary_rounding(n_cells, hundredths):
    exact = max(1, floor(Fraction(hundredths * n_cells, 10_000)))
    assert n_top_cells(n_cells, hundredths / 100) == exact


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_ties_go_by_row(values):
    rows = ranked_rows(np.array(values, float))
    assert sorted(rows, key=lambda r: (-values[r], r)) == rows.tolist()


@pytest.mark.parametrize("percent", [0, -1, 100.01, float("nan"), float("inf")])
def test_other_percentages_are_refused(percent):
    with pytest.raises(InvalidInput, match=r"\(0, 100\]"):
        n_top_cells(10, percent)
