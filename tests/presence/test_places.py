"""Places of rows: cells of the serving version, H3 cells and areas of layers become polygons."""

import pytest
import shapely

from app.core.errors import InvalidInput, NotFound
from app.geo.hexagons import h3_polygons_degrees
from app.presence.places import MAX_CELLS, Places
from app.regions.store import get_region

HEXAGON = "8966c3a6dabffff"


@pytest.fixture
def places(served):
    with served.engine.connect() as connection:
        yield Places(connection, get_region(connection, "town"))


def test_several_cells_are_the_union_of_each(served, places):
    cells = served.grid.cell_id[[40, 41]].tolist()
    whole = places.shape("cells", cells)
    assert whole.equals(shapely.union_all([places.shape("cell", cell) for cell in cells]))
    assert places.shape("cells", " ".join(map(str, cells))).equals(whole)
    assert places.shape("cell", HEXAGON).equals(h3_polygons_degrees([HEXAGON])[0])


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("cell", 10**9, InvalidInput),
        ("cell", "north", InvalidInput),
        ("cells", [], InvalidInput),
        ("cells", list(range(MAX_CELLS + 1)), InvalidInput),
        ("area", "beats", InvalidInput),
        ("area", "nothing:D11", NotFound),
        ("street", "Main", InvalidInput),
    ],
)
def test_what_is_no_place_of_the_region_is_refused(places, name, value, error):
    with pytest.raises(error):
        places.shape(name, value)
