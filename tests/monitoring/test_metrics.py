"""What operators see: metrics, dashboard, logs, status."""

from __future__ import annotations

import json
import logging
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app as command_line
from app.core.logging import REQUEST_ID, JsonFormatter, TextFormatter
from app.main import create_app
from app.monitoring.upkeep_limits import MIN_DEAD_ROWS
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.alarms import Check, raise_alarm
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.statistics import flush_statistics

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"


@pytest.fixture(scope="module")
def client(engine, settings, town):
    request = TrainingRequest("uniform", validate=False)
    run = run_now(engine, settings, town, request, lambda *_: None)
    assert run.status == "succeeded", run.message
    with engine.begin() as connection:
        key = get_region(connection, town).key
        check = Check("volume", 7, 1e-5, True, {"message": "many"})
        raise_alarm(connection, key, str(run.model_version), check, datetime.now(UTC))
        connection.execute(
            text(
                "INSERT INTO worker_processes (id, heartbeat_at)"
                " VALUES (gen_random_uuid(), now() - '1 h'::interval)"
            )
        )
    with TestClient(create_app(settings, engine)) as opened:
        yield opened


def samples(client) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            labels = tuple(v for k, v in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_metrics_tell_of_regions_and_queue(client, engine, town):
    client.post("/v1/regions/town/training-runs", json={"model": "uniform"})
    found = samples(client)
    assert found["hotslot_queue_jobs"]["todo",] == 1
    assert 0 <= found["hotslot_queue_oldest_job_seconds"][()] < 60
    assert found["hotslot_workers"][()] == 0, "one that has not beaten for an hour is dead"
    assert found["hotslot_training_runs"]["town", "succeeded"] == 1
    assert found["hotslot_training_last_seconds"]["town",] > 0
    assert found["hotslot_alarms"]["volume", "town"] == 1
    assert found["hotslot_alarms"]["place", "town"] == 0
    assert found["hotslot_schedule_failing"]["town",] == 0
    with engine.connect() as connection:
        version = registry.get_version(connection, get_region(connection, town).key)
    age = (datetime.now(UTC) - version.cutoff).total_seconds()
    assert found["hotslot_model_age_seconds"]["town",] == pytest.approx(age, abs=60)
    assert found["hotslot_ingest_lag_seconds"]["town",] == pytest.approx(age, abs=90_000)


def test_metrics_tell_of_dead_rows_in_steps(client, engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in (
            "CREATE TABLE bloated (n int) WITH (autovacuum_enabled = off)",
            "INSERT INTO bloated SELECT generate_series(1, 40000)",
            "DELETE FROM bloated WHERE n <= 14001",
            "CREATE TABLE hardly (n int) WITH (autovacuum_enabled = off)",
            f"INSERT INTO hardly SELECT generate_series(2, {MIN_DEAD_ROWS})",
            "DELETE FROM hardly",
        ):
            connection.execute(text(statement))
        flush_statistics(connection.connection.driver_connection)
        found = samples(client)["hotslot_table_dead_share"]
        connection.execute(text("DROP TABLE bloated, hardly"))
    assert found["bloated",] == 0.35
    assert found["hardly",] == 0, "a few dead rows could be of single corrections"
    assert found["incidents",] == 0
    assert 0 < samples(client)["hotslot_transaction_ids_used"][()] < 0.01


def test_metrics_of_room_are_coarse_and_bounded(client, engine, monkeypatch):
    def room_of_grown():
        found = samples(client)
        return {name: found[f"hotslot_table_{name}"]["grown",] for name in ("bytes", "spare_share")}

    monkeypatch.setattr("app.monitoring.upkeep_store.MIN_SPARE_BYTES", 16 << 20)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE TABLE grown (n int) WITH (autovacuum_enabled = off)"))
        connection.execute(text("INSERT INTO grown SELECT generate_series(1, 1000000)"))
        try:
            assert room_of_grown() == {"bytes": 0, "spare_share": 0}, "nobody has looked"
            connection.execute(text("ANALYZE grown"))
            assert room_of_grown() == {"bytes": 2 * (16 << 20), "spare_share": 0}
            connection.execute(text("DELETE FROM grown WHERE n % 5 > 0"))
            connection.execute(text("VACUUM ANALYZE grown"))
            assert room_of_grown() == {"bytes": 2 * (16 << 20), "spare_share": 0.8}
            monkeypatch.setattr("app.monitoring.metrics.MAX_TABLES", 1)
            found = samples(client)
            for name in ("bytes", "spare_share", "dead_share"):
                assert found[f"hotslot_table_{name}"].keys() == {("grown",)}
        finally:
            connection.execute(text("DROP TABLE grown"))


def test_metrics_tell_how_long_others_hold_vacuum_back(client, engine):
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        time.sleep(0.2)
        assert samples(client)["hotslot_oldest_transaction_seconds"][()] >= 0.2


def test_the_dashboard_asks_for_metrics_that_exist(client):
    client.get("/v1/regions")
    known = set(samples(client)) | {"hotslot_live_log_score", "hotslot_live_log_score_difference"}
    declared = {f.name for f in text_string_to_metric_families(client.get("/metrics").text)}
    assert {"hotslot_live_log_score", "hotslot_live_log_score_difference"} <= declared
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"hotslot_\w+", target["expr"])
    }
    assert len(asked) >= 12
    assert asked <= known


def test_status(client, settings, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    told = json.loads(CliRunner().invoke(command_line, ["status", "--json"]).stdout)
    (region,) = told["regions"]
    assert region["region"] == "town"
    assert region["champion"].startswith("uniform-")
    assert region["alarms"] == ["volume"]
    shown = CliRunner().invoke(command_line, ["status"])
    assert shown.exit_code == 0
    assert "volume" in shown.stdout


def test_requests_are_named_in_replies_and_logs(client, caplog):
    with caplog.at_level(logging.INFO, "hotslot.api"):
        given = client.get("/v1/regions/town", headers={"X-Request-ID": "abc-1"})
        made = client.get("/v1/regions/town", headers={"X-Request-ID": "no word\t!"})
    assert given.headers["x-request-id"] == "abc-1"
    assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])
    record = next(r for r in caplog.records if r.message == "request")
    assert (record.method, record.route, record.status) == ("GET", "/v1/regions/{region}", 200)


def record_of(**extra) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "hotslot.x", "levelname": "INFO", "msg": "a %s"})
    record.args = ("word\nwith lines",)
    for name, value in extra.items():
        setattr(record, name, value)
    return record


def test_log_lines():
    token = REQUEST_ID.set("r1")
    try:
        line = JsonFormatter().format(record_of(run="7", at=datetime(2024, 1, 1, tzinfo=UTC)))
        plain = TextFormatter().format(record_of(run="7", color_message="\x1b[36ma word\x1b[0m"))
    finally:
        REQUEST_ID.reset(token)
    assert "\n" not in line
    told = json.loads(line)
    assert told["message"] == "a word\nwith lines"
    assert (told["level"], told["request_id"], told["run"]) == ("info", "r1", "7")
    assert plain.endswith(" run=7 request_id=r1")
