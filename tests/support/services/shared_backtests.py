"""A backtest whose units a helper takes too, and what the database says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from app.core.settings import Settings
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.service import request_backtest
from app.runs.store import Run, claim_run

REQUEST = BacktestRequest(("pooled-kde", "multi-kde", "window-kde"), n_origins=4)
N_UNITS = 12
WAIT_S = 120.0
_CHANGING = ("seconds", "created_at", "provenance")


def claimed(engine: Engine, settings: Settings, region: str, request: BacktestRequest) -> Run:
    """Request a backtest and claim it, as the worker that leads it does."""
    asked = request_backtest(engine, settings, region, request)
    with engine.begin() as connection:
        run = claim_run(connection, "backtest", asked.id)
        job = "UPDATE procrastinate_jobs SET status = 'doing' WHERE args->>'run_id' = :run"
        connection.execute(text(job), {"run": str(asked.id)})
    assert run is not None
    return run


@contextmanager
def helper(settings: Settings, run_id: UUID, job: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A helper's process, as a worker starts it."""
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "HOTSLOT_HOME": str(settings.home),
        "HOTSLOT_DATABASE_URL": settings.database_url.get_secret_value(),
        "HOTSLOT_BACKTEST_PROCESSES": str(settings.backtest_processes),
        "HOTSLOT_JOB_STALLED_S": str(settings.job_stalled_s),
    }
    command = [sys.executable, "-m", "app.worker.run_process", "help", f"{run_id},{job}"]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def units(engine: Engine, run_id: UUID) -> list[Any]:
    """The rows of a backtest's units in their order."""
    query = text("SELECT * FROM backtest_units WHERE run_id = :run ORDER BY number")
    with engine.connect() as connection:
        return list(connection.execute(query, {"run": run_id}))


def left(engine: Engine, run_id: UUID) -> tuple[int, ...]:
    """Numbers of units, blocks of data and invitations of a backtest."""
    invitation = "task_name = 'hotslot.help' AND status = 'todo' AND args->>'run_id'"
    queries = (
        "SELECT count(*) FROM backtest_units WHERE run_id = :run",
        "SELECT count(*) FROM backtest_data WHERE run_id = :run",
        f"SELECT count(*) FROM procrastinate_jobs WHERE {invitation} = CAST(:run AS text)",
    )
    with engine.connect() as connection:
        return tuple(int(connection.scalar(text(q), {"run": run_id})) for q in queries)


def wait_until(condition: Any) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.02)


def lasting(result: Any) -> str:
    """All of a result that the clock does not change, as text."""
    return json.dumps(_without(result), sort_keys=True)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without(v) for k, v in value.items() if k not in _CHANGING}
    return [_without(one) for one in value] if isinstance(value, list) else value
