"""A worker helps where it is of use, and once only with what it cannot help with."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from app.evaluation.backtests.checkpoints import Task
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.sharing.unit_store import Claimant, claim_unit, store_plan
from app.regions.service import add_region
from app.runs.cancelling import request_cancel
from app.runs.store import finish_run
from app.runs.words import RUN_MESSAGES
from app.worker import help as helping
from app.worker.help import Helper, helper_name, run_help
from tests.support.services.shared_backtests import claimed, units

JOB = SimpleNamespace(id=7)


@pytest.fixture
def run(engine, settings):
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE regions, procrastinate_jobs CASCADE"))
    add_region(engine, "quiet", timezone="UTC")
    made = claimed(engine, settings, "quiet", BacktestRequest(("uniform",)))
    with engine.begin() as connection:
        store_plan(connection, made, "a" * 64, b"data", [Task("uniform", 0, 0)], 0)
        claim_unit(connection, Claimant(made.id, "a" * 64, helper_name(7), "here", 60.0))
    return made


@pytest.fixture
def children(monkeypatch):
    """What a helper's child would be started with; its exit status is the first of `statuses`."""
    started, statuses = [], []

    async def run_child(_settings, kind, what, until):
        started.append((kind, what))
        if statuses[0] == "stop":
            raise asyncio.CancelledError
        if statuses[0] == "frozen":
            await until()
            return -9
        return statuses[0]

    monkeypatch.setattr(helping, "run_child", run_child)
    return started, statuses


def help_once(helper, run):
    asyncio.run(helper.help(str(run.id), JOB))


@pytest.mark.parametrize(("status", "starts"), [(0, 2), (helping.DIFFERS, 1), (-9, 1)])
def test_a_helper_that_fails_gives_its_units_back_and_stays_away(
    engine, settings, run, children, status, starts
):
    started, statuses = children
    statuses.append(status)
    helper = Helper(settings.model_copy(update={"backtest_processes": 1}), engine)
    for _ in range(2):
        help_once(helper, run)
    assert started == [("help", f"{run.id},7")] * starts
    assert [u.status for u in units(engine, run.id)] == ["waiting"]


def test_a_helper_that_is_stopped_gives_its_units_back(engine, settings, run, children):
    children[1].append("stop")
    helper = Helper(settings.model_copy(update={"backtest_processes": 1}), engine)
    with pytest.raises(asyncio.CancelledError):
        help_once(helper, run)
    assert [u.status for u in units(engine, run.id)] == ["waiting"]


def test_a_frozen_helper_is_ended_after_its_backtest_was_cancelled(
    engine, settings, run, children, monkeypatch
):
    monkeypatch.setattr(helping, "CANCEL_LOOK_S", 0.01)
    monkeypatch.setattr(helping, "CANCEL_GRACE_S", 0.01)
    children[1].append("frozen")

    async def freeze_and_cancel():
        helper = Helper(settings.model_copy(update={"backtest_processes": 1}), engine)
        work = asyncio.create_task(helper.help(str(run.id), JOB))
        await asyncio.sleep(0.5)
        assert not work.done()
        with engine.begin() as connection:
            request_cancel(connection, "backtest", run)
        await asyncio.wait_for(work, 60.0)

    asyncio.run(freeze_and_cancel())


def test_nobody_helps_with_what_has_ended_or_without_a_free_core(
    engine, settings, run, children, monkeypatch
):
    helper = Helper(settings, engine)
    monkeypatch.setattr(helping, "n_places", lambda _engine, _settings: 0)
    help_once(helper, run)
    monkeypatch.setattr(helping, "n_places", lambda _engine, _settings: 1)
    with engine.begin() as connection:
        finish_run(connection, "backtest", run, "failed", RUN_MESSAGES.make("run_failed"))
    help_once(helper, run)
    assert children[0] == []
    assert run_help(engine, settings, str(run.id), "7") == 0
