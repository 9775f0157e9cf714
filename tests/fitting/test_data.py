"""A region without a boundary has one study area: that of its first training is that of every later one."""

from app.fitting.data import load_training_data
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.regions.store import get_region


def test_the_first_training_sees_the_area_that_is_kept(engine, settings, town_csv):
    add_region(engine, "unbounded", timezone="America/Bogota", cell_size_m=500.0)
    ingest_file(engine, "unbounded", town_csv, settings=settings)
    with engine.connect() as connection:
        key = get_region(connection, "unbounded").key
    first, later = (load_training_data(engine, key) for _ in range(2))
    assert first.area.polygon_m.equals_exact(later.area.polygon_m, 0.0)
    assert (first.grid.area_km2 == later.grid.area_km2).all()
