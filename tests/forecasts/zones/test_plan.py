"""Zones with their hours, places to avoid, plans edited by hand and plans that follow one another."""

import csv
import io

import geopandas as gpd
import numpy as np
import pytest

from app.regions.store import get_region, set_neighbourhoods
from tests.support.simulated.town import halves

BASE = "/v1/regions/town/forecasts/zones"
SPAN = {"from": "2019-12-30T20:00", "to": "2019-12-31T02:00", "max_km2": 2, "n": 3}


@pytest.fixture(scope="module")
def parted(served):
    """The town with a west and an east half."""
    with served.engine.begin() as connection:
        key = get_region(connection, "town").key
        parts = {"type": "FeatureCollection", "features": halves()}
        set_neighbourhoods(connection, key, parts)
    return served


def get(served, **params):
    given = {name: value for name, value in {**SPAN, **params}.items() if value is not None}
    reply = served.client.get(BASE, params=given)
    assert reply.status_code == 200, reply.text
    return reply.json()


def post(served, body, **params):
    reply = served.client.post(BASE, params={**SPAN, **params}, json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def cells(body):
    return [feature["properties"]["cells"] for feature in body["features"]]


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"category": "theft"}, {"grid": "h3", "resolution": 8}])
def test_hours_sum_to_the_expected_count(parted, more):
    names = list(parted.data.categories)
    if "category" in more:
        more = {"category": names[1]}
    body = get(parted, **more)
    assert len(body["hours"]) == body["n_slots"] == 6
    assert body["hours"][0] == body["from"] == body["at"]
    assert sum(body["expected_by_hour"]) == pytest.approx(body["expected_total"], rel=1e-5)
    for feature in body["features"]:
        about = feature["properties"]
        assert sum(about["hours"]) == pytest.approx(about["expected_count"], rel=1e-6)
    one = get(parted, **{"from": None, "to": None, "at": "2019-12-30T20:00"})
    first = post(parted, {"zones": cells(one)})
    assert first["features"][0]["properties"]["hours"][0] == pytest.approx(
        one["features"][0]["properties"]["expected_count"], rel=1e-6
    )


@pytest.mark.slow
def test_no_zone_lies_where_it_must_not(parted):
    body = get(parted)
    taken = cells(body)[0][0]
    without = get(parted, avoid=str(taken))
    assert taken not in {cell for zone in cells(without) for cell in zone}
    assert without["share_of_incidents_expected"] <= body["share_of_incidents_expected"]
    assert cells(post(parted, {"avoid": [taken]})) == cells(without)
    place = body["features"][0]["properties"]["place"]
    other = get(parted, avoid=f"neighbourhoods:{place}")
    assert {f["properties"]["place"] for f in other["features"]} == {"west", "east"} - {place}
    halves_avoided = ["neighbourhoods:west", "neighbourhoods:east"]
    for wrong, status in (("nowhere", 422), ("beats:D1", 404), (halves_avoided, 422)):
        reply = parted.client.get(BASE, params={**SPAN, "avoid": wrong})
        assert reply.status_code == status, reply.text


def test_a_given_plan_is_priced_against_the_best(parted):
    best = get(parted)
    same = post(parted, {"zones": cells(best)})
    assert cells(same) == cells(best)
    told = [feature["properties"] for feature in same["features"]]
    assert told == [feature["properties"] for feature in best["features"]]
    assert same["price"]["share_lost"] == pytest.approx(0, abs=1e-9)
    fewer = post(parted, {"zones": cells(best)[:-1]})
    lost = best["features"][-1]["properties"]["probability"]
    share = best["share_of_incidents_expected"]
    assert fewer["price"]["share_lost"] == pytest.approx(lost / share)
    assert fewer["price"]["share_of_incidents_best"] == pytest.approx(share)
    assert fewer["price"]["best"] == cells(best)


@pytest.mark.slow
def test_the_plan_before_stays_or_moves(parted):
    best = get(parted)
    same = post(parted, {"previous": cells(best)})
    assert cells(same) == cells(best)
    assert [one["status"] for one in same["previous"]["zones"]] == ["kept"] * len(cells(best))
    assert {f["properties"]["status"] for f in same["features"]} == {"kept"}
    worst = int(parted.grid.cell_id[np.argmin(parted.tables.sum(axis=0))])
    moved = post(parted, {"previous": [[worst]]})
    assert moved["previous"]["moved"] == 1
    assert cells(moved) == cells(best)


def test_every_format_says_what_it_is_of(parted, tmp_path):
    body = get(parted)
    reply = parted.client.get(BASE, params={**SPAN, "f": "gpkg"})
    assert reply.headers["content-type"] == "application/geopackage+sqlite3"
    path = tmp_path / "zones.gpkg"
    path.write_bytes(reply.content)
    frame = gpd.read_file(path, layer="zones")
    told = [feature["properties"] for feature in body["features"]]
    for name in ("region", "model", "model_version", "state", "utc_offset"):
        assert frame[name].tolist() == [one[name] for one in told]
    assert frame["expected_count"].tolist() == pytest.approx(
        [one["expected_count"] for one in told]
    )
    assert frame["cells"].tolist() == [" ".join(map(str, one["cells"])) for one in told]
    assert (told[0]["at"], told[0]["to"]) == (body["from"], body["to"])
    assert told[0]["from"] == told[0]["at"]
    warned = "; ".join(one["message"] for one in body["warnings"])
    assert warned
    lines = list(
        csv.DictReader(io.StringIO(parted.client.get(BASE, params={**SPAN, "f": "csv"}).text))
    )
    for rows in (lines, frame.to_dict("records")):
        for row, one in zip(rows, told, strict=True):
            assert row["warnings"] == warned
            assert row["neighbourhood"] == one["neighbourhood"] in {"west", "east"}
    text = parted.client.get(BASE, params={**SPAN, "f": "gpx"}).text
    for name in ("region", "model_version", "state", "data_until", "at", "to"):
        assert str(told[0][name]) in text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"zones": [[-1]]}, "zones"),
        ({"zones": [[10**9]]}, "zones.0"),
        ({"zones": []}, "zones"),
        ({"zones": [[]]}, "zones"),
        ({"zones": [list(range(300))]}, "zones"),
        ({"previous": [[1]], "zones": [[1]]}, "not both"),
        ({"cells": []}, "cells"),
    ],
)
def test_what_cannot_be_is_refused_by_name(served, body, field):
    reply = served.client.post(BASE, params=SPAN, json=body)
    assert reply.status_code == 422, reply.text
    assert field in str(reply.json())


def test_a_cell_may_not_be_in_two_zones(served):
    cell = int(served.grid.cell_id[0])
    reply = served.client.post(BASE, params=SPAN, json={"zones": [[cell], [cell]]})
    assert reply.status_code == 422
    assert "twice" in reply.json()["detail"]
