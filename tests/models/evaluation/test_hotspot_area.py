"""The flagged area: its form, its movement, its shares by part of the city."""

import numpy as np
import pytest

from app.geo.neighbourhoods import divide
from app.geo.study_area import to_degrees
from models.evaluation.hotspot_area import (
    compactness,
    disparity,
    flagged_cells,
    listed_cells,
    overlap,
    shares_by_part,
    turnover,
)


def test_flagged_cells_take_the_best_and_break_ties_by_id(fixed_model):
    model = fixed_model([[0.1, 0.3, 0.3, 0.3], [0.7, 0.1, 0.1, 0.1]])
    np.testing.assert_array_equal(flagged_cells(model, 50), [[1, 2], [0, 1]])


def test_compactness_of_a_block_and_of_scattered_cells(grid):
    def rows(ids):
        return grid.rows_of_ids(np.array([iy * grid.nx + ix for ix, iy in ids]))[None]

    block = compactness(rows([(2, 2), (3, 2), (2, 3), (3, 3)]), grid)
    assert block == {"patches": 1.0, "cells_per_patch": 4.0, "shared_sides": 0.5}
    apart = compactness(rows([(0, 0), (2, 2), (3, 3), (5, 5)]), grid)
    assert apart == {"patches": 4.0, "cells_per_patch": 1.0, "shared_sides": 0.0}


def test_overlap_is_jaccard_and_one_row_stands_for_all_windows():
    one = np.array([[0, 1, 2]])
    assert overlap(one, one) == 1.0
    assert overlap(one, np.array([[3, 4, 5]])) == 0.0
    assert overlap(one, np.array([[0, 1, 2], [2, 3, 4]])) == pytest.approx((1 + 1 / 5) / 2)


def test_turnover_counts_who_leaves_and_who_comes_back():
    issues = [np.array(one) for one in ([1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 4, 5], [1, 2, 3, 4])]
    found = turnover(issues)
    assert found["jaccard"] == pytest.approx(3 / 5)
    assert found["left"] == pytest.approx(1 / 4)
    # Cells 4 and 3 left and came back; 5 left with the last issue and could not.
    assert found["flip_flop"] == 1.0
    assert turnover([*issues[:3], np.array([1, 2, 5, 6])])["flip_flop"] == 0.5
    assert turnover(issues[:1] * 3) == {"jaccard": 1.0, "left": 0.0, "flip_flop": None}
    assert turnover(issues[:1]) == {"jaccard": None, "left": None, "flip_flop": None}
    assert turnover(issues[:2])["flip_flop"] is None


def test_the_list_of_all_hours_weighs_them_as_incidents_fell(fixed_model):
    table = np.full((168, 4), 0.1)
    table[:, 0], table[9, 0], table[9, 3] = 0.7, 0.1, 0.7
    model = fixed_model(table)
    quiet, busy = np.zeros(0, np.int16), np.full(500, 9, np.int16)
    assert listed_cells(model, quiet, 25).tolist() == [0]
    assert listed_cells(model, busy, 25).tolist() == [3]


def test_shares_by_part_are_of_area_and_sum_to_one():
    part = np.array([0, 0, 1, 1])
    shares = shares_by_part([np.array([[0, 2], [0, 3]])], part, 2, np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(shares, [2 / 6, 4 / 6])
    assert disparity(shares, shares)["misplaced"] == 0.0
    found = disparity(np.array([1.0, 0.0]), np.array([0.25, 0.75]))
    assert found["misplaced"] == pytest.approx(0.75)
    assert found["max_ratio"] == pytest.approx(4.0)


def test_each_cell_belongs_to_a_neighbourhood(grid):
    west, south = grid.x0_m, grid.y0_m
    middle = west + 4_000.0

    def feature(name, x0, x1, **properties):
        y0, y1 = south - 100, south + grid.ny * grid.cell_size_m + 100
        longitude, latitude = to_degrees(
            np.array([x0, x1, x1, x0, x0]), np.array([y0, y0, y1, y1, y0]), grid.crs
        )
        ring = np.column_stack([longitude, latitude]).tolist()
        return {
            "type": "Feature",
            "properties": {"name": name, **properties},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }

    collection = {
        "type": "FeatureCollection",
        "features": [
            feature("west", west - 100, middle, population=100),
            feature("east", middle, middle + 1_000, population=40),
            feature("east", middle + 1_000, middle + 2_000, population=60),
            {"type": "Feature", "properties": {"name": "nowhere"}, "geometry": None},
        ],
    }
    found = divide(grid, collection)
    assert found.names == ("west", "east")
    np.testing.assert_array_equal(found.population, [100, 100])
    x_m, _ = grid.centres_m()
    np.testing.assert_array_equal(found.part, (x_m > middle).astype(int))
