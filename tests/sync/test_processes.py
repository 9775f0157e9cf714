"""Runs across processes: killed and resumed, one at a time, by a worker and by the clock."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app as command_line
from app.core.errors import Conflict, HotslotError, InvalidInput
from app.main import create_app
from app.runs.kinds import SYNC_QUEUE
from app.runs.store import Superseded, get_run
from app.runs.words import RUN_FAILURES
from app.sync.schedule import claim_here, queue_due, request_sync
from app.sync.service import remove_source
from app.sync.store import end_active_run, held_source
from app.training.service import TrainingRequest, request_training
from app.worker.jobs import run_claimed, work_on
from app.worker.main import serve_queue
from app.worker.recovery import requeue_lost_runs
from tests.support.services.portals import SOCRATA_PATH, socrata_row

TAKEN_OVER = RUN_FAILURES.make("run_ended_for_another")


@pytest.fixture
def environment(settings, monkeypatch):
    """What a process of its own needs to work on this module's database."""
    url = settings.database_url.get_secret_value()
    values = {
        "HOTSLOT_DATABASE_URL": url,
        "HOTSLOT_HOME": str(settings.home),
        "HOTSLOT_SYNC_ALLOW_LOOPBACK": "true",
        "HOTSLOT_SYNC_BACKOFF_S": "0.01",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, **values}


@pytest.mark.slow
def test_a_killed_process_loses_nothing_and_its_successor_goes_on(portals, socrata, environment):
    portals.rows = [socrata_row(n) for n in range(10)]
    city = socrata()
    portals.faults.extend(["pass", "pass", "hold"])
    command = [sys.executable, "-m", "app.cli", "sync", city.id]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        assert portals.held.wait(60)
        with pytest.raises(Conflict, match="in progress"):
            claim_here(city.engine, city.id, "portal")
        with pytest.raises(Conflict, match="being read"):
            remove_source(city.engine, city.id, "portal")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    stored = len(city.stored())
    assert 0 < stored < 10
    portals.release.set()
    portals.requests.clear()
    run = city.sync()
    assert (run.status, run.metrics["accepted"]) == ("succeeded", 10 - stored)
    assert int(portals.asked(SOCRATA_PATH, "$offset")[0]) == stored - 1
    assert city.stored() == {str(n): 1 for n in range(10)}
    assert city.sync().metrics["accepted"] == 0


def test_a_run_that_was_ended_writes_no_more(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(10)]
    city = socrata()
    run = claim_here(city.engine, city.id, "portal")

    def end(query):
        if int(query["$offset"]) > 0:
            with city.engine.begin() as connection:
                end_active_run(connection, city.source, TAKEN_OVER)

    portals.before_rows = end
    with pytest.raises(Superseded):
        run_claimed(city.engine, city.settings, "sync", run)
    assert len(city.stored()) == 4
    portals.before_rows = None
    assert city.sync().metrics["accepted"] == 6


@pytest.mark.slow
def test_a_worker_works_on_what_http_asks_for(portals, socrata, settings, engine, environment):
    portals.rows = [socrata_row(n) for n in range(10)]
    city = socrata()
    with TestClient(create_app(settings, engine)) as client:
        base = f"/v1/regions/{city.id}/sync-runs"
        (run,) = client.post(base, json={}).json()["sync_runs"]
        (same,) = client.post(base, json={"source": "portal"}).json()["sync_runs"]
        assert (same["id"], run["status"], run["source"]) == (run["id"], "queued", "portal")
        asyncio.run(serve_queue(settings, engine, wait=False))
        shown = client.get(f"{base}/{run['id']}").json()
        assert (shown["status"], shown["progress"]) == ("succeeded", 1.0), shown["message"]
        assert shown["counts"]["accepted"] == 10
        assert [r["id"] for r in client.get(base).json()["sync_runs"]] == [run["id"]]
        assert client.get(f"/v1/regions/{city.id}/sync-runs/{'0' * 32}").status_code == 404
    assert len(city.stored()) == 10


def test_progress_shows_while_it_runs(portals, socrata):
    portals.rows = [socrata_row(n) for n in range(10)]
    city = socrata()
    run = claim_here(city.engine, city.id, "portal")
    seen = []

    def look(query):
        with city.engine.connect() as connection:
            now = get_run(connection, "sync", run.id)
        seen.append((round(now.progress, 2), now.metrics.get("accepted", 0)))

    portals.before_rows = look
    run_claimed(city.engine, city.settings, "sync", run)
    assert seen == [(0.0, 0), (0.4, 4), (0.7, 7), (1.0, 10)]


def test_a_source_is_due_once_and_caught_up_once(portals, socrata):
    portals.rows = [socrata_row(0)]
    city = socrata(every_s=3600)
    assert queue_due(city.engine) == 1
    assert queue_due(city.engine) == 0
    (run,) = request_sync(city.engine, city.id)
    work_on(city.engine, city.settings, "sync", run.id)
    shift = "UPDATE sync_sources SET next_due_at = now() - interval '{}' WHERE key = {}"
    with city.engine.begin() as connection:
        connection.execute(text(shift.format("5 hours", city.source.key)))
    assert [queue_due(city.engine), queue_due(city.engine)] == [1, 0]
    with city.engine.connect() as connection:
        waits = connection.scalar(
            text("SELECT next_due_at - now() FROM sync_sources WHERE key = :key"),
            {"key": city.source.key},
        )
    assert city.sync().status == "succeeded"
    assert queue_due(city.engine) == 0
    assert 3500 < waits.total_seconds() <= 3600


@pytest.mark.slow
def test_a_portal_that_does_not_answer_keeps_no_training_waiting(
    portals, socrata, settings, engine, environment
):
    portals.rows = [socrata_row(n) for n in range(30)]
    city = socrata()
    assert city.sync().metrics["accepted"] == 30
    training = request_training(engine, settings, city.id, TrainingRequest(model="uniform"))
    seen = []

    def until_trained(_query):
        for _ in range(600):
            with engine.connect() as connection:
                run = get_run(connection, "train", training.id)
            if run.finished:
                break
            time.sleep(0.1)
        seen.append((run.status, run.message))

    portals.before_rows = until_trained
    (sync,) = request_sync(engine, city.id)
    asyncio.run(serve_queue(settings, engine, wait=False))
    assert seen[0][0] == "succeeded", seen
    with engine.connect() as connection:
        assert get_run(connection, "sync", sync.id).status == "succeeded"


def test_a_run_whose_job_is_lost_is_queued_again(portals, socrata):
    """Else the source would count as being read for ever, and never be read again."""
    portals.rows = [socrata_row(0)]
    city = socrata()
    (run,) = request_sync(city.engine, city.id)
    with city.engine.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs"))
        connection.execute(text("UPDATE sync_runs SET created_at = now() - interval '1 h'"))
    assert requeue_lost_runs(city.engine, 60.0) == 1
    with city.engine.connect() as connection:
        args, queue = connection.execute(
            text("SELECT args, queue_name FROM procrastinate_jobs")
        ).one()
    assert (args, queue) == ({"run_id": str(run.id)}, SYNC_QUEUE)
    work_on(city.engine, city.settings, "sync", run.id)


def test_a_source_is_due_by_a_cron_expression_in_local_time(portals, socrata):
    city = socrata(cron=" 30 4 * *  * ")
    assert queue_due(city.engine) == 1
    with city.engine.connect() as connection:
        due = connection.scalar(
            text(
                "SELECT to_char(next_due_at AT TIME ZONE 'America/Toronto', 'HH24:MI')"
                " FROM sync_sources WHERE key = :key AND next_due_at > now()"
            ),
            {"key": city.source.key},
        )
    assert due == "04:30"
    with pytest.raises(InvalidInput, match="cron"):
        socrata(cron="at night")
    with pytest.raises(InvalidInput, match="every or cron"):
        socrata(cron="30 4 * * *", every_s=3600)


def test_a_dead_commands_run_does_not_block_the_clock(portals, socrata):
    portals.rows = [socrata_row(0)]
    city = socrata()
    dead = claim_here(city.engine, city.id, "portal")  # and its process ends here
    (new,) = request_sync(city.engine, city.id)
    assert new.id != dead.id
    with city.engine.connect() as connection:
        assert get_run(connection, "sync", dead.id).status == "failed"
    with held_source(city.engine, city.source.key), pytest.raises(HotslotError):
        claim_here(city.engine, city.id, "portal")
    work_on(city.engine, city.settings, "sync", new.id)
    assert len(city.stored()) == 1


def call(*arguments):
    result = CliRunner().invoke(command_line, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.slow
def test_sources_on_the_command_line(portals, socrata, environment):
    portals.rows = [socrata_row(n) for n in range(5)]
    city = socrata()
    url = portals.url + SOCRATA_PATH
    call("source", "add", city.id, "--name", "own", "--kind", "socrata", "--url", url,
         "--columns", "occurred_at=date,longitude=longitude,latitude=latitude,external_id=nr",
         "--every-hours", "24")  # fmt: skip
    call("source", "add", city.id, "--preset", "chicago", "--token", "mine")
    (chicago, own, _) = json.loads(call("source", "list", city.id, "--json").stdout)
    assert (own["name"], own["every_s"]) == ("own", 86400)
    assert (chicago["spec"]["token"], chicago["spec"]["preset"]) == ("mine", "chicago")
    told = json.loads(call("sync", city.id, "--source", "own", "--json").stdout)
    assert (told["own"]["status"], told["own"]["accepted"]) == ("succeeded", 5)
    assert (
        "accepted 0, corrected 0, duplicates 5" in call("sync", city.id, "--source", "own").stdout
    )
    assert "chicago" in call("source", "list", city.id).stdout
    assert "ijzp" not in call("source", "presets").stdout
    call("source", "remove", city.id, "chicago")
    assert len(json.loads(call("source", "list", city.id, "--json").stdout)) == 2
    assert call("sync", city.id).exit_code == 0
    portals.rows.clear()
    portals.needs_token = True
    assert call("sync", city.id, "--source", "portal").exit_code == 1
