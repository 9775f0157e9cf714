"""Zones grown cell by cell are those that are made at once."""

import numpy as np
import pytest

from models.zones.problem import compactness_of, least_perimeter
from models.zones.shapes import Shapes, Step, Zones
from tests.models.zones.test_search import problem_of


def grown(shapes, cells):
    """The zones of cells, added one after the other where they may be."""
    state = Zones()
    for cell in cells:
        zone = next((one for one in state.zones if cell in one.edge), None)
        assert shapes.fits(state, Step(cell, zone))
        state = shapes.added(state, Step(cell, zone))
    return state


@pytest.mark.parametrize("cells", [[0, 1, 2, 8], [0, 2, 1], [0, 2, 12, 10, 1, 6], [24, 23, 18]])
def test_a_grown_zone_is_that_of_its_cells(cells):
    shapes = Shapes(problem_of(np.arange(25.0).reshape(5, 5), 9, 9))
    state = grown(shapes, cells)
    for zone in state.zones:
        made = shapes.zone(zone.cells)
        assert (zone.perimeter, zone.edge, zone.key) == (made.perimeter, made.edge, made.key)
        assert zone.box_m == made.box_m
        assert zone.adds == made.adds
    assert state.value == pytest.approx(sum(cells))
    assert state.key == shapes.state_of(state.zones).key


def test_a_cell_between_two_zones_joins_them_and_one_too_near_is_refused():
    value = np.ones((3, 7))
    shapes = Shapes(problem_of(value, 9, 9))
    assert len(grown(shapes, [7, 9]).zones) == 2
    assert len(grown(shapes, [7, 9, 8]).zones) == 1
    apart = Shapes(problem_of(value, 9, 9, min_separation_m=700.0))
    state = grown(apart, [7])
    assert not apart.fits(state, Step(9, None))
    assert apart.fits(state, Step(10, None))


def test_a_zone_does_not_fall_apart_by_removing_a_cell():
    shapes = Shapes(problem_of(np.ones((1, 5)), 9, 9))
    state = grown(shapes, [1, 2, 3])
    (zone,) = state.zones
    assert shapes.without(state, zone, 2) is None
    assert shapes.without(state, zone, 3).zones[0].cells == {1, 2}
    alone = grown(shapes, [1])
    assert shapes.without(alone, alone.zones[0], 1) == Zones()


def test_the_budget_is_not_exceeded():
    shapes = Shapes(problem_of(np.ones((2, 3)), 2, 2))
    state = grown(shapes, [0, 1])
    assert not shapes.fits(state, Step(2, state.zones[0]))


@pytest.mark.parametrize("n_sides", [4, 6])
def test_no_shape_is_more_compact_than_one(n_sides):
    for n in range(1, 60):
        assert compactness_of(n, least_perimeter(n, n_sides), n_sides) == 1
        assert least_perimeter(n + 1, n_sides) >= least_perimeter(n, n_sides)
