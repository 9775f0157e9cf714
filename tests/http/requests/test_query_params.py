"""Every documented query parameter changes the answer or is refused; a repeated one is refused."""

import json
from datetime import timedelta

import pytest
import shapely

from app.geo.synthetic import synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from tests.support.services.served import NEW

TOWN = "/v1/regions/town"
WEEK = {"from": "2019-12-26T00:00", "to": "2019-12-27T00:00"}
AT = {"at": "2019-12-31T23:00"}
SMALL, OTHER = "-74.07,4.6,-74.05,4.7", "-74.2,4.5,-74.07,4.8"
# Two values of each parameter that ask for different things.
VALUES = {
    "action": ("ingest", "promotion"),
    "actor": ("local", "nobody"),
    "area_km2": ("2", "10"),
    "date": ("2019-12-30", "2019-12-31"),
    "inside": ("beats:west", "beats:east"),
    "layer": ("beats", "bands"),
    "shift": ("early", "night"),
    "as_of": ("2019-12-10", "2020-01-01"),
    "at": ("2019-12-31T23:00", "2019-12-31T04:00"),
    "bbox": (SMALL, OTHER),
    "before": ("1", "1000"),
    "cell_size_m": ("500", "1000"),
    "cells": ("false", "true"),
    "chain": ("town", "other"),
    "columns": ("category=a", "category=b"),
    "compactness": ("0.8", "2"),
    "compare": ("false", "true"),
    "cursor": ("MjAxOS0wMS0wMlQwMDowMDowMCswMDowMHww", "MjAxOS0wNi0wMlQwMDowMDowMCswMDowMHww"),
    "datetime": ("2019-01-01/2019-02-01", "2019-03-01/2019-04-01"),
    "dissolve": ("false", "true"),
    "f": ("geojson", "csv"),
    "from": (WEEK["from"], "2019-12-26T06:00"),
    "grid": ("square", "h3"),
    "limit": ("1", "2"),
    "max_km2": ("0.5", "3"),
    "min_separation_m": ("600", "3000"),
    "model": ("truth", "flat"),
    "n": ("3", "4"),
    "n_cells": ("3", "4"),
    "reporting": ("west=0.5", "west=0.9"),
    "resolution": ("7", "8"),
    "seed": ("1", "2"),
    "state": ("frozen", "1"),
    "to": (WEEK["to"], "2019-12-26T20:00"),
    "top": ("1", "20"),
    "upload": ("1", "2"),
    "weight": ("harm", "other"),
    "window": ("3", "77"),
}
# What a parameter needs beside it, by the end of the path and the name.
BESIDE = {
    ("density", "resolution"): {"grid": "h3"},
    ("hotspots", "resolution"): {"grid": "h3"},
    ("zones", "resolution"): {"grid": "h3", "max_km2": "10"},
    **{
        ("zones", name): {"max_km2": "3"}
        for name in (
            *("n", "cell_size_m", "grid", "min_separation_m", "category", "bbox", "as_of"),
            *("inside", "within", "avoid", "record"),
        )
    },
    ("series", "cell_size_m"): {"cells": "true"},
    ("series", "grid"): {"cells": "true"},
    ("series", "resolution"): {"cells": "true", "grid": "h3"},
    ("samples", "n"): {"seed": "1"},
    **{
        ("areas", name): {"layer": "beats"}
        for name in (
            *("at", "window", "from", "to", "shift", "date", "category", "model", "as_of"),
            *("state", "f", "bbox", "geometry"),
        )
    },
    **{
        ("explain", name): {"cell": "101"}
        for name in (
            *("at", "window", "from", "to", "shift", "date", "category", "model", "as_of"),
            "state",
        )
    },
}
OWN = {
    ("areas", "geometry"): ("false", "true"),
    ("zones", "avoid"): ("101,102,103", "beats:west"),
    ("zones", "within"): ("beats", "bands"),
    ("zones", "record"): ("false", "true"),
    ("presence", "from"): ("2019-12-01", "2019-12-26T00:00Z"),
    ("presence", "to"): ("2019-12-26T00:00Z", "2020-01-01"),
    ("presence", "unit"): ("car 1", "car 2"),
    ("register", "f"): ("json", "csv"),
    ("lines", "tolerance_m"): ("1", "80"),
    ("worth", "delay_days"): ("0", "90"),
    ("zones", "n"): ("1", "4"),
    ("explain", "cell"): ("100", "101"),
    ("explain", "cells"): ("100,101", "101,102"),
    ("outcomes", "model"): ("truth", "flat"),
    ("density", "f"): ("json", "csv"),
    ("series", "f"): ("json", "csv"),
    ("fairness-report", "f"): ("json", "html"),
    ("data-report", "f"): ("json", "html"),
    ("card", "f"): ("json", "html"),
}
NOT_TRIED = {
    ("cap", "f"): "needs a finished backtest; tests/evaluation/backtests/test_backtests.py",
    ("calibration", "f"): "needs a finished backtest; tests/evaluation/backtests/test_backtests.py",
    ("zones", "lang"): "of the PDF; tests/forecasts/zones/test_briefing.py",
    ("zones", "paper"): "of the PDF; tests/forecasts/zones/test_briefing.py",
    ("outcomes", "date"): "goes with a shift, which outcomes refuse",
    ("presence", "cursor"): "made by the page before; tests/presence/test_service.py",
    ("deliveries", "state"): "needs a subscription; tests/subscriptions/test_routes.py",
    ("deliveries", "limit"): "needs a subscription; tests/subscriptions/test_routes.py",
    ("register", "cursor"): "made by the page before; tests/register/test_filing.py",
    (
        "fairness-report",
        "reporting",
    ): "needs neighbourhoods; tests/evaluation/fairness/test_fairness.py",
}


@pytest.fixture(scope="module")
def furnished(served, settings):
    """The city with two layers, streets, and somebody's presence."""
    settings.presence_retention_days = 36_500  # the synthetic city is of 2019
    client, geojson = served.client, {"Content-Type": "application/geo+json"}
    area = synthetic_city().area
    west, south, east, north = shapely.geometry.shape(area.to_geojson()).bounds
    middle = (west + east) / 2, (south + north) / 2
    layers = {
        "beats": {"west": (west, south, middle[0], north), "east": (middle[0], south, east, north)},
        "bands": {"low": (west, south, east, middle[1]), "high": (west, middle[1], east, north)},
    }
    for name, areas in layers.items():
        features = [
            {
                "type": "Feature",
                "properties": {"name": one},
                "geometry": shapely.geometry.mapping(shapely.box(*box)),
            }
            for one, box in areas.items()
        ]
        body = json.dumps({"type": "FeatureCollection", "features": features})
        client.put(f"{TOWN}/layers/{name}", content=body, headers=geojson).raise_for_status()
    streets = json.dumps(synthetic_streets(area, 200.0))
    client.put(f"{TOWN}/streets", content=streets, headers=geojson).raise_for_status()
    cell = int(served.grid.cell_id[40])
    rows = [
        {
            "from": start.isoformat(),
            "to": (start + timedelta(hours=1)).isoformat(),
            "activity": "patrol",
            "unit": unit,
            "cell": cell,
        }
        for unit, start in (("car 1", NEW), ("car 2", NEW + timedelta(days=2)))
    ]
    client.post(f"{TOWN}/presence", json=rows).raise_for_status()
    client.post(f"{TOWN}/register").raise_for_status()
    return served


def gets(document):
    """(path, name of the parameter) of every query parameter of every GET; OGC API has tests of its own."""
    for path, item in document["paths"].items():
        if path.startswith("/ogc"):
            continue
        for parameter in item.get("get", {}).get("parameters", []):
            if parameter["in"] == "query":
                yield path, parameter["name"]


def address_of(path, version):
    for name, value in {
        "region": "town", "version": version, "z": "10", "x": "301", "y": "498",
    }.items():  # fmt: skip
        path = path.replace("{" + name + "}", value)
    assert "{" not in path, path
    return path


def asked(path, name, value, beside):
    """The query: the parameter, what it needs, and a time unless it is one."""
    query = dict(beside)
    if "/forecasts/" in path or "/tiles/" in path:
        if name == "date":
            query = {"shift": "night", **query}
        elif name == "shift":
            query = {"date": "2019-12-30", **query}
        elif name in ("from", "to"):
            query = {**WEEK, **query}
        elif path.endswith("outcomes"):
            query = {**({} if name in ("at", "window") else WEEK), **query}
        elif name not in ("at", "window"):
            query = {**AT, **query}
    return {**query, name: value}


def content_of(reply):
    """The reply without the moment it was made at."""
    if "json" not in reply.headers["content-type"]:
        return reply.content
    body = reply.json()
    body.pop("generated_at", None)
    return body


@pytest.mark.slow
def test_every_parameter_of_every_route_is_obeyed_or_refused(furnished):
    served = furnished
    client = served.client
    version = client.get(f"{TOWN}/models").json()["champion"]
    ignored = []
    for path, name in gets(client.get("/openapi.json").json()):
        key = (path.rsplit("/", 1)[-1], name)
        if key in NOT_TRIED:
            continue
        kinds = served.data.categories
        values = kinds[:2] if name == "category" else OWN.get(key) or VALUES[name]
        replies = [
            client.get(
                address_of(path, version), params=asked(path, name, value, BESIDE.get(key, {}))
            )
            for value in values
        ]
        assert all(r.status_code < 500 for r in replies), (path, name, replies)
        fields = [r.json().get("field") for r in replies if r.status_code == 422]
        refused = bool(fields) and all(f == name or name in str(f) for f in fields)
        if not refused and content_of(replies[0]) == content_of(replies[1]):
            ignored.append((path, name, [r.status_code for r in replies]))
    assert ignored == []


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("forecasts/density", "window=3&window=5", "window"),
        ("forecasts/density", "window=3&window=3", "window"),
        ("forecasts/samples", "window=3&seed=1&seed=", "seed"),
        ("incidents", "limit=1&limit=2", "limit"),
        ("tiles/1/0/0.png", "model=truth&model=flat", "model"),
    ],
)
def test_a_repeated_parameter_is_refused(served, path, query, field):
    reply = served.client.get(f"{TOWN}/{path}?{query}")
    assert reply.status_code == 422
    body = reply.json()
    assert (body["code"], body["field"]) == ("repeated_parameter", field)
    assert "give it once" in body["detail"]


def test_a_list_may_be_repeated(served):
    columns = "columns=occurred_at%3DA&columns=category%3DB"
    reply = served.client.post(
        f"{TOWN}/incidents?{columns}&dry_run=true",
        content=b"A,longitude,latitude,B\n2019-02-01T00:00:00Z,-74.06,4.65,theft\n",
        headers={"Content-Type": "text/csv"},
    )
    assert reply.json()["received"] == 1


@pytest.mark.parametrize(
    ("path", "bbox", "says"),
    [
        ("forecasts/density?window=3&", "4.6,-74.07,4.7,-74.05", "send -74.07,4.6,-74.05,4.7"),
        ("forecasts/outcomes?", "4.6,-74.07,4.7,-74.05", "send -74.07,4.6,-74.05,4.7"),
        ("forecasts/density?window=3&", "-74.07,-74.05,4.6,4.7", "send -74.07,4.6,-74.05,4.7"),
        ("incidents?", "4.6,-74.07,4.7,-74.05", "send -74.07,4.6,-74.05,4.7"),
        ("incidents?", "-74.07,-74.05,4.6,4.7", "send -74.07,4.6,-74.05,4.7"),
        ("incidents?", "-74.07,4.7,-74.05,4.6", "south 4.7 is above north 4.6"),
        ("incidents?", "-74.05,4.6,-74.07,4.7", "west -74.05 is east of east -74.07"),
        ("incidents?", "4.6,-174.1,4.7,-174.0", "longitude first"),
        ("incidents?", "-200,0,0,1", "west -200"),
    ],
)
def test_a_box_in_another_order_is_refused_with_the_right_one(served, path, bbox, says):
    reply = served.client.get(f"{TOWN}/{path}bbox={bbox}")
    assert reply.status_code == 422
    assert reply.json()["field"] == "bbox"
    assert says in reply.json()["detail"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("forecasts/series?window=3&cell_size_m=1000", "cell_size_m"),
        ("forecasts/series?window=3&cells=true&f=csv", "cells"),
        ("forecasts/hotspots?window=3&top=5&n_cells=3", "top"),
        ("tiles/tilejson.json?window=3&grid=h3", "grid"),
    ],
)
def test_what_would_have_no_effect_is_refused(served, path, field):
    reply = served.client.get(f"{TOWN}/{path}")
    assert (reply.status_code, reply.json()["field"]) == (422, field)


def test_outcomes_of_a_box_are_those_of_its_incidents(served):
    west, south, east, north = map(float, SMALL.split(","))
    url = f"{TOWN}/forecasts/outcomes"
    city = served.client.get(url, params=WEEK).json()
    box = served.client.get(url, params={**WEEK, "bbox": SMALL}).json()
    listed = served.client.get(
        f"{TOWN}/incidents",
        params={
            "bbox": SMALL, "limit": 1000, "datetime": "2019-12-26T00:00/2019-12-27T00:00",
        },
    ).json()["features"]  # fmt: skip
    assert 0 < box["incidents"] == len(listed) < city["incidents"]
    assert box["hits"] <= city["hits"]
    assert sum(f["properties"]["incidents"] for f in box["features"]) == box["incidents"]
    for feature in box["features"]:
        xs, ys = zip(*feature["geometry"]["coordinates"][0], strict=True)
        assert min(xs) <= east
        assert max(xs) >= west
        assert min(ys) <= north
        assert max(ys) >= south
    lake = served.client.get(url, params={**WEEK, "bbox": "-74.3,4.0,-74.2,4.1"}).json()
    assert (lake["incidents"], lake["hits"], lake["features"]) == (0, 0, [])
