"""What is stored by a command can be removed by one: mappings, the learning policy, the population layer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from app.cli import app, main
from app.regions.service import add_region, policy_of
from app.regions.store import get_region, mappings_of, outlined

SQUARE = [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]]
LAYER = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"name": name, "population": 5, "groups": {"a": 1}},
            "geometry": {"type": "Polygon", "coordinates": SQUARE},
        }
        for name in ("west", "east")
    ],
}


@pytest.fixture
def run(settings, monkeypatch):
    """Runs a command that is to succeed; answers what it prints."""
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())

    def done(*words: str) -> str:
        told = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert told.exit_code == 0, told.output
        return told.stdout

    return done


@pytest.fixture
def fail(run, monkeypatch, capsys):
    """Runs a command that is to fail; answers its status and its line."""

    def done(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["hotslot", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr().err
        assert told.count("\n") == 1, told
        return ended.value.code, told

    return done


@pytest.fixture(scope="module", autouse=True)
def region(engine) -> str:
    return add_region(engine, "kept", timezone="UTC", boundary=LAYER).id


def test_a_mapping_is_kept_listed_and_removed(engine, run, fail, tmp_path, region):
    file = tmp_path / "a.csv"
    file.write_text("DATE,X,Y,OFFENSE\n2024-01-05T10:00:00Z,0.005,0.005,theft\n")
    columns = "occurred_at=DATE,longitude=X,latitude=Y,category=OFFENSE"
    run("ingest", region, str(file), "--columns", columns, "--save-mapping-as", "police")
    assert "category=OFFENSE" in run("mapping", "list", region)
    found = json.loads(run("mapping", "list", region, "--json"))
    assert found["police"]["columns"]["longitude"] == "X"
    assert "police" in run("mapping", "remove", region, "police")
    with engine.connect() as connection:
        assert mappings_of(connection, get_region(connection, region).key) == {}
    assert json.loads(run("mapping", "list", region, "--json")) == {}
    status, told = fail("mapping", "remove", region, "police")
    assert status == 1
    assert "no such mapping: 'police'" in told
    assert fail("mapping", "remove", "nowhere", "police")[0] == 1
    assert fail("mapping", "list", "nowhere")[0] == 1


def test_the_learning_policy_is_removed(engine, run, fail, region):
    run("region", "policy", region, "--minimum-count", "7", "--patrol-categories", "include")
    assert policy_of(engine, region).minimum_count == 7
    told = json.loads(run("region", "policy", region, "--remove"))
    assert (told["minimum_count"], told["patrol_categories"]) == (0, "exclude")
    with engine.connect() as connection:
        assert "learning" not in json.dumps(get_region(connection, region).settings)
    status, line = fail("region", "policy", region, "--remove", "--minimum-count", "3")
    assert status == 2
    assert "--remove cannot be combined with other options" in line
    assert fail("region", "policy", "nowhere", "--remove")[0] == 1


def test_the_population_layer_is_removed_and_the_neighbourhoods_stay(
    engine, run, fail, tmp_path, region
):
    file = tmp_path / "layer.geojson"
    file.write_text(json.dumps(LAYER))
    run("region", "layer", region, "--population", str(file))
    assert "neighbourhoods stay" in run("region", "layer", region, "--remove")
    with engine.connect() as connection:
        left = outlined(connection, get_region(connection, region)).neighbourhoods
    assert [f["properties"] for f in left["features"]] == [{"name": "west"}, {"name": "east"}]
    status, told = fail("region", "layer", region, "--remove")
    assert status == 1
    assert "has no population layer" in told
    assert fail("region", "layer", region)[0] == 2
    beats = tmp_path / "beats.geojson"
    beats.write_text(json.dumps(LAYER))
    assert "2 areas (west, east)" in run("region", "layer", region, "beats", str(beats))
    assert run("region", "layer", region, "--list").splitlines()[-1] == "beats: 2 areas"
    shown = json.loads(run("region", "layer", region, "beats"))
    assert [one["properties"]["name"] for one in shown["features"]] == ["west", "east"]
    assert "removed" in run("region", "layer", region, "beats", "--remove")
    assert fail("region", "layer", region, "beats")[0] != 0
    assert fail("region", "layer", region, "--remove", "--population", str(file))[0] == 2


def test_the_presence_log_is_filled_listed_and_erased(run, fail, tmp_path, region):
    ring = "POLYGON ((0 0, 0.01 0, 0.01 0.01, 0 0.01, 0 0))"
    recent = datetime.now(UTC) - timedelta(days=2)
    to = recent + timedelta(hours=1)
    log = tmp_path / "log.csv"
    span = f"{recent:%Y-%m-%dT%H:%MZ},{to:%Y-%m-%dT%H:%MZ}"
    rows = f'{span},patrol,car 3,"{ring}"', "x,y,patrol,car 3,z"
    log.write_text("\n".join(("from,to,activity,unit,geometry", *rows)))
    assert "received 2 = accepted 1 + duplicates 0 + rejected 1" in run(
        "presence", "add", region, str(log)
    )
    listed = json.loads(run("presence", "list", region))
    assert [one["properties"]["unit"] for one in listed["features"]] == ["car 3"]
    assert len(run("presence", "list", region, "--csv").splitlines()) == 2
    assert fail("presence", "erase", region)[0] == 2
    assert "0 rows" in run("presence", "erase", region, "--unit", "car 4")
    assert "1 rows" in run("presence", "erase", region, "--all")
    assert fail("presence", "exposure", region)[0] != 0
    assert fail("presence", "add", region, "none.pdf")[0] == 2
