"""A database that the release before wrote is upgraded, served and trained on."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from app.audit.verification import verify_audit
from app.core.db.engine import open_engine
from app.core.db.partitions import copy_progress
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.main import create_app
from tests.support.databases.previous_release import FOLDER, KEY, previous_release


@pytest.fixture(scope="module")
def upgraded(server_url: str, tmp_path_factory: pytest.TempPathFactory):
    """Settings and engine on the old release's database, migrated."""
    with previous_release(server_url) as url:
        settings = Settings(
            home=tmp_path_factory.mktemp("old"), database_url=SecretStr(url), training_threads=1
        )
        engine = open_engine(settings)
        migrate(engine)
        yield settings, engine
        engine.dispose()


@pytest.fixture(scope="module")
def client(upgraded):
    settings, engine = upgraded
    with TestClient(create_app(settings, engine), headers={"X-API-Key": KEY}) as made:
        yield made


def test_the_old_champion_answers_as_it_did(client):
    then = json.loads((FOLDER / "density.json").read_text())
    reply = client.get(
        "/v1/regions/town/forecasts/density", params={"at": "2019-07-26T21:00:00-05:00"}
    )
    assert reply.status_code == 200, reply.text
    now = reply.json()
    assert now["model_version"] == then["model_version"]
    assert now["cells"]["id"] == then["cells"]["id"]
    for field in ("probability", "expected_count", "expected_count_lo", "expected_count_hi"):
        np.testing.assert_allclose(now["cells"][field], then["cells"][field], atol=1e-9)
    assert "former_maf" in [warning["code"] for warning in now["warnings"]], "it was no flow"
    assert "band_lo" not in now["cells"], "it knew none"
    assert now["expected_total"] == pytest.approx(then["expected_total"], abs=1e-9)


def test_its_incidents_are_in_partitions(upgraded):
    _, engine = upgraded
    with engine.connect() as connection:
        kind = text("SELECT relkind FROM pg_class WHERE oid = 'incidents'::regclass")
        assert connection.scalar(kind) == "p"
        assert connection.scalar(text("SELECT count(*) FROM incidents")) > 0
        assert copy_progress(connection) is None


def test_what_was_stored_is_listed_still(client):
    models = client.get("/v1/regions/town/models").json()["models"]
    assert {m["model"] for m in models} >= {"pooled-kde", "maf", "stack"}
    assert client.get("/v1/regions/noboundary").json()["incidents"] == 0, "too few for a reader"
    (backtest,) = client.get("/v1/regions/town/backtests").json()["backtests"]
    assert backtest["status"] == "succeeded"
    assert client.get("/v1/regions/town/schedule").json()["cron"] == "15 4 * * *"


def test_the_old_audit_log_still_verifies(upgraded):
    _, engine = upgraded
    assert verify_audit(engine).problems == []


@pytest.mark.slow
def test_a_training_that_the_old_release_queued_is_run(upgraded, client):
    settings, _ = upgraded
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "worker", "--until-empty"],
        env={
            **os.environ,
            "HOTSLOT_HOME": str(settings.home),
            "HOTSLOT_DATABASE_URL": settings.database_url.get_secret_value(),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    runs = client.get("/v1/regions/town/training-runs").json()["training_runs"]
    assert [run["status"] for run in runs if run["status"] == "queued"] == []
    assert runs[0]["status"] == "succeeded", runs[0]
