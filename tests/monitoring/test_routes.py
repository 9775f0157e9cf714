"""Schedules and the way back over HTTP and on the command line."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import app as command_line
from app.main import create_app

ROOT = "/v1/regions/town"


@pytest.fixture(scope="module")
def client(engine, settings, town):
    with TestClient(create_app(settings, engine)) as opened:
        yield opened


@pytest.fixture
def hotslot(settings, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    return lambda *words: CliRunner().invoke(command_line, list(words))


def test_schedule_round_trip(client):
    assert client.get(f"{ROOT}/schedule").json()["code"] == "no_schedule"
    body = {"model": "maf", "cron": "15  3 * * MON", "new_share": 0.05, "on_drift": True}
    kept = client.put(f"{ROOT}/schedule", json=body)
    assert kept.status_code == 200
    shown = client.get(f"{ROOT}/schedule").json()
    assert shown == kept.json()
    assert shown["cron"] == "15 3 * * MON"
    assert shown["next_at"].endswith("+00:00")
    assert shown["last_ticks"] == []
    assert client.delete(f"{ROOT}/schedule").status_code == 204
    assert client.delete(f"{ROOT}/schedule").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cron": "61 * * * *"},
        {"cron": "\x00"},
        {"new_share": 0},
        {"new_incidents": 1.5},
        {"on_drift": True, "model": "?"},
        {"on_drift": True, "surprise": 1},
    ],
)
def test_wrong_schedules_are_refused(client, body):
    reply = client.put(f"{ROOT}/schedule", json=body)
    assert reply.status_code == 422
    assert reply.headers["content-type"].startswith("application/problem+json")


def test_no_earlier_champion(client):
    reply = client.post(f"{ROOT}/models/rollback")
    assert reply.status_code == 409
    assert reply.json()["code"] == "no_model"


def test_commands(hotslot, client):
    shown = json.loads(hotslot("schedule", "town", "--new-incidents", "500", "--json").stdout)
    assert shown["new_incidents"] == 500
    assert client.get(f"{ROOT}/schedule").json()["new_incidents"] == 500
    assert "500" in hotslot("schedule", "town").stdout
    assert hotslot("schedule", "town", "--off").exit_code == 0
    assert hotslot("models", "town", "--json").stdout.strip() == "[]"
    for wrong in (["models", "town", "promote"], ["models", "town", "demote"], ["train"]):
        assert hotslot(*wrong).exit_code != 0


def test_times_are_the_regions_own(hotslot, tmp_path):
    hotslot("schedule", "town", "--cron", "30 4 * * *")
    assert "T04:30" in hotslot("schedule", "town").stdout
    hotslot("schedule", "town", "--off")
    evening = tmp_path / "eve.csv"
    evening.write_text("occurred_at,longitude,latitude\n2021-12-31T23:00,-79.4,43.7\n")
    assert hotslot("region", "create", "eve", "--timezone", "America/Toronto").exit_code == 0
    assert hotslot("ingest", "eve", str(evening)).exit_code == 0
    listed = hotslot("region", "list").stdout
    assert "2021-12-31" in listed
    assert "2022-01-01" not in listed


@pytest.mark.slow
def test_due_trainings_run_once(hotslot, client):
    assert (
        hotslot("schedule", "town", "--new-incidents", "500", "--model", "uniform").exit_code == 0
    )
    first = hotslot("train", "--due", "--json")
    assert first.exit_code == 0, first.output
    runs = json.loads(first.stdout)
    assert [run["status"] for run in runs] == ["succeeded"]
    assert json.loads(hotslot("train", "--due", "--json").stdout) == []
    assert client.get(ROOT).json()["champion"] == runs[0]["model_version"]
    assert "succeeded" in hotslot("schedule", "town").stdout
    assert "uniform" in hotslot("models", "town").stdout
