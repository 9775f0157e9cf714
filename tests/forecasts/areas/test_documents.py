"""Sums of the forecast by areas: of a layer, or sent."""

import csv
import io

import pytest

from app.core.errors import InvalidInput
from app.forecasts.areas.documents import MAX_BUFFER_M, areas_geojson
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService

BASE = "/v1/regions/town"
AT = {"at": "2019-12-30T23:00"}


def ask(served, **params):
    asked = {**AT, "layer": "beats", **params}
    return served.client.get(f"{BASE}/forecasts/areas", params=asked).raise_for_status()


def test_sums_by_layer_are_those_of_its_polygons(served, beats):
    stored = served.client.get(f"{BASE}/layers/beats").json()
    own = ask(served).json()
    sent = {"areas": {k: stored[k] for k in ("type", "features")}, **AT}
    given = served.client.post(f"{BASE}/forecasts/areas", json=sent).json()
    assert (own["n_areas"], own["layer"]) == (7, "beats")
    for one, other in zip(own["features"], given["features"], strict=True):
        assert one["properties"].pop("name") == other["properties"].pop("name")
        assert one["properties"] == pytest.approx(other["properties"], rel=1e-9)
    bare = ask(served, geometry="false").json()
    for one, other in zip(bare["features"], own["features"], strict=True):
        assert one["properties"].items() >= other["properties"].items()
    assert {f["geometry"] for f in bare["features"]} == {None}
    lines = list(csv.DictReader(io.StringIO(ask(served, f="csv").text)))
    assert [line["name"] for line in lines] == [f"B{i}" for i in range(7)]
    counts = [f["properties"]["expected_count"] for f in own["features"]]
    assert [float(line["expected_count"]) for line in lines] == pytest.approx(counts)


@pytest.mark.parametrize("told", [{"id": 2**70}, {"properties": {"n": [2**70]}}])
def test_areas_with_integers_that_no_reply_can_tell_are_refused(served, told):
    point = {"type": "Point", "coordinates": [-74.06, 4.66]}
    body = {"window": 4, "areas": {"type": "Feature", "geometry": point, **told}}
    reply = served.client.post(f"{BASE}/forecasts/areas", json=body)
    assert (reply.status_code, reply.json()["field"]) == (422, "areas.features.0"), reply.text


@pytest.mark.parametrize("buffer_m", [0.0, MAX_BUFFER_M + 1])
def test_a_buffer_out_of_range_is_refused(served, settings, buffer_m):
    forecast = ForecastService(served.engine, settings).forecast("town", Selector(window=4))
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0.0, 0.0]}}
    with pytest.raises(InvalidInput, match="buffer_m must lie within"):
        areas_geojson(forecast, [point], buffer_m)
