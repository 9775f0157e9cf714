"""GDAL's OGC API - Features driver, by Debian's ogr2ogr, through nginx with TLS and Basic authentication."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import httpx
import pytest

from tests.ecosystem.pictures import keep_map

pytestmark = pytest.mark.slow
KINDS = ("hotspots", "zones", "streets", "neighbourhoods", "density")


@pytest.fixture(scope="module")
def gdal(proxied, tmp_path_factory):
    """Run one of GDAL's programs with the analyst's key."""
    program = shutil.which("ogr2ogr")
    if program is None:
        pytest.skip("there is no ogr2ogr")
    folder = tmp_path_factory.mktemp("gdal")
    environment = {
        **os.environ,
        "CURL_CA_BUNDLE": str(proxied.certificate),
        "GDAL_HTTP_AUTH": "BASIC",
        "GDAL_HTTP_USERPWD": f"gdal:{proxied.keys['analyst']}",
    }

    def converted(layer: str, *options: str):
        target = folder / f"{layer}-{len(list(folder.iterdir()))}.geojson"
        command = [program, "-f", "GeoJSON", *options, target, f"OAPIF:{proxied.url}/ogc", layer]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(target.read_text())["features"]

    return converted


@pytest.mark.parametrize("kind", KINDS)
def test_all_features_arrive_with_their_hour(gdal, proxied, kind):
    found = gdal(f"town.{kind}", "-oo", "PAGE_SIZE=50")
    reply = httpx.get(
        f"{proxied.url}/ogc/collections/town.{kind}/items",
        params={"limit": 10_000},
        auth=("gdal", proxied.keys["reader"]),
        verify=proxied.trusted,
        timeout=60,
    ).json()
    assert len(found) == reply["numberMatched"] > 0
    for one in found:
        assert {"from", "to", "model_version", "state", "data_until"} <= one["properties"].keys()


def test_a_box_is_asked_of_the_service(gdal):
    whole = gdal("town.hotspots")
    x, y = whole[0]["geometry"]["coordinates"][0][0]
    part = gdal("town.hotspots", "-spat", str(x), str(y), str(x + 1e-4), str(y + 1e-4))
    assert 0 < len(part) < len(whole)
    cells = {"column": "expected_count", "cmap": "YlGnBu", "vmin": 0}
    keep_map(
        {
            "town.density": (gdal("town.density"), cells),
            "town.streets": (gdal("town.streets"), {"color": "0.6", "linewidth": 0.3}),
            "town.hotspots": (whole, {"facecolor": "none", "edgecolor": "tab:red"}),
        },
        "gdal.png",
    )


def test_incidents_of_many_pages(gdal, proxied):
    found = gdal("town.incidents", "-oo", "PAGE_SIZE=1000")
    n = len(proxied.csv.read_text().splitlines()) - 1
    assert 0.95 * n < len(found) <= n
