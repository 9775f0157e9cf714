"""Which cells share a side: of squares by their corners, of hexagons by H3."""

import h3
import numpy as np

from app.forecasts.cells import HexCells, SquareCells
from app.forecasts.zones.adjacency import neighbours_of
from tests.support.simulated.made_forecasts import version_of


def test_squares_share_two_corners():
    cells = SquareCells(version_of().grid)
    corners = [{tuple(corner) for corner in ring[:4].tolist()} for ring in cells.corners]
    found = neighbours_of(cells)
    assert found.shape == (len(cells), 4)
    for row, mine in enumerate(corners):
        expected = {other for other, ring in enumerate(corners) if len(mine & ring) == 2}
        assert set(found[row].tolist()) - {-1} == expected


def test_hexagons_are_those_that_h3_calls_neighbours():
    ids = sorted(h3.grid_disk(h3.latlng_to_cell(4.6, -74.08, 9), 2))[:-4]
    found = neighbours_of(HexCells(ids, 9, np.ones(len(ids)), "EPSG:32618"))
    for row, one in enumerate(ids):
        expected = {i for i, other in enumerate(ids) if h3.grid_distance(one, other) == 1}
        assert set(found[row].tolist()) - {-1} == expected
