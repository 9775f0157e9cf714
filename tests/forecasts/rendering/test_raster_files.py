"""Rasters lie where their cells do, and columns of files keep what stands beside the features."""

import io
import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from app.core.errors import InvalidInput
from app.forecasts.rendering.files import (
    BANDS,
    NODATA,
    collection_parquet,
    density_parquet,
    density_tif,
    frame_of,
    raster_of,
    text_tags,
)
from app.forecasts.replies.serialisers import density_geojson
from tests.support.simulated.made_forecasts import forecast_of


def box_of(rows):
    bounds = forecast_of().cells.bounds[rows]
    inset = 1e-4
    west, south = bounds[:, :2].min(axis=0) + inset
    east, north = bounds[:, 2:].max(axis=0) - inset
    return float(west), float(south), float(east), float(north)


def test_a_raster_has_the_north_on_top_and_nothing_outside():
    forecast = forecast_of()
    image = raster_of(forecast, frame_of(forecast), np.arange(11.0))
    assert image.tolist() == [[8, 9, 10, NODATA], [4, 5, 6, 7], [0, 1, 2, 3]]


def test_a_box_cuts_the_frame_to_its_cells_and_moves_its_corner():
    whole, boxed = frame_of(forecast_of()), forecast_of(bbox=box_of([5, 9]))
    frame = frame_of(boxed)
    assert (frame.nx, frame.ny, frame.ix0, frame.iy0) == (1, 2, 1, 1)
    assert frame.west_m == whole.west_m + 500
    assert frame.north_m == whole.north_m
    assert raster_of(boxed, frame, np.arange(11.0)).tolist() == [[9], [5]]


def test_a_box_beside_the_region_has_no_raster():
    with pytest.raises(InvalidInput, match="no cell touches the bbox"):
        frame_of(forecast_of(bbox=(0.0, 0.0, 1.0, 1.0)))


def test_a_geotiff_gives_each_cells_numbers_at_its_place():
    forecast = forecast_of()
    with rasterio.open(io.BytesIO(density_tif(forecast))) as file:
        x_m, y_m = forecast.cells.grid.centres_m()
        found = np.array(list(file.sample(zip(x_m, y_m, strict=True))))
        outside = next(file.sample([(x_m.max(), y_m.max())]))
        names, tags = file.descriptions, file.tags()
    assert names == BANDS[:5]
    np.testing.assert_allclose(found[:, 0], forecast.density_per_km2, rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], forecast.expected_count, rtol=1e-6)
    np.testing.assert_allclose(found[:, 4], forecast.probability, rtol=1e-6)
    assert set(outside) == {NODATA}
    assert tags["until"] == "2024-01-08T01:00:00+00:00"


def test_tags_are_texts_and_leave_out_what_is_missing():
    tags = text_tags(forecast_of())
    assert all(isinstance(text, str) for text in tags.values())
    assert "category" not in tags
    assert tags["model_version"] == "v1"


def test_a_density_as_parquet_has_the_polygons_and_the_heading():
    forecast = forecast_of(bbox=box_of([0, 1]))
    frame = gpd.read_parquet(io.BytesIO(density_parquet(forecast)))
    assert frame["id"].tolist() == [0, 1]
    assert shapely.equals(frame.geometry.to_numpy(), forecast.cells.polygons_degrees()[:2]).all()
    assert (frame.attrs["region"], frame.attrs["cell_size_m"]) == ("town", 500.0)


def test_a_collection_as_parquet_keeps_its_other_members():
    geojson = density_geojson(forecast_of())
    frame = gpd.read_parquet(io.BytesIO(collection_parquet(geojson)))
    told = json.loads(geojson)
    assert frame["probability"].tolist() == [
        one["properties"]["probability"] for one in told.pop("features")
    ]
    assert frame.crs.to_epsg() == 4326
    del told["type"]
    assert frame.attrs == told
