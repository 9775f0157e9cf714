"""A kind renamed half-way is one kind once an alias says so; several kinds at once (cases 40, 51)."""

import json
import random
from datetime import datetime, timedelta

import pytest
from typer.testing import CliRunner

from app.cli import app as command_line
from app.worker.jobs import work_on

HEAD = "datetime,longitude,latitude,type\n"
RENAMED = datetime(2026, 6, 1)
START, END = datetime(2026, 3, 1), datetime(2026, 9, 1)
WEEK = {"from": "2026-09-01T00:00", "to": "2026-09-08T00:00"}


def year():
    """Four assaults and two thefts a day; assaults have another name from `RENAMED` on."""
    rng = random.Random(4)
    rows, day = [], START
    while day < END:
        for k in range(6):
            at = day + timedelta(minutes=rng.randrange(1440))
            name = "Theft" if k > 3 else "Assault" if at < RENAMED else "Assault, common"
            x, y = -84.5 + rng.gauss(0, 0.02), 39.12 + rng.gauss(0, 0.01)
            rows.append(f'{at:%Y-%m-%dT%H:%M:%S},{x:.6f},{y:.6f},"{name}"\n')
        day += timedelta(days=1)
    return HEAD + "".join(rows)


@pytest.fixture
def city(door, engine, settings):
    sent = door.send("a.csv", year())
    assert sent.body["accepted"] == 6 * (END - START).days

    def train():
        asked = {"model": "pooled-kde", "validate": False}
        run = door.client.post(f"{door.root}/training-runs", json=asked).json()
        work_on(engine, settings, "train", run["id"])
        done = door.client.get(f"{door.root}/training-runs/{run['id']}").json()
        assert done["status"] == "succeeded", done
        door.client.post(f"{door.root}/models/{done['model_version']}/promote")

    return door, train


def run(*words):
    done = CliRunner().invoke(command_line, list(words))
    return done.exit_code, done.stdout, f"{done.exception} {done.stderr}"


def choose(door, table, names):
    """Set aliases, groups or weights by the door's way."""
    if door.way == "http":
        reply = door.client.put(f"{door.root}/categories/{table}", json={table: names})
        assert reply.status_code == 200, reply.text
        return
    for name, value in names.items():
        if table == "aliases":
            since = ["--from", value["from"]] if value.get("from") else []
            words = ["alias", door.region, name, value["category"], *since]
        elif table == "groups":
            words = ["group", door.region, name, *value]
        else:
            words = ["weight", door.region, name, str(value)]
        assert run("categories", *words)[0] == 0
    # Another process has changed it, which this one sees within a minute.
    door.client.app.state.forecasts.forget_kinds(door.region)


def expected(door, *names, path="series", **more):
    reply = door.client.get(
        f"{door.root}/forecasts/{path}", params={**WEEK, "category": names, **more}
    )
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.slow
def test_an_alias_gives_the_renamed_kind_all_its_incidents(city):
    door, train = city
    train()
    before = expected(door, "Assault")
    choose(door, "aliases", {"Assault, common": {"category": "Assault", "from": "2026-06-01"}})
    # The version knows former kinds: their sum, and a warning.
    summed = expected(door, "assault")
    assert summed["categories"] == ["Assault", "Assault, common"]
    assert "former_kinds" in [w["code"] for w in summed["warnings"]]
    train()
    after = expected(door, "Assault")
    assert "former_kinds" not in [w["code"] for w in after["warnings"]]
    assert after["categories"] == ["Assault"]
    # Assaults are two thirds of 42 a week.
    assert before["expected_total"] < 20
    for found in (summed, after, expected(door, "Assault, common")):
        assert found["expected_total"] == pytest.approx(28, rel=0.15)
    region = door.client.get(door.root).json()
    assert region["categories"] == {"Assault": 4 * 184, "Theft": 2 * 184}
    listed = door.client.get(f"{door.root}/incidents?category=ASSAULT&limit=10000").json()
    assert len(listed["features"]) == 4 * 184
    # What was sent stays stored: taking the alias away brings it back.
    assert door.client.delete(f"{door.root}/categories/aliases").status_code == 200
    region = door.client.get(door.root).json()
    assert set(region["categories"]) == {"Assault", "Assault, common", "Theft"}


def test_an_alias_from_a_day_leaves_what_came_before(city):
    door, _ = city
    choose(door, "aliases", {"Assault, common": {"category": "Assault", "from": "2026-08-01"}})
    counts = door.client.get(door.root).json()["categories"]
    assert counts == {"Assault": 4 * 123, "Assault, common": 4 * 61, "Theft": 2 * 184}
    found = door.client.get(f"{door.root}/incidents?category=Assault&limit=10000").json()
    assert len(found["features"]) == 4 * 123


def test_several_kinds_and_groups_are_the_sum(city):
    door, train = city
    train()
    choose(door, "groups", {"All of it": ["Theft", "Assault", "assault, COMMON"]})
    everything = expected(door)
    parts = [expected(door, name)["expected_total"] for name in ("Theft", "Assault")]
    two = expected(door, "Theft", "Assault")
    assert two["expected_total"] == pytest.approx(sum(parts), rel=1e-4)
    assert two["category"] == "Theft + Assault"
    group = expected(door, "all of it")
    assert group["expected_total"] == pytest.approx(everything["expected_total"], rel=1e-3)
    density = expected(door, "Theft", "Assault", path="density")
    assert sum(density["cells"]["probability"]) == pytest.approx(1, abs=1e-6)
    single = [expected(door, name, path="density")["cells"] for name in ("Theft", "Assault")]
    counts = [sum(x) for x in zip(*(one["expected_count"] for one in single), strict=True)]
    assert density["cells"]["expected_count"] == pytest.approx(counts, rel=1e-3, abs=1e-9)
    listed = door.client.get(f"{door.root}/incidents?category=theft&category=assault&limit=9999")
    assert len(listed.json()["features"]) == 2 * 184 + 4 * 92
    unknown = door.client.get(
        f"{door.root}/forecasts/series", params={**WEEK, "category": ["Theft", "Arson"]}
    )
    assert (unknown.status_code, unknown.json()["field"]) == (404, "category")
    assert "Arson" in unknown.json()["detail"]
    outcomes = door.client.get(
        f"{door.root}/forecasts/outcomes",
        params={"from": "2026-05-01", "to": "2026-05-08", "category": ["Theft", "Assault"]},
    ).json()
    assert outcomes["incidents"] == 6 * 7
    areas = door.client.post(
        f"{door.root}/forecasts/areas",
        json={
            **WEEK,
            "category": ["Theft", "Assault"],
            "areas": {"type": "FeatureCollection", "features": []},
        },
    )
    assert areas.json().get("expected_total", two["expected_total"]) == two["expected_total"]


def test_weights_of_harm(city):
    door, train = city
    train()
    asked = {**WEEK, "weight": "harm"}
    refused = door.client.get(f"{door.root}/forecasts/density", params=asked)
    assert (refused.status_code, refused.json()["code"]) == (422, "no_weights")
    assert "categories/weights" in refused.json()["detail"]
    choose(door, "weights", {"assault": 5, "Assault, common": 5})
    found = expected(door, path="density", weight="harm")
    assert found["weight"] == "harm"
    assert found["unweighted"] == ["Theft"]
    plain = expected(door, path="density")
    assaults = expected(door, "Assault", "Assault, common", path="density")
    assert sum(found["cells"]["probability"]) == pytest.approx(1, abs=1e-6)
    assert sum(found["cells"]["expected_harm"]) == pytest.approx(
        found["expected_harm_total"], rel=1e-4
    )
    assert found["expected_harm_total"] == pytest.approx(5 * assaults["expected_total"], rel=1e-4)
    # Counts stay counts of incidents.
    assert found["cells"]["expected_count"] == plain["cells"]["expected_count"]
    assert found["cells"]["probability"] == pytest.approx(
        assaults["cells"]["probability"], rel=1e-4
    )
    hotspots = expected(door, path="hotspots", weight="harm", top=10)
    assert 0 < hotspots["share_of_harm_expected"] < 1
    assert hotspots["features"][0]["properties"]["expected_harm"] > 0
    code, text, _ = run(
        "forecast", door.region, "density", "--at", WEEK["from"], "--weight", "harm"
    )
    assert code == 0
    assert json.loads(text)["unweighted"] == ["Theft"]


@pytest.mark.parametrize(
    ("table", "names", "says"),
    [
        ("aliases", {"A": {"category": "a "}}, "is an alias"),
        ("aliases", {"A": {"category": "B"}, "B": {"category": "C"}}, "is an alias"),
        ("aliases", {"A": {"category": "B", "from": "2026-02-30"}}, "must be a date"),
        ("aliases", {"other": {"category": "B"}}, "choose another name"),
        ("aliases", {"A": {"category": " "}}, "is no category"),
        ("groups", {"theft": ["Assault"]}, "name the group otherwise"),
        ("groups", {"g": []}, "has no category"),
        ("groups", {"g": ["h"], "h": ["Theft"]}, "list its categories"),
        ("weights", {"Theft": -1}, "must lie within"),
    ],
)
def test_wrong_choices_are_refused(doors, table, names, says):
    door = doors()
    door.send("a.csv", HEAD + "2026-03-01T01:00:00,-84.5,39.1,Theft\n")
    if door.way == "http":
        reply = door.client.put(f"{door.root}/categories/{table}", json={table: names})
        assert reply.status_code == 422
        assert says in reply.json()["detail"]
        assert reply.json()["field"] == table
    else:
        name, value = list(names.items())[-1]
        words = {
            "aliases": lambda: ["alias", door.region, name, value["category"]],
            "groups": lambda: ["group", door.region, name, *value],
            "weights": lambda: ["weight", door.region, name, "--", str(value)],
        }[table]()
        if table == "aliases" and value.get("from"):
            words += ["--from", value["from"]]
        code, _, error = run("categories", *words)
        if len(names) == 1 and value != []:
            assert code != 0
            assert says in error
