"""Fractions Skill Score: by hand, of equal maps, of near and of far misses, at the edge of a study area."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.near_misses import (
    DISTANCES_M,
    fractions_skill,
    fullest_cells,
    half_widths,
    skill_sums,
)
from tests.support.simulated.square_grid import square_grid

GRID = square_grid(20, 20)
SIZE_M = GRID.cell_size_m


def scores(flagged, rows, grid=GRID):
    return fractions_skill([skill_sums(np.array(flagged), np.array(rows), grid)], grid.cell_size_m)


def at(ix, iy):
    """The row of a cell."""
    return iy * GRID.nx + ix


@given(st.sets(st.integers(0, len(GRID) - 1), min_size=1, max_size=40))
def test_equal_maps_have_one_at_every_distance(cells):
    assert scores(sorted(cells), sorted(cells))["fss"] == [1.0] * len(DISTANCES_M)


def test_a_hit_next_door_rises_with_the_distance_and_one_far_away_stays_nothing():
    flagged = [at(10, y) for y in range(5, 15)]
    near = scores(flagged, [row + 1 for row in flagged])["fss"]
    assert near[0] == 0.0
    assert np.all(np.diff(near) > 0)
    far = scores(flagged, [at(0, y) for y in range(5, 15)])["fss"]
    assert far == [0.0] * len(DISTANCES_M)


def test_by_hand():
    """One cell against its neighbour, far from the edge: 3 x 3 squares share 6 of 9 cells, 5 x 5 20 of 25."""
    found = scores([at(10, 10)], [at(11, 10)])
    assert half_widths(SIZE_M) == (0, 1, 2, 4) == tuple(found["half_width_cells"])
    assert found["fss"] == pytest.approx([0.0, 6 / 9, 20 / 25, 72 / 81], abs=5e-4)
    assert found["useful"] == pytest.approx(0.5 + 1 / 400 / 2, abs=5e-4)
    assert found["useful_from_m"] == 250


def test_cells_outside_the_study_area_are_no_neighbours():
    """In a corner, a neighbourhood of 3 x 3 has four cells."""
    whole = skill_sums(np.array([0]), np.array([1]), GRID)
    one, other = np.zeros((2, 20, 20))
    for field, column in ((one, 0), (other, 1)):
        for x in range(20):
            for y in range(20):
                n_x = min(x + 1, 19) - max(x - 1, 0) + 1
                n_y = min(y + 1, 19) - max(y - 1, 0) + 1
                field[x, y] = (abs(x - column) <= 1 and y <= 1) / (n_x * n_y)
    assert whole.error[1] == pytest.approx(((one - other) ** 2).sum())
    assert whole.reference[1] == pytest.approx((one**2 + other**2).sum())
    kept = np.flatnonzero(GRID.ix != 1)
    holed = replace(GRID, cell_id=GRID.cell_id[kept], area_km2=GRID.area_km2[kept])
    rows = [int(np.flatnonzero(holed.cell_id == at(x, 5))[0]) for x in (0, 2)]
    # Of the three columns around column 0, one is there; of those around column 2, two.
    sums = skill_sums(np.array(rows[:1]), np.array(rows[1:]), holed)
    assert sums.reference[1] == pytest.approx(3 / 9 + 3 / 36 + 3 / 81)


def test_the_fullest_cells_are_as_many_as_the_forecast_marks():
    rows = np.repeat([3, 5, 7, 8, 9], [6, 4, 2, 2, 1])
    assert fullest_cells(rows, 12, 2).nonzero()[0].tolist() == [3, 5]
    shared = fullest_cells(rows, 12, 3)
    assert shared[[3, 5, 7, 8]].tolist() == [1.0, 1.0, 0.5, 0.5]
    assert fullest_cells(rows, 12, 9).sum() == 5
    assert fullest_cells(np.zeros(0, np.int64), 12, 3).sum() == 0


def test_periods_add_up_and_none_has_no_score():
    periods = [skill_sums(np.array([at(4, 4)]), np.array([row]), GRID) for row in (at(4, 4), 0)]
    assert fractions_skill(periods, SIZE_M)["fss"][0] == 0.5
    empty = scores([at(4, 4)], np.zeros(0, np.int64))
    assert (empty["fss"], empty["useful"], empty["useful_from_m"]) == (None, None, None)


@pytest.mark.parametrize(("size_m", "cells"), [(100.0, (0, 2, 5, 10)), (1_000.0, (0, 0, 0, 1))])
def test_neighbourhoods_follow_the_size_of_cells(size_m, cells):
    assert half_widths(size_m) == cells
