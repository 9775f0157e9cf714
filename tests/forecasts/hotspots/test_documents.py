"""Hotspots: exactly the promised cells, ties by the rule, and what changed since last week."""

import csv
import io
import math

import geopandas as gpd
import numpy as np
import pytest

from app.regions.store import get_region, set_neighbourhoods
from tests.support.services.served import NEW, register
from tests.support.simulated.town import halves

BASE = "/v1/regions/town/forecasts"
AT = "2019-12-30T23:00"
WINDOW = 23


def hotspots(served, **params):
    reply = served.client.get(f"{BASE}/hotspots", params={"at": AT, **params})
    assert reply.status_code == 200, reply.text
    return reply.json()


def ids(body):
    return [feature["id"] for feature in body["features"]]


@pytest.fixture(scope="module")
def tied(served):
    """Versions whose cells are equal: all of them, and all but three of the last ones."""
    n = len(served.grid)
    uniform = np.full((1, n), 1 / n)
    raised = uniform.copy()
    raised[0, -3:] *= 2
    return (
        register(served.engine, served.data, "uniform", NEW, {-1: uniform}),
        register(served.engine, served.data, "raised", NEW, {-1: raised / raised.sum()}),
    )


@pytest.mark.parametrize("top", [0.01, 1, 3.7, 29, 57, 58, 100])
def test_equal_cells_are_taken_by_their_ids(served, tied, top):
    all_ids = served.grid.cell_id.tolist()
    assert all_ids == sorted(all_ids)
    n = max(1, math.floor(round(top * len(all_ids), 6) / 100))
    assert ids(hotspots(served, model=tied[0], top=top)) == all_ids[:n]
    better = all_ids[-3:]
    expected = (better + [one for one in all_ids if one not in better])[:n]
    assert ids(hotspots(served, model=tied[1], top=top)) == expected


def test_the_best_cells_are_those_of_the_table(served):
    order = np.argsort(-served.tables[WINDOW], kind="stable")
    body = hotspots(served, top=10)
    assert ids(body) == served.grid.cell_id[order[: body["n_cells"]]].tolist()
    share = served.tables[WINDOW][order[: body["n_cells"]]].sum()
    assert body["share_of_incidents_expected"] == pytest.approx(share)


def test_changes_since_last_week_cell_by_cell(served):
    """The older version knows another order of the same windows."""
    old = hotspots(served, at="2019-12-23T23:00", as_of="2019-12-23", top=5)
    now = hotspots(served, top=5, compare=True)
    changes, before = now["changes"], ids(old)
    assert (
        changes["against"]["model_version"] == old["model_version"] == "truth-20191201-1da2385870"
    )
    assert changes["entered"] == [one for one in ids(now) if one not in before]
    assert changes["left"] == [one for one in before if one not in ids(now)]
    assert changes["left_rank_before"] == [before.index(one) + 1 for one in changes["left"]]
    assert changes["kept"] + len(changes["entered"]) == now["n_cells"]
    assert 0 < changes["kept"] < now["n_cells"]
    for feature in now["features"]:
        told = feature["properties"]
        was = before.index(feature["id"]) + 1 if feature["id"] in before else None
        assert told["entered"] == (was is None)
        assert told["rank_before"] == was
        assert told["rank_change"] == (None if was is None else was - told["rank"])


def test_one_version_may_answer_for_both_weeks(served):
    """Its data ended before the earlier hour already."""
    changes = hotspots(served, at="2020-01-07T23:00", compare=True)["changes"]
    assert changes["reason"] == "same version"
    assert changes["entered"] == changes["left"] == []


def test_no_older_version_is_said_in_words_until_there_is_one(served):
    body = hotspots(served, model="flat", compare=True)
    assert body["changes"]["against"] is None
    assert "no version of flat" in body["changes"]["reason"]
    assert "entered" not in body["features"][0]["properties"]
    table = served.tables.mean(axis=0, keepdims=True)
    early = NEW.replace(day=2)
    version = register(served.engine, served.data, "flat", early, {-1: table})
    changes = hotspots(served, model="flat-20191225-b823adf7f3", compare=True)["changes"]
    assert changes["against"]["model_version"] == version
    assert changes["entered"] == changes["left"] == []


def test_every_row_of_a_file_says_what_it_is_of(served, tmp_path):
    with served.engine.begin() as connection:
        parts = {"type": "FeatureCollection", "features": halves()}
        set_neighbourhoods(connection, get_region(connection, "town").key, parts)
    asked = {"at": AT, "n_cells": 20}
    body = hotspots(served, **asked)
    files = {
        fmt: served.client.get(f"{BASE}/hotspots", params={**asked, "f": fmt})
        for fmt in ("csv", "gpkg")
    }
    path = tmp_path / "hotspots.gpkg"
    path.write_bytes(files["gpkg"].content)
    frame = gpd.read_file(path, layer="hotspots")
    lines = list(csv.DictReader(io.StringIO(files["csv"].text)))
    warned = "; ".join(one["message"] for one in body["warnings"])
    assert warned
    for rows in (lines, frame.to_dict("records")):
        for row, feature in zip(rows, body["features"], strict=True):
            told = feature["properties"]
            assert told["from"] == told["at"] == "2019-12-30T23:00:00-05:00"
            assert told["to"] == "2019-12-31T00:00:00-05:00"
            for name in ("region", "model", "model_version", "state", "data_until", "from", "to"):
                assert row[name] == told[name], name
            assert int(row["id"]) == feature["id"]
            assert row["warnings"] == warned
        assert {row["neighbourhood"] for row in rows} == {"west", "east"}
    joined = served.client.get(f"{BASE}/hotspots", params={**asked, "f": "gpkg", "dissolve": True})
    path.write_bytes(joined.content)
    areas = gpd.read_file(path)
    assert sum(len(cells.split()) for cells in areas["cells"]) == 20
    assert areas["area_km2"].sum() == pytest.approx(body["area_km2"])


def test_a_file_names_the_neighbourhoods_of_today(served):
    asked = {"at": AT, "n_cells": 20, "f": "csv"}

    def names() -> set[str]:
        text = served.client.get(f"{BASE}/hotspots", params=asked).text
        return {row.get("neighbourhood", "") for row in csv.DictReader(io.StringIO(text))}

    west, _ = halves()
    for name in ("old town", "new town"):
        west["properties"] = {"name": name}
        with served.engine.begin() as connection:
            parts = {"type": "FeatureCollection", "features": [west]}
            set_neighbourhoods(connection, get_region(connection, "town").key, parts)
        served.client.app.state.forecasts.forget_layer("town", "neighbourhoods")
        assert names() == {name, ""}
