"""QGIS itself, without a screen: its OGC API and XYZ providers, the project file and the styles."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.ecosystem.conftest import PREFIX
from tests.ecosystem.pictures import keep_file

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("qgis_script.py")
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def qgis(proxied, tmp_path_factory):
    """What QGIS says. It does not trust the proxy's certificate: it asks behind it, under the prefix."""
    probe = [PYTHON, "-c", "import qgis.core"]
    if (
        not Path(PYTHON).exists()
        or subprocess.run(probe, capture_output=True, check=False).returncode
    ):
        pytest.skip("there is no QGIS")
    folder = tmp_path_factory.mktemp("qgis")
    environment = {
        "QT_QPA_PLATFORM": "offscreen", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder),
        "QGIS_AUTH_DB_DIR_PATH": str(folder), "PATH": os.defpath,
    }  # fmt: skip
    folder.chmod(0o700)
    command = [PYTHON, SCRIPT, proxied.inner + PREFIX, proxied.keys["analyst"], str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    keep_file(folder / "qgis-zones.png", "qgis-zones.png")
    return json.loads(done.stdout.splitlines()[-1])


def test_the_project_opens_with_all_layers(qgis):
    assert qgis["read"]
    assert (qgis["title"], qgis["crs"]) == ("hotslot: Town", "EPSG:3857")
    assert set(qgis["layers"]) == {"zones", "hotspots", "streets", "neighbourhoods"}
    for name, layer in qgis["layers"].items():
        assert layer["valid"], name
        assert layer["n"] > 0, name
        assert layer["types"]["from"] == layer["types"]["data_until"] == "DateTime"
        assert (layer["renderer"], layer["uncoloured"]) == ("graduatedSymbol", 0), name
    assert qgis["tiles"] == {"provider": "wms", "valid": True}


def test_layers_and_tiles_are_drawn(qgis):
    assert qgis["colours"]["tiles"] > 5
    assert qgis["colours"]["zones"] > qgis["colours"]["tiles"]
    assert qgis["colours"]["streets"] > 3


def test_incidents_come_page_by_page(qgis, proxied):
    n = len(proxied.csv.read_text().splitlines()) - 1
    assert qgis["incidents"]["valid"]
    assert 0.95 * n < qgis["incidents"]["n"] <= n


def test_styles_are_taken(qgis):
    assert qgis["qml"] == {"ok": True, "renderer": "graduatedSymbol"}
    assert qgis["sld"] == {"ok": True, "renderer": "RuleRenderer"}


def test_a_filter_of_the_hour_asks_for_that_hour(qgis):
    assert qgis["filter"]
    assert qgis["filtered"]["n"] > 0
    assert len(qgis["filtered"]["hours"]) == 1
    assert qgis["filtered"]["hours"][0].startswith("2019-12-27T")
