"""Bands: around the expected counts of a trained version, absent where nothing is known of them."""

import csv
import io

import numpy as np
import pytest
from fastapi.testclient import TestClient
from rasterio.io import MemoryFile

from app.forecasts.versions.tables import log_variance
from app.main import create_app
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from models.bands import Band
from tests.support.simulated.town import add_town, draw_town

PATH = "/v1/regions/town/forecasts"
AT = {"at": "2019-12-31T23:00"}


@pytest.fixture(scope="module")
def client(engine, settings, tmp_path_factory):
    add_town(engine, settings, draw_town(tmp_path_factory.mktemp("town") / "town.csv"))
    for model in ("pooled-kde", "maf"):
        request = TrainingRequest(model=model, validate=False, seed=0)
        assert run_now(engine, settings, "town", request, lambda _s, _m: None).status == "succeeded"
    with TestClient(create_app(settings, engine)) as made:
        yield made


def cells(client, **params):
    reply = client.get(f"{PATH}/density", params={"model": "maf", **AT, **params})
    assert reply.status_code == 200, reply.text
    return {
        name: np.array(column) for name, column in reply.json()["cells"].items() if name != "id"
    }


@pytest.mark.parametrize("params", [{}, {"cell_size_m": 730}, {"to": "2020-01-01T05:00"}])
def test_they_are_around_the_expected_count(client, params):
    """On other cells and for several hours too."""
    if "to" in params:
        params = {"at": None, "from": AT["at"], **params}
    params = {name: value for name, value in {**AT, **params}.items() if value is not None}
    reply = client.get(f"{PATH}/density", params={"model": "maf", **params})
    assert reply.status_code == 200, reply.text
    shown = reply.json()["cells"]
    low, middle, high = (np.array(shown[n]) for n in ("band_lo", "expected_count", "band_hi"))
    assert len(low) == len(middle) > 100
    assert ((low > 0) & (low < middle) & (middle < high)).all()
    np.testing.assert_allclose(np.sqrt(low * high), middle, rtol=2e-3)
    assert 1.05 < np.median(high / middle) < 12


@pytest.mark.parametrize(
    "params", [{"cell_size_m": 120}, {"cell_size_m": 2600}, {"grid": "h3", "resolution": 7}]
)
def test_other_cells_are_off_as_those_that_they_are_made_of(client, params):
    """Larger cells are in between, the smaller ones of one cell as far off as it."""

    def factors(shown):
        return np.sqrt(shown["band_hi"] / shown["band_lo"])

    own, other = factors(cells(client)), factors(cells(client, **params))
    assert own.min() * 0.999 < other.min()
    assert other.max() < own.max() * 1.001
    if "cell_size_m" in params:
        weight = cells(client)["probability"]
        mean = np.exp((weight * np.log(own)).sum())
        shown = cells(client, **params)
        again = np.exp((shown["probability"] * np.log(factors(shown))).sum())
        assert again == pytest.approx(mean, rel=1e-3)


def test_bands_are_wider_where_little_happened(client):
    """More data say more."""
    shown = cells(client)
    off = shown["band_hi"] / shown["band_lo"]
    order = np.argsort(shown["probability"])
    tenth = len(order) // 10
    assert np.median(off[order[:tenth]]) > np.median(off[order[-tenth:]])


def test_what_is_not_known_is_absent(client):
    assert "band_lo" not in cells(client, model="pooled-kde")
    category = client.get("/v1/regions/town/models").json()["models"][0]["categories"][0]
    assert "band_lo" not in cells(client, category=category)


def test_files_have_them_too(client):
    params = {"model": "maf", **AT, "f": "csv"}
    rows = list(csv.DictReader(io.StringIO(client.get(f"{PATH}/density", params=params).text)))
    shown = cells(client)
    np.testing.assert_allclose([float(r["band_hi"]) for r in rows], shown["band_hi"])
    features = client.get(f"{PATH}/density", params={**params, "f": "geojson"}).json()["features"]
    np.testing.assert_allclose([f["properties"]["band_lo"] for f in features], shown["band_lo"])
    with MemoryFile(
        client.get(f"{PATH}/density", params={**params, "f": "tif"}).content
    ).open() as f:
        assert f.descriptions[-2:] == ("band_lo", "band_hi")
        assert f.read(7).max() == pytest.approx(shown["band_hi"].max(), rel=1e-3)
    listed = client.get(f"{PATH}/hotspots", params={"model": "maf", **AT, "top": 5}).json()
    assert {"band_lo", "band_hi"} <= listed["features"][0]["properties"].keys()


def test_the_version_says_how_far_it_may_be_off(client):
    models = client.get("/v1/regions/town/models").json()["models"]
    band = next(m["report"]["band"] for m in models if m["model"] == "maf")
    assert band["coverage"] == 0.9
    assert 1.05 < band["median_factor"] < 12


def test_several_hours_are_weighted_by_their_counts():
    loading = np.arange(168.0)[:, None] / 100
    band = Band(loading, np.array([[1.0, 3.0]]))
    found = log_variance(band, np.array([10, 30]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, 0.15 * band.variance[0])
    quiet = log_variance(band, np.array([10, 30]), np.zeros(2))
    np.testing.assert_allclose(quiet, 0.2 * band.variance[0])
    assert log_variance(None, np.array([1]), np.ones(1)) is None
