"""Claims of units: each to one claimant, free again when it is silent, and late results refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from app.evaluation.backtests.checkpoints import Task
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.sharing.unit_store import (
    BLOCK_BYTES,
    MAX_HELP_ATTEMPTS,
    Claimant,
    PlanGone,
    beat,
    claim_unit,
    count_erasures,
    drop_units,
    finish_unit,
    is_wanted,
    read_data,
    read_results,
    release_units,
    store_plan,
)
from app.regions.service import add_region
from app.runs.store import Superseded, claim_run, finish_run
from app.runs.words import RUN_MESSAGES
from tests.support.services.shared_backtests import claimed, left

PLAN, OTHER_PLAN = "a" * 64, "b" * 64
TASKS = [Task("uniform", 86_400 * n, 0) for n in range(3)]


@pytest.fixture
def run(engine, settings):
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions, procrastinate_jobs CASCADE"))
    add_region(engine, "quiet", timezone="UTC")
    made = claimed(engine, settings, "quiet", BacktestRequest(("uniform",)))
    with engine.begin() as connection:
        store_plan(connection, made, PLAN, b"data", TASKS, 0)
    return made


@pytest.fixture
def connection(engine, run):
    with engine.connect() as made:
        yield made


def claimant(run, name, **changes):
    return Claimant(run.id, PLAN, name, "here", 60.0, **changes)


def expire(connection):
    connection.execute(text("UPDATE backtest_units SET heartbeat_at = now() - interval '61 s'"))


def test_each_unit_goes_to_one_claimant_even_at_once(engine, run):
    with engine.connect() as one, engine.connect() as other:
        found = [claim_unit(one, claimant(run, "a")), claim_unit(other, claimant(run, "b"))]
        assert [unit.task for unit in found] == TASKS[:2]
        one.rollback()  # as if its process had died in between
        assert claim_unit(other, claimant(run, "b")).task == TASKS[0]


def test_a_silent_claim_is_free_and_its_late_result_is_refused(connection, run):
    late = claim_unit(connection, claimant(run, "a"))
    assert claim_unit(connection, claimant(run, "b")).number == 1
    expire(connection)
    beat(connection, claimant(run, "b"), {1})
    taken = claim_unit(connection, claimant(run, "b"))
    assert (taken.number, taken.attempt) == (late.number, late.attempt + 1)
    assert not finish_unit(connection, claimant(run, "a"), late, b"late")
    assert finish_unit(connection, claimant(run, "b"), taken, b"right")
    assert not finish_unit(connection, claimant(run, "b"), taken, b"twice")
    assert list(read_results(connection, run.id, PLAN)) == [(taken.task, b"right")]


def test_a_claim_whose_reply_was_lost_is_not_kept_alive(connection, run):
    lost = claim_unit(connection, claimant(run, "a"))
    expire(connection)
    assert beat(connection, claimant(run, "a"), set()).n_free == 3
    assert claim_unit(connection, claimant(run, "a")).number == lost.number


def test_what_is_given_back_is_free_at_once_and_what_is_done_stays(connection, run):
    units = [claim_unit(connection, claimant(run, "a")) for _ in range(2)]
    finish_unit(connection, claimant(run, "a"), units[0], b"done")
    release_units(connection, run.id, "a")
    tally = beat(connection, claimant(run, "b"), set())
    assert (tally.n_units, tally.n_done, tally.n_free, tally.n_workers) == (3, 1, 2, 0)


def test_a_unit_that_helpers_lose_again_and_again_is_left_to_the_runs_worker(connection, run):
    helper = claimant(run, "a", helps=True)
    for _ in range(MAX_HELP_ATTEMPTS):
        assert claim_unit(connection, helper).number == 0
        release_units(connection, run.id, "a")
    assert claim_unit(connection, helper).number == 1
    assert claim_unit(connection, claimant(run, "run 1")).number == 0


def test_results_of_an_earlier_plan_are_refused(connection, run):
    old = claim_unit(connection, claimant(run, "a"))
    store_plan(connection, run, OTHER_PLAN, b"other", TASKS, 0)
    new = replace(claimant(run, "b"), plan=OTHER_PLAN)
    assert claim_unit(connection, new) == old  # the same number and attempt
    assert not finish_unit(connection, claimant(run, "a"), old, b"old")
    assert claim_unit(connection, claimant(run, "a")) is None
    assert beat(connection, claimant(run, "a"), {old.number}).n_units == 0
    with pytest.raises(PlanGone):
        read_data(connection, run.id, PLAN)


def test_the_same_plan_of_the_next_attempt_keeps_what_is_done(connection, run):
    for name in ("run 1", "run 1", "job 7"):
        unit = claim_unit(connection, claimant(run, name))
        if unit.number == 0:
            finish_unit(connection, claimant(run, name), unit, b"done")
    again = claim_run(connection, "backtest", run.id)
    store_plan(connection, again, PLAN, b"data", TASKS, 0)
    tally = beat(connection, claimant(again, "run 2"), set())
    assert (tally.n_done, tally.n_free, tally.n_workers) == (1, 1, 1)


def test_a_plan_is_stored_only_for_the_newest_attempt_and_without_erasures(connection, run):
    with pytest.raises(PlanGone):
        store_plan(connection, run, OTHER_PLAN, b"", TASKS, 1)
    assert count_erasures(connection, run.region_key) == 0
    claim_run(connection, "backtest", run.id)
    with pytest.raises(Superseded):
        store_plan(connection, run, OTHER_PLAN, b"data", TASKS, 0)


def test_data_of_several_blocks_come_back_whole(connection, run):
    content = bytes(range(256)) * (BLOCK_BYTES // 256) + b"rest"
    store_plan(connection, run, OTHER_PLAN, content, TASKS, 0)
    assert read_data(connection, run.id, OTHER_PLAN) == content


def test_an_end_and_an_erasure_remove_all(engine, run):
    with engine.begin() as connection:
        drop_units(connection, run.region_key)
    assert left(engine, run.id) == (0, 0, 0)
    with engine.begin() as connection:
        store_plan(connection, run, PLAN, b"data", TASKS, 0)
        assert is_wanted(connection, run.id)
    assert left(engine, run.id) == (3, 1, 0)
    with engine.begin() as connection:
        finish_run(
            connection, "backtest", run, "succeeded", RUN_MESSAGES.make("run_done"), result={}
        )
        assert not is_wanted(connection, run.id)
    assert left(engine, run.id) == (0, 0, 0)
