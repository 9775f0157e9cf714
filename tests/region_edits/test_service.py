"""Regions are corrected and removed, by HTTP and by the command line."""

import itertools
import json
import random

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, text
from typer.testing import CliRunner

from app.access.service import NewKey, create_key
from app.audit.verification import verify_audit
from app.cli import app as command_line
from app.core.db.tables import metadata
from app.core.errors import InvalidInput
from app.erasure.service import erase_incident
from app.geo.hour_of_week import windows_of
from app.geo.study_area import to_metres
from app.incidents.column_store import read_columns
from app.main import create_app
from app.region_edits import removal
from app.region_edits.service import RegionEdit, edit_region
from app.regions.store import get_region
from app.worker.jobs import work_on

BOX = [[-84.55, 39.05], [-84.45, 39.05], [-84.45, 39.15], [-84.55, 39.15], [-84.55, 39.05]]
EAST = [[-84.50, 39.05], [-84.45, 39.05], [-84.45, 39.15], [-84.50, 39.15], [-84.50, 39.05]]
TRAIN = {"model": "pooled-kde", "validate": False}
AT = {"at": "2026-08-03T22:00"}
_names = (f"edited{n}" for n in itertools.count())


def _polygon(ring):
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.fixture(scope="module")
def client(engine, settings):
    with TestClient(create_app(settings, engine)) as opened:
        yield opened


@pytest.fixture
def region(client, engine, settings):
    """A trained region of 200 incidents in Ohio."""
    name = next(_names)
    body = {"id": name, "timezone": "America/New_York", "boundary": _polygon(BOX)}
    assert client.post("/v1/regions", json=body).status_code == 201
    assert _send(client, name)["accepted"] == 200
    _train(client, engine, settings, name)
    return name


def _send(client, name):
    draw = random.Random(1)
    rows = ["occurred_at,longitude,latitude,category"]
    for k in range(200):
        place = f"{draw.uniform(-84.54, -84.46):.6f},{draw.uniform(39.06, 39.14):.6f}"
        rows.append(f"2026-07-{1 + k % 28:02}T{k % 24:02}:15:00,{place},theft")
    kind = {"Content-Type": "text/csv"}
    return client.post(
        f"/v1/regions/{name}/incidents", content="\n".join(rows), headers=kind
    ).json()


def _train(client, engine, settings, name, run=None):
    run = run or client.post(f"/v1/regions/{name}/training-runs", json=TRAIN).json()["id"]
    work_on(engine, settings, "train", run)
    found = client.get(f"/v1/regions/{name}/training-runs/{run}").json()
    assert found["status"] == "succeeded", found
    return found["model_version"]


def _patch(client, region_id, **changes):
    reply = client.patch(f"/v1/regions/{region_id}", json=changes)
    assert reply.status_code == 200, reply.text
    return reply.json()


def _density(client, name, **params):
    return client.get(f"/v1/regions/{name}/forecasts/density", params={**AT, **params})


def _columns(engine, name):
    with engine.connect() as connection:
        return read_columns(connection, get_region(connection, name))


def test_another_time_zone_moves_the_windows_and_retires_versions(client, engine, settings, region):
    old = _density(client, region)
    version = old.json()["model_version"]
    found = _patch(client, region, timezone="America/Chicago")
    assert (found["changed"], found["versions_outdated"]) == (["timezone"], [version])
    assert [w["code"] for w in found["warnings"]] == ["instants_unchanged"]
    columns = _columns(engine, region)
    assert np.array_equal(columns.window, windows_of(columns.time_s, "America/Chicago"))
    assert _density(client, region).json()["code"] == "no_model"
    refused = _density(client, region, model=version).json()
    assert (refused["status"], refused["code"]) == (409, "version_outdated")
    listed = client.get(f"/v1/regions/{region}/models").json()["models"]
    assert [one["outdated"] for one in listed if one["version"] == version] == ["timezone"]
    _train(client, engine, settings, region, found["training_run"])
    new = _density(client, region)
    assert new.status_code == 200
    assert new.headers["ETag"] != old.headers["ETag"]
    listed = client.get(f"/v1/regions/{region}/incidents").json()["features"]
    assert listed[0]["properties"]["occurred_at"].endswith("-05:00")


def test_another_boundary_is_forecast_after_the_queued_training(client, engine, settings, region):
    before = len(_density(client, region).json()["cells"]["id"])
    found = _patch(client, region, boundary=_polygon(EAST))
    assert found["changed"] == ["boundary"]
    assert _density(client, region).status_code == 409
    _train(client, engine, settings, region, found["training_run"])
    assert len(_density(client, region).json()["cells"]["id"]) == pytest.approx(before / 2, rel=0.1)
    columns = _columns(engine, region)
    assert len(columns.time_s) == 200


def test_a_boundary_elsewhere_is_refused_or_said(client, region):
    swapped = _polygon([[y, x] for x, y in BOX])
    reply = client.patch(f"/v1/regions/{region}", json={"boundary": swapped})
    assert (reply.status_code, reply.json()["code"]) == (422, "boundary_swapped")
    away = _polygon([[x + 0.5, y] for x, y in BOX])
    found = _patch(client, region, boundary=away)
    assert [w["code"] for w in found["warnings"]] == ["incidents_outside_boundary"]


@pytest.mark.slow
def test_shifts_are_shown_changed_and_used_at_once(client, settings, region, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    path = f"/v1/regions/{region}/forecasts/zones"
    asked = {"shift": "night", "date": "2026-08-03", "max_km2": 1}
    assert client.get(path, params=asked).json()["n_slots"] == 8
    found = _patch(client, region, shifts={"night": {"start": "21:00", "end": "07:00"}})
    assert (found["changed"], found["versions_outdated"]) == (["shifts"], [])
    shown = client.get(f"/v1/regions/{region}").json()["shifts"]
    assert shown == found["shifts"]
    assert shown["early"] == {"start": "06:00", "end": "14:00"}
    reply = client.get(path, params=asked).json()
    assert (reply["n_slots"], reply["shift"]) == (10, "night")
    assert reply["from"] == "2026-08-03T21:00:00-04:00"
    assert client.get(path, params={"shift": "night", "max_km2": 1}).json()["n_slots"] == 10
    assert client.get(path, params={**asked, "at": "2026-08-03T21:00"}).status_code == 422
    assert client.get(path, params={"date": "2026-08-03", **AT}).status_code == 422
    assert client.get(path, params={**asked, "date": "2026-02-30"}).status_code == 422
    wrong = client.patch(f"/v1/regions/{region}", json={"shifts": {"noon": {}}})
    assert wrong.status_code == 422
    words = ["region", "edit", region, "--shift", "late=15:00-23:00"]
    found = CliRunner().invoke(command_line, words)
    assert found.exit_code == 0, found.output
    assert client.get(f"/v1/regions/{region}").json()["shifts"]["late"]["end"] == "23:00"
    assert _patch(client, region, shifts=None)["changed"] == ["shifts"]


def test_a_crs_is_given_and_chosen_again(client, engine, region):
    found = _patch(client, region, crs="EPSG:32617")
    assert (found["changed"], found["crs"]) == (["crs"], "EPSG:32617")
    columns = _columns(engine, region)
    listed = client.get(f"/v1/regions/{region}/incidents", params={"limit": 1000}).json()[
        "features"
    ]
    places = np.array([one["geometry"]["coordinates"] for one in listed])
    x_m, y_m = to_metres(places[:, 0], places[:, 1], "EPSG:32617")
    assert np.abs(np.sort(columns.x_m) - np.sort(x_m)).max() < 0.1
    assert np.abs(np.sort(columns.y_m) - np.sort(y_m)).max() < 1.0
    assert _patch(client, region, crs=None)["crs"] == "EPSG:32616"


def test_a_bent_grid_is_made_anew(client, engine):
    name = next(_names)
    client.post("/v1/regions", json={"id": name, "timezone": "America/New_York"})
    _send(client, name)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE regions SET crs = 'EPSG:32738' WHERE id = :id"), {"id": name}
        )
    found = _patch(client, name, crs=None)
    assert (found["changed"], found["crs"]) == (["crs"], "EPSG:32616")
    assert _columns(engine, name).x_m.max() < 1e6


def test_a_name_and_a_cell_size_leave_the_forecast_served(client, region):
    found = _patch(client, region, name="Queen City", cell_size_m=500.0)
    assert (found["name"], found["cell_size_m"]) == ("Queen City", 500.0)
    assert found["versions_outdated"] == []
    assert found["training_run"] is not None
    assert _density(client, region).status_code == 200
    assert _patch(client, region, name="Queen City")["changed"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": None}, "timezone"),
        ({"name": ""}, "name"),
        ({"crs": "EPSG:4326"}, "crs"),
        ({"crs": "EPSG:999999"}, "crs"),
        ({"cell_size_m": 1.0}, "cell_size_m"),
        ({"boundary": {"type": "Point", "coordinates": [0, 0]}}, "boundary"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(client, region, changes, field):
    reply = client.patch(f"/v1/regions/{region}", json=changes)
    assert (reply.status_code, reply.json()["field"]) == (422, field), reply.text


def test_a_training_under_way_does_not_register_for_the_former_region(
    client, engine, settings, region
):
    from app.fitting.data import load_training_data
    from app.runs.store import get_run
    from app.training import service

    run = client.post(f"/v1/regions/{region}/training-runs", json=TRAIN).json()["id"]

    def edited_meanwhile(*arguments, **options):
        data = load_training_data(*arguments, **options)
        _patch(client, region, timezone="America/Chicago")
        return data

    patched = pytest.MonkeyPatch()
    patched.setattr(service, "load_training_data", edited_meanwhile)
    try:
        work_on(engine, settings, "train", run)
    finally:
        patched.undo()
    with engine.connect() as connection:
        found = get_run(connection, "train", run)
    assert found.status == "failed"
    assert "has been changed meanwhile" in found.message


def test_the_command_line_edits_and_removes(
    client, engine, settings, region, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    path = tmp_path / "east.geojson"
    path.write_text(json.dumps(_polygon(EAST)))
    words = ["region", "edit", region, "--timezone", "America/Chicago", "--boundary", str(path)]
    run = CliRunner().invoke(command_line, [*words, "--json"])
    assert run.exit_code == 0, run.stderr
    assert json.loads(run.stdout)["changed"] == ["timezone", "boundary"]
    refused = CliRunner().invoke(
        command_line, ["region", "remove", region, "--yes-remove", "other"]
    )
    assert refused.exit_code != 0
    assert client.get(f"/v1/regions/{region}").status_code == 200
    asked = CliRunner().invoke(command_line, ["region", "remove", region], input=f"{region}\n")
    assert asked.exit_code == 0, asked.stderr
    assert client.get(f"/v1/regions/{region}").status_code == 404


def test_removal_leaves_nothing_but_audit_entries(client, engine, region):
    other = next(_names)
    client.post("/v1/regions", json={"id": other, "timezone": "UTC"})
    with engine.connect() as connection:
        key = get_region(connection, region).key
    assert client.delete(f"/v1/regions/{region}").json()["code"] == "not_confirmed"
    wrong = client.delete(f"/v1/regions/{region}", params={"confirm": other})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "confirm")
    found = client.delete(f"/v1/regions/{region}", params={"confirm": region}).json()
    assert (found["incidents"], found["uploads"], found["versions"]) == (200, 1, 1)
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if "region_key" in table.c:
                query = text(f'SELECT count(*) FROM "{table.name}" WHERE region_key = :key')
                assert connection.scalar(query, {"key": key}) == 0, table.name
        assert connection.scalar(text("SELECT count(*) FROM artifacts")) == connection.scalar(
            text("SELECT count(DISTINCT artifact_sha256) FROM model_versions")
        )
        actions = connection.scalars(
            text("SELECT action FROM audit_log WHERE chain = :id ORDER BY seq"), {"id": region}
        ).all()
    assert verify_audit(engine).problems == []
    assert actions[0] == "region.created"
    assert actions[-1] == "region.removed"
    assert _density(client, region).status_code == 404


def test_others_work_on_while_a_region_is_removed(client, engine, settings, region):
    """Its many rows are deleted first: meanwhile other regions read, upload, train and erase."""
    other = next(_names)
    body = {"id": other, "timezone": "America/New_York", "boundary": _polygon(BOX)}
    client.post("/v1/regions", json=body)
    done = []

    def work(_connection, _cursor, statement, *_):
        if not done and statement.startswith("DELETE FROM incidents "):
            done.append("begun")
            assert _send(client, other)["accepted"] == 200
            _train(client, engine, settings, other)
            listed = client.get(f"/v1/regions/{other}/incidents", params={"limit": 1}).json()
            first = listed["features"][0]["id"]
            assert erase_incident(engine, other, str(first)).n_incidents == 1
            done.append("ended")

    event.listen(engine, "after_cursor_execute", work)
    try:
        removed = removal.remove_region(engine, region, region)
    finally:
        event.remove(engine, "after_cursor_execute", work)
    assert done == ["begun", "ended"]
    assert removed.incidents == 200
    assert client.get(f"/v1/regions/{region}").status_code == 404


def test_services_refuse_what_routes_would_not_send(engine, region):
    with pytest.raises(InvalidInput, match="name must have"):
        edit_region(engine, region, RegionEdit(name="x" * 300))
    with pytest.raises(InvalidInput, match="to confirm"):
        removal.remove_region(engine, region, None)


def test_removal_takes_the_region_from_keys(client, engine, region):
    """The last test here: keys stay in the client's ring for a while."""
    other = next(_names)
    client.post("/v1/regions", json={"id": other, "timezone": "UTC"})
    admin = create_key(engine, NewKey("root", ("admin",)))
    alone = create_key(engine, NewKey("alone", ("reader",), regions=[region]))
    shared = create_key(engine, NewKey("shared", ("reader",), regions=[region, other]))
    try:
        headers = {"X-API-Key": admin.text}
        removed = client.delete(
            f"/v1/regions/{region}", params={"confirm": region}, headers=headers
        )
        assert removed.json()["keys_revoked"] == 1, removed.text
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT id, regions, revoked_at FROM api_keys")).all()
        left = {row.id: (row.regions, row.revoked_at is None) for row in rows}
        assert left[alone.key.id] == ([region], False)
        assert left[shared.key.id] == ([other], True)
    finally:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM api_keys"))
