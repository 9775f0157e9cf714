"""Tiles show each place in its cell's colour, nothing outside, and TileJSON says where they lie."""

import io
import math

import numpy as np
import pytest
import shapely
from PIL import Image

from app.core.caching.cache import BoundedCache
from app.core.errors import InvalidInput
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Selector
from app.forecasts.regridding import CellRegridder
from app.forecasts.rendering.colours import palette, shade, upper_end
from app.forecasts.rendering.tiles import (
    LATTICE_FROM_ZOOM,
    MAX_ZOOM,
    TILE_PIXELS,
    _pixels_m,
    check_tile,
    tile_json,
    tile_png,
)
from app.geo.study_area import StudyArea, to_metres
from tests.support.simulated.made_forecasts import forecast_of, version_of

ZOOM = 14


def pixel_of(longitude, latitude, zoom):
    """Tile x, y and the pixel's column and row in it."""
    n = 2**zoom * TILE_PIXELS
    east = (longitude + 180) / 360 * n
    north = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * n
    return divmod(int(east), TILE_PIXELS), divmod(int(north), TILE_PIXELS)


def colour_at(forecast, longitude, latitude, zoom=ZOOM):
    (x, column), (y, row) = pixel_of(longitude, latitude, zoom)
    image = Image.open(io.BytesIO(tile_png(forecast, zoom, x, y)))
    assert image.size == (TILE_PIXELS, TILE_PIXELS)
    return image.convert("RGBA").getpixel((column, row))


@pytest.mark.parametrize("zoom", [LATTICE_FROM_ZOOM + 4, ZOOM, MAX_ZOOM])
def test_the_middle_of_each_cell_has_the_colour_of_its_density(zoom):
    forecast = forecast_of()
    density = forecast.density_per_km2
    index = shade(density, upper_end(density))
    longitude, latitude = forecast.cells.centres
    seen = [colour_at(forecast, *at, zoom) for at in zip(longitude, latitude, strict=True)]
    assert [pixel[:3] for pixel in seen] == [tuple(c) for c in palette()[index].tolist()]
    opacity = [pixel[3] for pixel in seen]
    assert 0 < opacity[0] < opacity[5] < opacity[-1] < 255


def test_outside_the_area_and_the_box_nothing_is_seen():
    forecast = forecast_of()
    longitude, latitude = forecast.cells.centres
    west, _, east, north = forecast.cells.extent
    assert colour_at(forecast, east - 1e-4, north - 1e-4)[3] == 0, "the missing corner"
    assert colour_at(forecast, west - 1e-4, latitude[0])[3] == 0
    middle = (longitude[5], latitude[5])
    boxed = forecast_of(bbox=(*middle, *middle))
    assert colour_at(boxed, *middle)[3] > 0
    assert colour_at(boxed, longitude[6], latitude[6])[3] == 0


@pytest.mark.parametrize("zoom", [LATTICE_FROM_ZOOM, 12])
def test_pixels_between_projected_points_are_within_a_metre(zoom):
    crs = "EPSG:32618"
    (x, _), (y, _) = pixel_of(-74.06, 4.65, zoom)
    x_m, y_m = (part.reshape(TILE_PIXELS, TILE_PIXELS) for part in _pixels_m(zoom, x, y, crs))
    for row, column in ((3, 5), (100, 251), (255, 255)):
        longitude = (x + (column + 0.5) / TILE_PIXELS) / 2**zoom * 360 - 180
        turn = math.pi * (1 - 2 * (y + (row + 0.5) / TILE_PIXELS) / 2**zoom)
        exact = to_metres(longitude, math.degrees(math.atan(math.sinh(turn))), crs)
        apart = np.hypot(exact[0] - x_m[row, column], exact[1] - y_m[row, column])
        assert apart < 1.0


@pytest.mark.parametrize("tile", [(-1, 0, 0), (21, 0, 0), (3, 8, 0), (3, 0, 8), (0, -1, 0)])
def test_a_tile_that_does_not_exist_is_refused_by_its_numbers(tile):
    with pytest.raises(InvalidInput, match="/".join(map(str, tile))):
        check_tile(*tile)
    check_tile(3, 7, 7)


def test_hexagons_have_no_tiles():
    version = version_of()
    selector = Selector(window=0, grid="h3", resolution=8)
    cells, regridding = CellRegridder(BoundedCache(1 << 20)).of(version, selector)
    plan = forecast_of(version, grid="h3", resolution=8).plan
    forecast = Forecast(plan, cells, regridding.apply(np.full(11, 1 / 11)), np.ones(1))
    with pytest.raises(InvalidInput, match="grid=square"):
        tile_png(forecast, 0, 0, 0)


def test_the_description_holds_all_cells_and_explains_the_colours():
    forecast = forecast_of()
    told = tile_json(forecast, "https://x/{z}/{x}/{y}.png")
    west, south, east, north = told["bounds"]
    assert (west, south, east, north) == forecast.cells.extent
    assert west < told["center"][0] < east
    assert south < told["center"][1] < north
    scale = told["hotslot"]["scale"]
    assert scale[-1]["value"] == pytest.approx(upper_end(forecast.density_per_km2))
    for stop in scale:
        index = int(shade(np.array([stop["value"]]), scale[-1]["value"])[0])
        colour = np.array([int(stop["colour"][k : k + 2], 16) for k in (1, 3, 5)])
        assert np.abs(colour - palette()[index].astype(int)).max() <= 4
    assert told["hotslot"]["at"] == "2024-01-07T19:00:00-05:00"
    assert told["name"] == "Town, Sunday 2024-01-07 19:00"


def test_over_the_dateline_the_bounds_are_the_globe_and_the_middle_is_a_longitude():
    crs = "EPSG:32701"
    x_m, y_m = to_metres(180.0, -17.0, crs)
    box = shapely.box(x_m - 1_000, y_m - 1_000, x_m + 4_400, y_m + 1_000)
    told = tile_json(forecast_of(version_of(StudyArea(box, crs))), "")
    assert told["bounds"][::2] == [-180.0, 180.0]
    assert -180 <= told["center"][0] < -179.9
