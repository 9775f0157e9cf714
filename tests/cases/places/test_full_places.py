"""The fullest place: a default geocode, or the mall (case 30)."""

import json
import random

import pytest
from typer.testing import CliRunner

from app.cli import app as command_line
from tests.cases.reports import answers, findings, forecast, report, warned

MALL = (-84.48, 39.12)
STATION = (-84.5, 39.1)
KINDS = ("Theft", "Assault", "Burglary", "Criminal damage")
BOX = [[-84.53, 39.08], [-84.44, 39.08], [-84.44, 39.15], [-84.53, 39.15], [-84.53, 39.08]]
BOUNDARY = {"type": "Polygon", "coordinates": [BOX]}
AT = "2026-11-28T16:00"


def _town(n=1_870, seed=0):
    draw = random.Random(seed)
    places = [(draw.uniform(-84.52, -84.45), draw.uniform(39.09, 39.14)) for _ in range(n)]
    return [_row(draw, place, range(24), KINDS, (5, 3, 2, 1)) for place in places]


def _row(draw, place, hours, kinds, weights=None):
    day = f"2026-{draw.randint(1, 11):02}-{draw.randint(1, 28):02}"
    hour = draw.choices(hours, weights=[1 + h / 12 for h in hours])[0]
    kind = draw.choices(kinds, weights=weights)[0]
    return f"{day}T{hour:02}:{draw.randint(0, 59):02}:00,{place[0]},{place[1]},{kind}"


def _pile(place, n, hours=range(24), kinds=KINDS, weights=(5, 3, 2, 1), seed=9):
    draw = random.Random(seed)
    return [_row(draw, place, hours, kinds, weights) for _ in range(n)]


def _csv(*parts):
    return "\n".join(["datetime,longitude,latitude,type", *(row for part in parts for row in part)])


def _expected_at(reply, place):
    cells = reply["cells"]
    near = min(
        range(len(cells["id"])),
        key=lambda i: abs(cells["longitude"][i] - place[0]) + abs(cells["latitude"][i] - place[1]),
    )
    return cells["probability"][near] * len(cells["id"])


@pytest.mark.slow
def test_the_mall_is_real(doors, engine, settings):
    door = doors(boundary=BOUNDARY)
    mall = _pile(MALL, 130, range(10, 21), ("Shoplifting",), (1,))
    sent = door.send("mall.csv", _csv(_town(), mall)).body
    assert (sent["accepted"], sent["warnings"]) == (2_000, [])
    found = report(door)
    assert findings(found)["busy_place"]["n"] == 130
    assert found["places"]["piles"] == []
    reply = forecast(door, engine, settings, AT)
    assert "default_geocodes_excluded" not in warned(reply)
    assert _expected_at(reply, MALL) > 20


@pytest.mark.slow
def test_the_station_is_named_and_the_policy_overrules(doors, engine, settings):
    door = doors(boundary=BOUNDARY)
    sent = door.send("station.csv", _csv(_town(), _pile(STATION, 130))).body
    (warning,) = sent["warnings"]
    named = {"n": 130, "longitude": STATION[0], "latitude": STATION[1]}
    assert warning["code"] == "default_geocode"
    assert {k: pytest.approx(v, abs=1e-5) for k, v in named.items()} == {
        k: warning["params"][k] for k in named
    }
    found = report(door)
    assert answers(found)[1:] == ("weakly", "next_check_places")
    assert findings(found)["default_geocode"]["n"] == 130
    reply = forecast(door, engine, settings, AT)
    assert warned(reply)["default_geocodes_excluded"] == {"n": 130, "n_points": 1}
    assert warned(reply)["default_geocodes_named"]["places"].endswith(" (130)")
    left_out = _expected_at(reply, STATION)

    _overrule(door, "keep", STATION)
    assert findings(report(door))["place_kept"]["n"] == 130
    reply = forecast(door, engine, settings, AT)
    assert "default_geocodes_excluded" not in warned(reply)
    assert _expected_at(reply, STATION) > 5 * left_out

    _overrule(door, "drop", STATION)
    assert findings(report(door))["place_dropped"]["n"] == 130
    assert warned(forecast(door, engine, settings, AT))["default_geocodes_excluded"]["n"] == 130
    audited = door.client.get("/v1/audit", params={"limit": 50}).text
    assert "drop_places" in audited


def _overrule(door, option, place):
    if door.way == "http":
        at = [{"longitude": place[0], "latitude": place[1]}]
        reply = door.client.put(f"{door.root}/learning-policy", json={f"{option}_places": at})
        assert reply.status_code == 200, reply.text
        found = reply.json()
    else:
        run = CliRunner().invoke(
            command_line, ["region", "policy", door.region, f"--{option}", f"{place[0]},{place[1]}"]
        )
        assert run.exit_code == 0, run.output
        found = json.loads(run.stdout)
    other = {"keep": "drop", "drop": "keep"}[option]
    assert len(found[f"{option}_places"]) == 1
    assert found[f"{other}_places"] == []


def test_names_that_the_region_does_not_have_are_refused(doors):
    door = doors(boundary=BOUNDARY)
    door.send("town.csv", _csv(_town(40)))
    path = f"{door.root}/learning-policy"
    nowhere = [{"longitude": -84.0, "latitude": 39.0}]
    for body, field, said in (
        ({"keep_places": nowhere}, "keep_places", "-84.00000, 39.00000"),
        ({"exclude_categories": ["theft "]}, "exclude_categories", "'theft '"),
    ):
        reply = door.client.put(path, json=body)
        assert (reply.status_code, reply.json()["field"]) == (422, field)
        assert said in reply.json()["detail"]
    both = {"include_categories": ["Theft"], "exclude_categories": ["Theft"]}
    assert "remove it from one" in door.client.put(path, json=both).json()["detail"]
    assert door.client.put(
        path, json={"drop_places": [{"longitude": 1e3, "latitude": 0}]}
    ).is_client_error


@pytest.mark.slow
def test_one_point_per_precinct_is_said_everywhere(doors, engine, settings):
    door = doors(boundary=BOUNDARY)
    draw = random.Random(5)
    corners = [(-84.52 + 0.02 * i, 39.09 + 0.015 * j) for i in range(4) for j in range(3)]
    rows = [_row(draw, draw.choice(corners), range(24), KINDS) for _ in range(600)]
    (warning,) = door.send("precincts.csv", _csv(rows)).body["warnings"]
    assert (warning["code"], warning["params"]["distinct"]) == ("few_places", 12)
    found = report(door)
    assert answers(found)[1:] == ("weakly", "next_larger_cells")
    assert findings(found)["few_places"]["n"] == 600
    assert found["places"]["piles"] == []
    told = warned(forecast(door, engine, settings, AT))["few_places"]
    assert told["distinct"] == 12
    assert 1_500 < told["nearest_m"] < 1_800
