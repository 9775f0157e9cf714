"""Regions and callers take turns: what one asks for in plenty keeps no other waiting."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.core.roles import acting_as
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.service import request_backtest
from app.regions.service import add_region
from app.regions.store import get_region
from app.runs.cancelling import request_cancel
from app.runs.kinds import BACKTEST, SCHEDULED_PRIORITY
from app.runs.queue import drop_parts, invite_helper
from app.runs.store import list_runs, queue_run
from app.runs.taking import Taker, others_wait
from app.training.service import TrainingRequest, request_training

REGIONS = ("a", "b", "c")
ANY = Taker("all", (), 40.0)
# As the queue fetches them: by priority, then in the order of their arrival.
_ORDER = text(
    """
    SELECT region.id FROM procrastinate_jobs AS job
    JOIN (SELECT id, region_key FROM training_runs UNION SELECT id, region_key FROM backtests) AS run
      ON run.id = (job.args->>'run_id')::uuid
    JOIN regions AS region ON region.key = run.region_key
    WHERE job.status = 'todo' ORDER BY job.priority DESC, job.id
    """
)
_TAKE = text(
    """
    UPDATE procrastinate_jobs SET status = 'doing'
    WHERE id = (SELECT id FROM procrastinate_jobs WHERE status = 'todo'
                ORDER BY priority DESC, id LIMIT 1)
    """
)
_END = text("UPDATE procrastinate_jobs SET status = 'succeeded' WHERE status = 'doing'")


@pytest.fixture
def queue(engine, settings):
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions, procrastinate_jobs CASCADE"))
    for region in REGIONS:
        add_region(engine, region, timezone="UTC")

    def train(region):
        request_training(engine, settings, region, TrainingRequest("uniform"))

    def order():
        with engine.connect() as connection:
            return "".join(connection.scalars(_ORDER))

    def work_one():
        with engine.begin() as connection:
            connection.execute(_END)
            connection.execute(_TAKE)

    return train, order, work_one


def test_a_backlog_of_one_region_lets_the_others_pass(queue):
    train, order, _ = queue
    for region in "aaaabcb":
        train(region)
    assert order() == "abcabaa"


def test_new_requests_pass_a_backlog_and_do_not_starve_it(queue):
    train, order, work_one = queue
    for _ in range(4):
        train("a")
    for _ in range(2):
        work_one()
    assert order() == "aa"
    train("b")
    assert order() == "aba", "b came when the third turn was on"
    for _ in range(6):
        work_one()
        train("b")
    assert "a" not in order(), "b, that asks again and again, did not keep a waiting"


def test_who_asks_for_many_regions_lets_others_pass(queue, engine):
    train, order, work_one = queue
    for region in "def":
        add_region(engine, region, timezone="UTC")
    for caller, regions in (("many", "abc"), ("one", "d"), ("another", "e")):
        with acting_as(caller):
            for region in regions:
                train(region)
    assert order() == "adebc"
    for _ in range(3):
        work_one()
    with acting_as("late"):
        train("f")
    assert order() == "bfc", "it came when the second of many was on"
    with acting_as("many"):
        train("d")
    assert order() == "bfcd", "a region's next turn comes after this one, whoever asks"


def test_backtests_take_turns_after_all_trainings_of_people(queue, engine, settings):
    train, order, _ = queue
    for region in "aab":
        request_backtest(engine, settings, region, BacktestRequest(("uniform",)))
    train("c")
    train("c")
    assert order() == "ccaba"


def test_a_run_that_is_cancelled_while_it_waits_leaves_no_job(queue, engine):
    train, order, _ = queue
    for region in "aab":
        train(region)
    with engine.begin() as connection:
        key = get_region(connection, "a").key
        for run in list_runs(connection, "train", key):
            assert request_cancel(connection, "train", run).status == "cancelled"
    assert order() == "b"


def test_helpers_are_invited_once_come_last_and_leave_for_what_can_start(queue, engine, settings):
    train, _, _ = queue
    run = request_backtest(engine, settings, "a", BacktestRequest(("uniform",)))
    jobs = "SELECT task_name FROM procrastinate_jobs ORDER BY priority DESC, id"
    with engine.begin() as connection:
        connection.execute(_TAKE)
        for _ in range(2):
            invite_helper(connection, run.id)
        assert not others_wait(connection, ANY), "an invitation is no other work"
    request_backtest(engine, settings, "b", BacktestRequest(("uniform",)))
    with engine.begin() as connection:
        queue_run(connection, "train", run.id, run.region_key, SCHEDULED_PRIORITY)
        names = list(connection.scalars(text(jobs)))
        assert names == ["hotslot.backtest"] * 2 + ["hotslot.train", "hotslot.help"]
        assert others_wait(connection, ANY)
        connection.execute(text("DELETE FROM procrastinate_jobs WHERE task_name <> 'hotslot.help'"))
    train("a")
    with engine.begin() as connection:
        connection.execute(_TAKE)
    train("a")
    with engine.begin() as connection:
        assert not others_wait(connection, ANY), "the second training waits for the first"
        drop_parts(connection, BACKTEST, run.id)
        assert "hotslot.help" not in list(connection.scalars(text(jobs)))
    train("b")
    with engine.begin() as connection:
        assert others_wait(connection, ANY)
