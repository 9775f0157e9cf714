"""The notebooks of the documentation, run against the real service with a worker."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from PIL import Image

from app.main import create_app
from tests.repository.test_documentation import reference
from tests.support.services.serving import listening
from tests.support.services.site import working

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/notebooks/first-forecast.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]
BARS = shapely.Point(-74.065, 4.667)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the notebook writes; HOTSLOT_DOCS_PICTURES=1 renews the picture of the documentation."""
    if os.environ.get("HOTSLOT_DOCS_PICTURES"):
        return NOTEBOOK.parent
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def printed(folder, settings, engine):
    """What the notebook prints and shows."""
    with listening(create_app(settings, engine)) as url, working(settings):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.support.notebooks", NOTEBOOK],
            cwd=folder,
            env={
                **os.environ,
                "HOTSLOT_URL": url,
                "MPLBACKEND": "Agg",
                "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
            },
            capture_output=True,
            text=True,
            timeout=1100,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_first_forecast_finds_the_bars_on_friday_night(printed, folder):
    assert "{'received': 4000, 'accepted': 4000, 'duplicates': 0, 'rejected': 0}" in printed
    assert "succeeded promoted: first version of this region" in printed
    scores = {
        model: [float(x) for x in re.search(rf"{model} +(\S+) +(\S+) +(\S+)", printed).groups()]
        for model in ("window-kde", "pooled-kde", "prior-counts")
    }
    n, log_score, share = scores["window-kde"]
    assert n > 200
    for rival in ("pooled-kde", "prior-counts"):
        assert log_score > scores[rival][1]
        assert 1 > share > scores[rival][2] > 0.1
    found = gpd.read_file(folder / "hotspots.gpkg")
    assert len(found) > 10
    metres = found.to_crs("EPSG:32618")
    bars = gpd.GeoSeries([BARS], crs="EPSG:4326").to_crs(metres.crs)[0]
    assert metres[metres["rank"] == 1].geometry.iloc[0].distance(bars) < 300
    assert metres.distance(bars).max() < 1500
    with Image.open(folder / "first-forecast.png") as picture:
        assert picture.size == (480, 400)


def test_the_notebook_has_no_outputs():
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_page_shows_every_cell_and_what_it_links_to_is_there():
    page = reference.notebook(NOTEBOOK)
    for cell in CELLS:
        assert "".join(cell["source"]) in page
    links = re.findall(r"\]\(([^)#:\s]+)", page)
    assert "first-forecast.png" in links
    assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []
