"""What runs say by code: what they are at and how they ended, in the row that they write anyway."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError

from app.core.errors import HotslotError
from app.core.messages import Message
from app.main import create_app
from app.regions.service import add_region
from app.regions.store import get_region
from app.registry.erasure_texts import GONE, blank_names
from app.runs.cancelling import request_cancel
from app.runs.store import claim_run, create_run, get_run
from app.runs.words import MAX_PARAMS_CHARS, RUN_MESSAGES, columns_of, words_of
from app.training.service import TrainingRequest, request_training
from app.worker import jobs
from app.worker.jobs import RunMonitor, run_claimed, run_now, work_on
from app.worker.recovery import give_up


@pytest.fixture(scope="module")
def client(engine, settings):
    with TestClient(create_app(settings, engine)) as opened:
        yield opened


def claimed(engine, region):
    with engine.begin() as connection:
        key = get_region(connection, region).key
        run = claim_run(connection, "train", create_run(connection, "train", key, {}).id)
    assert run is not None
    return run


def row(engine, run):
    with engine.connect() as connection:
        return get_run(connection, "train", run.id)


def test_a_training_says_its_steps_and_its_end(engine, settings, town, monkeypatch):
    steps = []
    beat = jobs.heartbeat

    def noted(connection, kind, run, progress, said, details=None):
        steps.append((said.code, details))
        return beat(connection, kind, run, progress, said, details)

    monkeypatch.setattr(jobs, "heartbeat", noted)
    monkeypatch.setattr(jobs, "BEAT_EVERY_S", 0.0)
    watched = []
    request = TrainingRequest("uniform")
    run = run_now(engine, settings, town, request, lambda _share, told: watched.append(told))
    assert list(dict.fromkeys(code for code, _ in steps)) == [
        "reading_incidents",
        "validating_model",
        "fitting_model",
        "testing_memorisation",
        "fitting_counts",
        "registering_version",
    ]
    assert ("validating_model", "validating uniform: uniform") in steps, "details of the step"
    assert ("fitting_model", None) in steps
    assert "fitting counts" in watched
    assert run.said == {
        "code": "promoted_first",
        "params": {},
        "message": "first version of this region",
    }
    assert run.message == "promoted: first version of this region"
    again = run_now(engine, settings, town, request, lambda *_: None)
    assert again.said["code"] == "promoted_again"


def test_progress_is_one_statement(engine, town):
    run = claimed(engine, town)
    assert row(engine, run).said["code"] == "run_started"
    sent = []
    listen = lambda _c, _cursor, statement, *_: sent.append(statement)  # noqa: E731
    event.listen(engine, "before_cursor_execute", listen)
    try:
        monitor = RunMonitor(engine, "train", run)
        monitor.progress(0.3, RUN_MESSAGES.make("fits_done", n=3, n_fits=10))
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    assert [statement.split()[0] for statement in sent] == ["UPDATE"]
    assert row(engine, run).said["params"] == {"n": 3, "n_fits": 10}
    assert row(engine, run).message == "3 of 10 fits"


def test_a_step_that_comes_between_two_writes_is_said_by_the_next(engine, town, monkeypatch):
    run = claimed(engine, town)
    monitor = RunMonitor(engine, "train", run)
    monitor.progress(0.1, RUN_MESSAGES.make("reading_incidents"))
    monitor.progress(0.2, RUN_MESSAGES.make("fitting_counts"))
    assert row(engine, run).said["code"] == "reading_incidents"
    monkeypatch.setattr(jobs, "BEAT_EVERY_S", 0.0)
    monitor.progress(0.3, "details")
    found = row(engine, run)
    assert (found.said["code"], found.message) == ("fitting_counts", "details")


@pytest.mark.parametrize(
    ("error", "code", "params", "message"),
    [
        (HotslotError("no way", code="thin", params={"n": 3}), "thin", {"n": 3}, "thin: no way"),
        (MemoryError("2 GB"), "run_out_of_memory", {}, "out of memory: 2 GB"),
        (RuntimeError("cannot allocate"), "run_out_of_memory", {}, "out of memory"),
        (
            DatabaseError("SELECT 1", {}, psycopg.DatabaseError("out of memory for query result")),
            "run_out_of_memory",
            {},
            "out of memory",
        ),
        (
            DatabaseError("SELECT 1", {}, psycopg.errors.OutOfMemory("out of memory")),
            "run_crashed",
            {"error": "DatabaseError"},
            "internal error (DatabaseError); the worker's log has the details",
        ),
        (
            ZeroDivisionError(),
            "run_crashed",
            {"error": "ZeroDivisionError"},
            "internal error (ZeroDivisionError); the worker's log has the details",
        ),
    ],
)
def test_a_failed_run_has_the_problems_code_and_params(
    engine, settings, town, monkeypatch, error, code, params, message
):
    def fails(*_):
        raise error

    monkeypatch.setitem(jobs.EXECUTORS, "train", fails)
    run = run_claimed(engine, settings, "train", claimed(engine, town))
    assert (run.status, run.message) == ("failed", message)
    assert (run.said["code"], run.said["params"]) == (code, params)


def test_a_training_without_incidents_says_so(engine, settings):
    add_region(engine, "empty", timezone="UTC")
    run = request_training(engine, settings, "empty", TrainingRequest("uniform"))
    work_on(engine, settings, "train", run.id)
    assert row(engine, run).said["code"] == "no_incidents"


def test_runs_that_nobody_works_on_say_why(engine, settings, town):
    queued = request_training(engine, settings, town, TrainingRequest("uniform"))
    assert row(engine, queued).said["code"] == "run_queued"
    with engine.begin() as connection:
        assert request_cancel(connection, "train", queued).said["code"] == "run_cancelled_early"
    lost = claimed(engine, town)
    give_up(engine, "hotslot.train", str(lost.id))
    assert row(engine, lost).said["params"] == {"attempts": 10}


def test_the_reply_has_it_and_null_for_runs_of_earlier_versions(engine, town, client):
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO training_runs (id, region_key, status, message, request, finished_at)"
                " VALUES (:id, :key, 'failed', 'of old', '{}', :at)"
            ),
            {"id": uuid4(), "key": get_region(connection, town).key, "at": datetime.now(UTC)},
        )
    runs = client.get(f"/v1/regions/{town}/training-runs").json()["training_runs"]
    by_message = {run["message"]: run["said"] for run in runs}
    assert by_message["of old"] is None
    assert by_message["promoted: first version of this region"]["code"] == "promoted_first"


def test_what_is_said_has_a_bound():
    many = Message("x", {"names": ["y" * 100] * MAX_PARAMS_CHARS}, "z" * 5_000)
    found = columns_of(many)
    assert (found["said"]["params"], len(found["said"]["message"])) == ({}, 1_000)
    assert columns_of(many, "d" * 5_000)["message"] != found["message"]
    assert words_of(HotslotError("m", code="c")).to_json() == {
        "code": "c",
        "params": {},
        "message": "m",
    }


def test_names_of_erased_categories_leave_it(engine, town):
    run = claimed(engine, town)
    monitor = RunMonitor(engine, "train", run)
    params = {"category": "arson", "by": {"arson": 3}, "all": ["arson", "theft"]}
    monitor.progress(0.5, Message("x", params, "only 3 of 'arson' and 'theft'"))
    with engine.begin() as connection:
        blank_names(connection, run.region_key, ["arson"])
    found = row(engine, run)
    assert found.said == {
        "code": "x",
        "params": {"category": GONE, "by": {GONE: 3}, "all": [GONE, "theft"]},
        "message": f"only 3 of {GONE} and 'theft'",
    }
    assert found.message == f"only 3 of {GONE} and 'theft'"
