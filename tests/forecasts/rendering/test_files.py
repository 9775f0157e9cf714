"""Every format read back by a reader that is not ours."""

import io
import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from PIL import Image

BASE = "/v1/regions/town"
AT = "2019-12-31T23:00"
SAID = {"model_version", "trained_until", "warnings", "expected_total"}


def fetch(served, path, **params):
    reply = served.client.get(f"{BASE}/{path}", params={"at": AT, **params})
    assert reply.status_code == 200, reply.text
    return reply


@pytest.fixture(scope="module")
def truth(served):
    return fetch(served, "forecasts/density").json()


@pytest.mark.parametrize("path", ["density", "hotspots", "samples"])
@pytest.mark.parametrize("f", ["geojson", "csv", "parquet"])
def test_headers_say_where_any_format_comes_from(served, truth, path, f):
    headers = fetch(
        served, f"forecasts/{path}", f=f, **({"seed": 1} if path == "samples" else {})
    ).headers
    assert headers["X-Hotslot-Model-Version"] == truth["model_version"]
    assert "X-Hotslot-Data-Hash" not in headers
    assert headers["X-Hotslot-Trained-Until"] == truth["trained_until"]
    assert json.loads(headers["X-Hotslot-Warnings"]) == truth["warnings"]
    assert float(headers["X-Hotslot-Expected-Total"]) == truth["expected_total"]
    assert headers["ETag"]


def test_geoparquet_and_geojson_by_geopandas(served, truth):
    parquet = gpd.read_parquet(io.BytesIO(fetch(served, "forecasts/density", f="parquet").content))
    geojson = gpd.read_file(io.BytesIO(fetch(served, "forecasts/density", f="geojson").content))
    for frame in (parquet, geojson):
        assert frame.crs.to_epsg() == 4326
        assert frame["id"].astype(int).tolist() == truth["cells"]["id"]
        np.testing.assert_allclose(frame["probability"], truth["cells"]["probability"])
        centres = frame.to_crs(truth["crs"]).centroid.to_crs(4326)
        np.testing.assert_allclose(centres.x, truth["cells"]["longitude"], atol=2e-6)
    assert set(parquet.attrs) >= SAID


def test_csv_by_pandas(served, truth):
    frame = pd.read_csv(io.BytesIO(fetch(served, "forecasts/density", f="csv").content))
    assert list(frame.columns)[: len(truth["cells"])] == list(truth["cells"])
    assert set(frame["model_version"]) == {truth["model_version"]}
    np.testing.assert_allclose(frame["expected_count"], truth["cells"]["expected_count"])


def test_geotiff_by_rasterio(served, truth):
    """Cloud-optimised, at the right place, empty outside, and it says what it is."""
    with rasterio.open(io.BytesIO(fetch(served, "forecasts/density", f="tif").content)) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.crs.to_string() == truth["crs"]
        assert set(file.tags()) >= SAID
        bands = file.read(masked=True)
        values = dict(zip(file.descriptions, bands, strict=True))
        grid, ids = truth["grid"], np.array(truth["cells"]["id"])
        ix, iy = ids % grid["nx"], ids // grid["nx"]
        half = truth["cell_size_m"] / 2
        x_m = grid["x0_m"] + 2 * half * ix + half
        y_m = grid["y0_m"] + 2 * half * iy + half
        place = file.transform
        column = ((x_m - place.c) / place.a).astype(int)
        row = ((y_m - place.f) / place.e).astype(int)
    for name, band in values.items():
        assert band.count() == len(ids)
        np.testing.assert_allclose(band[row, column], truth["cells"][name], rtol=1e-6)


def test_tilejson_names_the_address_that_it_was_asked_at(served):
    """Also right after another asked by another name: its tiles would be fetched there, key and all."""
    url = f"{BASE}/tiles/tilejson.json"
    for host in ("localhost", "127.0.0.1:81", "localhost"):
        reply = served.client.get(url, params={"at": AT}, headers={"Host": host})
        assert reply.json()["tiles"][0].startswith(f"http://{host}/"), reply.text


def test_pictures_and_tiles_by_pillow(served, truth):
    picture = Image.open(io.BytesIO(fetch(served, "forecasts/density", f="png").content))
    assert set(picture.text) >= SAID
    boxed = fetch(served, "forecasts/density", f="png", bbox="-74.09,4.62,-74.06,4.66")
    Image.open(io.BytesIO(boxed.content)).load()
    tiles = fetch(served, "tiles/tilejson.json").json()
    assert tiles["tilejson"] == "3.0.0"
    west, south, east, north = tiles["bounds"]
    longitude, latitude = np.array(truth["cells"]["longitude"]), truth["cells"]["latitude"]
    assert west < longitude.min() < longitude.max() < east
    assert south < min(latitude) < max(latitude) < north
    z, n = 11, 2**11
    x = int((tiles["center"][0] + 180) / 360 * n)
    y = int((1 - np.arcsinh(np.tan(np.radians(tiles["center"][1]))) / np.pi) / 2 * n)
    address = tiles["tiles"][0].replace("http://testserver", "")
    reply = served.client.get(address.format(z=z, x=x, y=y))
    tile = Image.open(io.BytesIO(reply.content)).convert("RGBA")
    assert tile.size == (256, 256)
    assert 0 < np.asarray(tile)[..., 3].astype(bool).mean() <= 1
