"""Several workers share a backtest: the same result, one unit lost with each, nothing left behind."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from sqlalchemy import text

from app.erasure.service import erase_incident
from app.evaluation.backtests import fits
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.sharing.units import n_places
from app.runs.cancelling import request_cancel
from app.runs.store import Superseded, claim_run
from app.worker.jobs import run_claimed, run_now
from tests.support.services.shared_backtests import (
    N_UNITS,
    REQUEST,
    claimed,
    helper,
    lasting,
    left,
    units,
    wait_until,
)


@pytest.fixture
def one_each(settings):
    """One process for each worker, whatever the number of cores."""
    return settings.model_copy(update={"backtest_processes": 1, "job_stalled_s": 600.0})


def of_helper(engine, run, status):
    return [u for u in units(engine, run.id) if u.worker == "job 1" and u.status == status]


@pytest.mark.slow
def test_two_workers_share_a_backtest_and_its_result_is_that_of_one(engine, one_each, town):
    alone = run_now(engine, one_each, town, REQUEST, lambda _share, _message: None)
    run = claimed(engine, one_each, town, REQUEST)
    shares, seen = [], []

    def watch(share, message):
        shares.append((share, message))
        if not seen:
            wait_until(lambda: len(of_helper(engine, run, "done")) >= 3)
        seen[:] = units(engine, run.id)

    with helper(one_each, run.id) as process:
        shared = run_claimed(engine, one_each, "backtest", run, watch)
        assert process.wait(60) == 0
    assert (shared.status, alone.status) == ("succeeded", "succeeded"), shared.message
    assert lasting(shared.result) == lasting(alone.result)
    assert shared.result["provenance"]["data_hash"] == alone.result["provenance"]["data_hash"]
    assert {u.worker for u in seen} == {"job 1", "run 1"}
    assert [u.attempt for u in seen] == [1] * N_UNITS
    assert shares[-1] == (1.0, f"{N_UNITS} of {N_UNITS} fits")
    assert sorted(shares, key=lambda one: one[0]) == shares
    assert left(engine, run.id) == (0, 0, 0)


@pytest.mark.slow
def test_a_killed_helper_loses_the_unit_in_progress_and_no_other(engine, one_each, town):
    run = claimed(engine, one_each, town, REQUEST)
    seen, lost = [], []

    def watch(_share, _message):
        if not seen:
            wait_until(lambda: of_helper(engine, run, "done") and of_helper(engine, run, "working"))
            process.kill()
            process.wait()
            lost[:] = of_helper(engine, run, "working")
            expire(engine)
        seen[:] = units(engine, run.id)

    with helper(one_each, run.id) as process:
        ended = run_claimed(engine, one_each, "backtest", run, watch)
    assert ended.status == "succeeded", ended.message
    assert len(lost) <= 1
    again = [u.number for u in seen if u.attempt > 1]
    assert again == [u.number for u in lost]
    assert sum(u.attempt for u in seen) == N_UNITS + len(lost)


def expire(engine):
    """Let the time pass after which claims without a heartbeat are free."""
    query = "UPDATE backtest_units SET heartbeat_at = now() - interval '1 h' WHERE worker = 'job 1'"
    with engine.begin() as connection:
        connection.execute(text(query))


@pytest.mark.slow
def test_the_next_attempt_of_a_run_goes_on_where_the_last_one_was_killed(engine, one_each, town):
    run = claimed(engine, one_each, town, REQUEST)
    done = []

    def die(_share, _message):
        done[:] = [u for u in units(engine, run.id) if u.status == "done"]
        if len(done) >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_claimed(engine, one_each, "backtest", run, die)
    with engine.begin() as connection:
        again = claim_run(connection, "backtest", run.id)
    seen = []

    def watch(_share, _message):
        seen[:] = units(engine, run.id)

    ended = run_claimed(engine, one_each, "backtest", again, watch)
    assert ended.status == "succeeded", ended.message
    assert {u.number for u in done} <= {u.number for u in seen if u.worker == "run 1"}
    assert all(u.attempt == 1 for u in seen if u.worker == "run 1")


@pytest.mark.slow
def test_cancelling_ends_helpers_too_and_removes_the_units(engine, one_each, town):
    run = claimed(engine, one_each, town, REQUEST)
    asked = []

    def watch(_share, _message):
        if not asked:
            wait_until(lambda: of_helper(engine, run, "working"))
            with engine.begin() as connection:
                asked.append(request_cancel(connection, "backtest", run))

    with helper(one_each, run.id) as process:
        ended = run_claimed(engine, one_each, "backtest", run, watch)
        assert process.wait(60) == 0
    assert ended.status == "cancelled"
    assert left(engine, run.id) == (0, 0, 0)


@pytest.mark.slow
def test_a_failed_backtest_leaves_no_units(engine, one_each, town):
    run = claimed(engine, one_each, town, REQUEST)

    def fail(_share, _message):
        assert left(engine, run.id)[:2] == (N_UNITS, 1)
        raise ValueError("planted")

    assert run_claimed(engine, one_each, "backtest", run, fail).status == "failed"
    assert left(engine, run.id) == (0, 0, 0)


def external_ids(engine, n):
    query = text("SELECT id FROM incidents ORDER BY id LIMIT :n")
    with engine.connect() as connection:
        return [str(one) for one in connection.scalars(query, {"n": n})]


@pytest.mark.slow
def test_an_erasure_removes_units_at_once_and_the_backtest_begins_anew(engine, one_each, town):
    request = replace(REQUEST, models=("pooled-kde",), n_origins=2)
    before = run_now(engine, one_each, town, request, lambda _share, _message: None)
    run = claimed(engine, one_each, town, request)
    erased = []

    def watch(share, _message):
        if share > 0 and not erased:
            erased.extend(external_ids(engine, 1))
            assert left(engine, run.id)[1] == 1
            erase_incident(engine, town, erased[0], by="id")
            assert left(engine, run.id)[:2] == (0, 0)

    ended = run_claimed(engine, one_each, "backtest", run, watch)
    assert erased
    assert ended.status == "succeeded", ended.message
    n = ended.result["provenance"]["n_incidents"]
    assert n == before.result["provenance"]["n_incidents"] - 1
    assert left(engine, run.id) == (0, 0, 0)


@pytest.mark.slow
def test_a_backtest_that_is_disturbed_by_every_erasure_says_so(engine, one_each, town, monkeypatch):
    monkeypatch.setattr(fits, "MAX_PLANS", 2)
    run = claimed(engine, one_each, town, replace(REQUEST, models=("uniform",), n_origins=2))
    counts = []

    def watch(_share, _message):
        if left(engine, run.id)[0]:
            counts.append(erase_incident(engine, town, external_ids(engine, 1)[0], by="id"))

    ended = run_claimed(engine, one_each, "backtest", run, watch)
    assert ended.status == "failed"
    assert ended.message.startswith("erased_meanwhile: incidents of the region were erased during")
    assert len(counts) == 2
    assert left(engine, run.id) == (0, 0, 0)


@pytest.mark.slow
def test_a_helper_that_would_not_fit_the_same_leaves(engine, one_each, town):
    run = claimed(engine, one_each, town, REQUEST)
    statuses = []

    def watch(_share, _message):
        if not statuses:
            with engine.begin() as connection:  # as if a bit had changed on the way
                connection.execute(
                    text(
                        "UPDATE backtest_data SET content = set_byte(content, 5000,"
                        " 255 - get_byte(content, 5000)) WHERE run_id = :run"
                    ),
                    {"run": run.id},
                )
            with helper(one_each, run.id) as process:
                statuses.append(process.wait(60))

    ended = run_claimed(engine, one_each, "backtest", run, watch)
    assert ended.status == "succeeded", ended.message
    assert statuses == [6]


@pytest.mark.slow
def test_workers_of_one_machine_share_its_cores(engine, settings, one_each, town):
    assert n_places(engine, one_each) == 1
    cores = os.cpu_count()
    assert n_places(engine, settings) == cores
    # Fitted for longer than until the next look.
    run = claimed(engine, one_each, town, replace(REQUEST, models=("maf",), n_origins=1))
    free = []

    def watch(_share, _message):
        if any(u.status == "working" for u in units(engine, run.id)):
            free.append(n_places(engine, settings))
            raise ValueError("seen enough")

    ended = run_claimed(engine, one_each, "backtest", run, watch)
    assert free == [cores - 1], ended.message


def test_a_removed_region_takes_its_units_along(engine, one_each, town):
    run = claimed(engine, one_each, town, BacktestRequest(("uniform",), n_origins=1))

    def remove(_share, _message):
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM regions"))

    with pytest.raises(Superseded):
        run_claimed(engine, one_each, "backtest", run, remove)
    assert left(engine, run.id) == (0, 0, 0)
