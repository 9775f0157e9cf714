"""A region's streets over HTTP: stored, ranked, named, removed; mass is conserved throughout."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET

import geopandas as gpd
import numpy as np
import pytest
from sqlalchemy import func, select, text

from app.core.db.tables.street import street_shares
from app.forecasts.plan import Selector
from app.forecasts.streets.documents import DECIMALS
from app.forecasts.streets.reader import LoadedStreets
from app.forecasts.streets.schemas import StreetsForecast
from app.forecasts.streets.selection import chosen_streets, rows_in_bbox
from app.geo.study_area import to_metres
from app.geo.synthetic import synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from app.registry.store import get_version
from app.streets.documents import streets_geojson
from app.streets.layer import unpacked
from app.streets.places import place_name
from app.streets.schemas import StreetsReply
from app.streets.service import prepare_shares, shares_of, streets_of
from app.streets.snapping import SNAP_M, StreetGround
from app.streets.store import drop_shares, without_shares
from models.streets.ranking import M_PER_KM
from tests.support.services.served import served

__all__ = ["served"]
AT = {"at": "2019-12-27T23:00"}
PATH = "/v1/regions/town/streets"
GEOJSON = {"content-type": "application/geo+json"}


@pytest.fixture(scope="module")
def stored(served):
    """What the service says of the layer that it was sent."""
    before = served.client.get("/v1/regions/town/forecasts/streets", params=AT)
    assert (before.status_code, before.json()["code"]) == (404, "no_streets")
    assert served.client.get(PATH).status_code == 404
    assert "place" not in hotspots(served)[0]["properties"]
    drawn = synthetic_streets(synthetic_city().area, 200.0)
    reply = served.client.put(PATH, content=json.dumps(drawn), headers=GEOJSON)
    assert reply.status_code == 200, reply.text
    at_once = served.client.get("/v1/regions/town/forecasts/streets", params=AT)
    assert at_once.status_code == 200, at_once.text
    return StreetsReply.model_validate(reply.json())


@pytest.fixture(scope="module")
def chosen(served, stored):
    """The forecast on streets, all of them."""
    service = served.client.app.state.forecasts
    forecast = service.forecast("town", Selector(window=119))
    found = chosen_streets(forecast, service.streets, 100.0)
    assert isinstance(found.streets, LoadedStreets)
    return found


def hotspots(served, **more):
    asked = {**AT, "n_cells": 5, **more}
    return served.client.get("/v1/regions/town/forecasts/hotspots", params=asked).json()["features"]


def ranked(served, **more):
    reply = served.client.get("/v1/regions/town/forecasts/streets", params={**AT, **more})
    assert reply.status_code == 200, reply.text
    return reply


def test_the_layer_covers_the_study_area(served, stored, engine):
    assert stored.n_segments == stored.n_named > 2_000
    assert served.client.get(PATH).json() == json.loads(stored.model_dump_json())
    assert streets_of(engine, "town")[1] is False
    features = served.client.get(PATH, params={"f": "geojson"}).json()["features"]
    length_m = sum(f["properties"]["length_m"] for f in features)
    assert length_m == pytest.approx(stored.length_km * M_PER_KM, rel=1e-5)
    xy = np.concatenate([f["geometry"]["coordinates"] for f in features])
    west, south, east, north = synthetic_city().area.polygon_m.bounds
    x_m, y_m = to_metres(xy[:, 0], xy[:, 1], synthetic_city().area.crs)
    assert west - 0.1 < x_m.min() < x_m.max() < east + 0.1
    assert south - 0.1 < y_m.min() < y_m.max() < north + 0.1


def test_lines_to_draw_lie_on_the_streets(served, stored, chosen):
    reply = served.client.get(f"{PATH}/lines", params={"tolerance_m": 5})
    body = reply.json()
    assert len(reply.content) < 100_000
    steps = [np.reshape(line[1:], (-1, 2)) for line in body["lines"]]
    drawn = np.concatenate([np.cumsum(one, axis=0) * body["units"] for one in steps])
    crs = served.grid.crs
    ground = StreetGround(chosen.streets.layer.network(crs), served.grid)
    assert (ground.lixel_of(*to_metres(drawn[:, 0], drawn[:, 1], crs)) >= 0).all()
    assert {body["names"][line[0]] for line in body["lines"]} == set(chosen.streets.layer.names)
    again = served.client.get(f"{PATH}/lines", headers={"if-none-match": reply.headers["etag"]})
    assert again.status_code == 304


def test_places_snap_to_the_nearest_street(served, chosen):
    network = chosen.streets.layer.network(served.grid.crs)
    ground = StreetGround(network, served.grid)
    start, end = np.split(ground.bits.ends_m, 2, axis=1)
    way = end - start
    middle = network.xy_m.mean(axis=0)
    places = middle + np.random.default_rng(0).uniform(-900, 900, (40, 2))
    found = ground.lixel_of(*places.T)
    for place, lixel in zip(places, found, strict=True):
        along = ((place - start) * way).sum(axis=1) / (way**2).sum(axis=1)
        nearest = start + way * np.clip(along, 0, 1)[:, None]
        away = np.hypot(*(nearest - place).T)
        assert lixel == (ground.bits.lixel[away.argmin()] if away.min() <= SNAP_M else -1)
    assert (found >= 0).any()
    assert (found < 0).any()


def test_the_mass_of_cells_is_shared_among_streets(chosen):
    forecast = chosen.forecast
    with_streets = np.asarray(chosen.shares.matrix.sum(axis=0)) > 0
    assert with_streets.mean() > 0.95
    on_streets = forecast.count_share[with_streets].sum()
    assert chosen.count_share.sum() == pytest.approx(on_streets, abs=1e-6)
    assert chosen.shares.n_incidents > 3_000
    assert chosen.shares.bandwidth_m is not None


def test_segments_are_ranked_by_expected_incidents_per_km(served, chosen):
    body = ranked(served, top=3).json()
    StreetsForecast.model_validate(body)
    listed = [f["properties"] for f in body["features"]]
    per_km = [one["per_km"] for one in listed]
    assert per_km == sorted(per_km, reverse=True)
    assert 0.025 < body["share_of_length"] <= 0.03
    assert sum(one["expected_count"] for one in listed) == pytest.approx(body["expected_count"])
    # The densest streets catch more than their length, and the whole city's expect all.
    assert body["share_of_incidents_expected"] > 2 * body["share_of_length"]
    everything = ranked(served, top=100).json()
    total = everything["expected_count"] + everything["expected_off_streets"]
    assert total == pytest.approx(everything["expected_total"], rel=1e-5)
    best = chosen.expected_count / chosen.length_m
    assert listed[0]["id"] == int(best.argmax())
    layer = chosen.streets.layer
    for one in body["features"][:20]:
        place = layer.degrees[layer.start[one["id"]] : layer.start[one["id"] + 1]]
        assert one["geometry"] == {"type": "LineString", "coordinates": place.tolist()}


def test_ranges_categories_boxes_and_formats(served, chosen, tmp_path):
    span = {"from": "2019-12-27T22:00", "to": "2019-12-28T06:00"}
    asked = {**span, "category": "theft", "top": 1}
    path = "/v1/regions/town/forecasts/streets"
    both = {
        fmt: served.client.get(path, params={**asked, "f": fmt})
        for fmt in ("geojson", "csv", "gpx", "gpkg")
    }
    features = both["geojson"].json()["features"]
    rows = list(csv.DictReader(io.StringIO(both["csv"].text)))
    assert [int(row["id"]) for row in rows] == [f["id"] for f in features]
    said = features[0]["properties"]
    assert said["from"] == said["at"] == "2019-12-27T22:00:00-05:00"
    assert said["to"] == "2019-12-28T06:00:00-05:00"
    file = tmp_path / "streets.gpkg"
    file.write_bytes(both["gpkg"].content)
    frame = gpd.read_file(file, layer="streets")
    assert frame["id"].tolist() == [f["id"] for f in features]
    for one in (rows[0], frame.iloc[0]):
        for name in ("region", "model", "model_version", "state", "data_until", "from", "to"):
            assert one[name] == said[name], name
        assert one["warnings"] == "; ".join(
            w["message"] for w in both["geojson"].json()["warnings"]
        )
    drawn = np.array(frame.geometry[0].geoms[0].coords)
    assert drawn == pytest.approx(np.array(features[0]["geometry"]["coordinates"]), abs=1e-9)
    assert len(rows[0]["longitude"].rpartition(".")[2]) <= DECIMALS
    tracks = ET.fromstring(both["gpx"].content).findall("{*}trk")
    assert len(tracks) == len(features)
    assert features[0]["properties"]["name"] in tracks[0].findtext("{*}name")
    assert served.client.get(path, params={**AT, "f": "parquet"}).content[:4] == b"PAR1"
    longitude, latitude = features[0]["geometry"]["coordinates"][0]
    box = (longitude - 0.002, latitude - 0.002, longitude + 0.002, latitude + 0.002)
    within = ranked(served, top=100, bbox=",".join(map(str, box))).json()
    assert features[0]["id"] in [f["id"] for f in within["features"]]
    assert within["n_segments_total"] == len(rows_in_bbox(chosen.streets, box)) < 60
    nowhere = {**AT, "bbox": "-74.5,4.9,-74.4,5.0"}
    assert served.client.get(path, params=nowhere).status_code == 422
    assert served.client.get(path, params={**AT, "top": 0}).status_code == 422


def test_places_are_named_by_crossings(served, chosen):
    layer = chosen.streets.layer
    found = hotspots(served)[0]["properties"]
    names = chosen.streets.names
    grid = served.grid
    longitude, latitude = chosen.forecast.cells.centres
    row = int(grid.rows_of_ids(np.array([found["id"]]))[0])
    assert found["place"] == place_name(names, longitude[row], latitude[row])
    first, second = found["place"].split(" / ")
    assert {first, second} <= set(layer.names)
    of_first, of_second = (
        set(layer.node[layer.name == layer.names.index(one)].ravel()) for one in (first, second)
    )
    assert of_first & of_second, "the named streets meet"
    assert place_name(names, 0.0, 0.0) is None
    dissolved = hotspots(served, dissolve=True)[0]["properties"]
    assert dissolved["place"] == found["place"]
    zones = served.client.get(
        "/v1/regions/town/forecasts/zones", params={**AT, "max_km2": 1}
    ).json()
    assert all(" / " in zone["properties"]["place"] for zone in zones["features"])


def test_shares_are_made_once_and_removed_with_the_data(served, stored, engine):
    with engine.connect() as connection:
        version = get_version(connection, served.data.region.key)
        assert without_shares(connection) == []
        assert connection.scalar(select(func.count()).select_from(street_shares)) == 1
    made = shares_of(engine, served.data.region, version)
    with engine.begin() as connection:
        drop_shares(connection, served.data.region.key)
        assert without_shares(connection) == [("town", stored.digest, version.version)]
    prepare_shares(engine, "town")
    again = shares_of(engine, served.data.region, version)
    assert abs(made.matrix - again.matrix).max() < 1e-6
    with engine.begin() as connection:
        drop_shares(connection, served.data.region.key)
        connection.execute(
            text(
                "INSERT INTO erasures (region_key, what, n_incidents) VALUES (:key, 'incident', 1)"
            ),
            {"key": served.data.region.key},
        )
    by_length = shares_of(engine, served.data.region, version)
    assert (by_length.bandwidth_m, by_length.n_incidents) == (None, 0)


def test_a_stored_layer_reads_back(chosen):
    layer = chosen.streets.layer
    content, digest = layer.packed()
    again = unpacked(content)
    assert again.packed() == (content, digest)
    assert streets_geojson(again) == streets_geojson(layer)


def test_the_layer_is_removed(served, stored):
    assert served.client.delete(PATH).status_code == 204
    assert served.client.delete(PATH).status_code == 404
    gone = served.client.get("/v1/regions/town/forecasts/streets", params=AT)
    assert (gone.status_code, gone.json()["code"]) == (404, "no_streets")
    assert "place" not in hotspots(served)[0]["properties"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"name,x\n", 415, "unsupported_media_type"),
        (b'{"type":"FeatureCollection","features":[]}', 422, None),
        (
            json.dumps(synthetic_streets(synthetic_city().area)).replace("-7", "17").encode(),
            422,
            None,
        ),
    ],
)
def test_files_without_streets_of_the_region_are_refused(served, content, status, code):
    reply = served.client.put(PATH, content=content, headers=GEOJSON)
    assert reply.status_code == status, reply.text
    assert code is None or reply.json()["code"] == code
