"""Replies by box: each cell says what it says in the whole reply, and the cells outside cost nothing."""

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from sqlalchemy import create_engine

from app.core.settings import Settings
from app.forecasts import cells as cells_module
from app.forecasts.areas.layers import Inside, Layer
from app.forecasts.cells import rows_in_bbox
from app.forecasts.hotspots.documents import hotspots_geojson
from app.forecasts.hotspots.selection import HotspotOptions
from app.forecasts.plan import Harm, Plan, Selector
from app.forecasts.replies.serialisers import density_json
from app.forecasts.routes import DENSITY
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedState
from app.geo.antimeridian import normalised
from app.geo.grid import cover
from app.geo.study_area import StudyArea, shape_in_degrees, to_metres
from app.states.store import State
from models.bands import Band
from models.counts import model as counts_module
from models.densities.state import DensityState
from tests.support.simulated.made_forecasts import (
    CRS,
    CUTOFF,
    SOUTH_M,
    WEST_M,
    record_of,
    version_of,
)


def odd_area(size_m=12_000.0, crs=CRS, west_m=WEST_M, south_m=SOUTH_M):
    """A square with a hole and a bay, and an island."""
    whole = shapely.box(west_m, south_m, west_m + size_m, south_m + size_m)
    middle = shapely.Point(west_m + size_m / 2, south_m + size_m / 2)
    bay = shapely.Point(west_m + size_m, south_m + size_m / 3).buffer(size_m / 4)
    island = shapely.box(west_m + 1.2 * size_m, south_m, west_m + 1.3 * size_m, south_m + 2_000)
    holed = whole.difference(middle.buffer(size_m / 6)).difference(bay)
    return StudyArea(shapely.union_all([holed, island]), crs)


def state_of(n_cells):
    rng = np.random.default_rng(4)
    change = rng.normal(size=(2, n_cells)).astype(np.float32)
    density = DensityState(np.array([7.0, 90.0]), change)
    return State(1, "v1", 3, CUTOFF, 40, {}, density, 9, CUTOFF)


@pytest.fixture
def made(tmp_path):
    """Make a service without a database, and its version, whose tables it has cached."""

    def make(area):
        rng = np.random.default_rng(3)
        version = version_of(area, record=record_of(categories=["theft", "arson", "fraud"]))
        n = len(version.grid)
        band = Band(rng.random((168, 3)), rng.random((3, n)))
        counts = replace(version.counts, category_shares=((0.6,) * 8, (0.3,) * 8, (0.1,) * 8))
        version = replace(version, read_band=lambda: band, counts=counts)
        url = "postgresql+psycopg://localhost:1/none"
        service = ForecastService(create_engine(url), Settings(home=tmp_path, database_url=url))
        for code in (-1, 0, 1):
            for window in range(168):
                table = rng.gamma(0.4, size=n) + 1e-9
                key = ("table", 1, "v1", code, window)
                service.cache.put(key, table / table.sum(), table.nbytes)
        service.cache.put(("own codes", 1, "v1"), frozenset([0, 1]), 100)
        west = shapely.box(WEST_M, SOUTH_M, WEST_M + 5_100, SOUTH_M + 50_000)
        layer = Layer(
            "halves", "f", ("west",), np.array([shape_in_degrees(west, CRS)]), time.monotonic()
        )
        service.cache.put(("layer", 1, "town", "halves"), layer, 1000)
        return service, version

    return make


def some_box(cells, rng):
    west, south, east, north = cells.extent
    x, y = np.sort(rng.uniform(west, east, 2)), np.sort(rng.uniform(south, north, 2))
    return float(x[0]), float(y[0]), float(x[1]), float(y[1])


ASKED = {
    "a slot": (1, {}, {}),
    "a range": (200, {}, {}),
    "a category": (1, {}, {"codes": (1,)}),
    "categories": (30, {}, {"codes": (0, 1, 2)}),
    "harm": (30, {}, {"harm": Harm(((0, 3.0), (2, 0.5)), (), ())}),
    "larger squares": (3, {"cell_size_m": 1_300.0}, {}),
    "hexagons": (3, {"grid": "h3", "resolution": 7}, {}),
    "an area": (3, {"inside": Inside("halves", "west")}, {}),
}


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("asked", ASKED)
def test_each_cell_of_a_box_says_what_it_says_in_the_whole_reply(made, asked, with_state):
    service, version = made(odd_area())
    if with_state:
        state = state_of(len(version.grid))
        version = version.in_state(LoadedState(state, version.counts))
    n_slots, selector, more = ASKED[asked]
    rng, start_s = np.random.default_rng(5), int(CUTOFF.timestamp())
    whole_plan = Plan(version, Selector(window=0, **selector), start_s, n_slots, **more)
    every = json.loads(density_json(service.forecast_of(whole_plan)))["cells"]
    place = {one: row for row, one in enumerate(every["id"])}
    sizes = []
    for _ in range(6):
        boxed = Selector(window=0, bbox=some_box(version.cells, rng), **selector)
        plan = replace(whole_plan, selector=boxed)
        found = json.loads(density_json(service.forecast_of(plan, only_shown=True)))
        rows = [place[one] for one in found["cells"]["id"]]
        assert found["cells"] == {n: [column[r] for r in rows] for n, column in every.items()}
        sizes.append(len(rows))
        for fmt in ("json", "geojson", "csv"):
            one, other = (DENSITY[fmt](service.forecast_of(plan, only)) for only in (True, False))
            assert _undated(one) == _undated(other), fmt
    assert 0 < max(sizes) < len(place)


def _undated(body):
    return re.sub(rb'"generated_at":"[^"]+"', b"", body)


@pytest.mark.parametrize("fmt", ["tif", "parquet"])
def test_files_of_a_box_are_the_same(made, fmt):
    service, version = made(odd_area())
    box = some_box(version.cells, np.random.default_rng(2))
    plan = Plan(version, Selector(window=0, bbox=box), int(CUTOFF.timestamp()))
    one, other = (service.forecast_of(plan, only) for only in (True, False))
    moment = datetime.now(UTC).isoformat()
    for forecast in (one, other):
        forecast.__dict__["heading"] = lambda: {"generated_at": moment}
    assert DENSITY[fmt](one) == DENSITY[fmt](other)


def test_a_box_beside_all_cells_shows_none(made):
    service, version = made(odd_area())
    plan = Plan(version, Selector(window=0, bbox=(0, 0, 1, 1)), int(CUTOFF.timestamp()))
    found = service.forecast_of(plan, only_shown=True)
    assert json.loads(density_json(found))["cells"]["id"] == []
    assert json.loads(DENSITY["geojson"](found))["features"] == []
    assert len(DENSITY["csv"](found).splitlines()) == 1


def test_what_a_box_costs_does_not_grow_with_the_region(made, monkeypatch):
    counted = {"points": 0, "intervals": 0}
    project, interval = cells_module.to_degrees, counts_module.nearest_interval

    def to_degrees(x_m, y_m, crs):
        counted["points"] += np.size(x_m)
        return project(x_m, y_m, crs)

    def nearest_interval(mean, *more):
        counted["intervals"] += np.size(mean)
        return interval(mean, *more)

    south_west = shapely.box(WEST_M, SOUTH_M, WEST_M + 4_900, SOUTH_M + 4_900)
    box = shapely.bounds(shape_in_degrees(south_west, CRS)).tolist()
    costs = []
    for size_m in (20_000, 40_000):
        service, version = made(odd_area(size_m))
        assert version.cells.extent
        monkeypatch.setattr(cells_module, "to_degrees", to_degrees)
        monkeypatch.setattr(counts_module, "nearest_interval", nearest_interval)
        plan = Plan(version, Selector(window=0, bbox=tuple(box)), int(CUTOFF.timestamp()), 1)
        counted.update(points=0, intervals=0)
        found = service.forecast_of(plan, only_shown=True)
        density_json(found)
        assert "corners" not in vars(version.cells)
        assert len(found.probability) == len(found.log_variance) == 100
        costs.append(dict(counted))
        monkeypatch.undo()
    assert costs[0] == costs[1]
    assert 100 < costs[0]["intervals"] < 110
    assert 0 < costs[0]["points"] < 1_000


def test_hotspots_have_intervals_of_the_flagged_cells_alone(made, monkeypatch):
    counted, interval = [], counts_module.nearest_interval
    monkeypatch.setattr(
        counts_module,
        "nearest_interval",
        lambda mean, *more: counted.append(np.size(mean)) or interval(mean, *more),
    )
    service, version = made(odd_area())
    plan = Plan(version, Selector(window=0), int(CUTOFF.timestamp()))
    hotspots_geojson(service.forecast_of(plan), HotspotOptions(n_cells=7))
    assert max(counted) == 7


PLACES = {
    "near the equator": (CRS, WEST_M, SOUTH_M, 12_000.0),
    "far from its meridian": ("EPSG:32633", 100_000.0, 8_600_000.0, 400_000.0),
    "over the dateline": ("EPSG:32701", None, None, 60_000.0),
    "turned": ("EPSG:3413", 1_000_000.0, 1_000_000.0, 300_000.0),
}


@pytest.mark.parametrize("where", PLACES)
def test_a_box_finds_what_a_look_at_all_cells_finds(where):
    crs, west_m, south_m, size_m = PLACES[where]
    if west_m is None:
        x_m, y_m = to_metres(np.array([180.0]), np.array([-17.0]), crs)
        west_m, south_m = float(x_m[0]) - size_m / 2, float(y_m[0])
    area = odd_area(size_m, crs, west_m, south_m)
    cells = cells_module.SquareCells(cover(area, size_m / 40))
    bounds = cells.bounds
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    assert cells.extent == (*low.tolist(), *high.tolist())
    rng = np.random.default_rng(7)
    n_found = 0
    for turn in range(60):
        x = np.sort(rng.uniform(low[0], high[0], 2)).tolist()
        y = np.sort(rng.uniform(low[1], high[1], 2)).tolist()
        if turn % 3 == 0 and low[0] >= -180 and high[0] <= 180:  # an edge on that of a cell
            row = int(rng.integers(len(cells)))
            x, y = [bounds[row, 2], bounds[row, 2] + 1e-4], [bounds[row, 1], bounds[row, 1]]
        meets = (bounds[:, 2] >= x[0]) & (bounds[:, 0] <= x[1])
        meets &= (bounds[:, 3] >= y[0]) & (bounds[:, 1] <= y[1])
        west, east = normalised(x).tolist()
        found = rows_in_bbox(cells, (west, float(y[0]), east, float(y[1])))
        assert found.tolist() == np.flatnonzero(meets).tolist()
        n_found += len(found)
    assert n_found > 0
