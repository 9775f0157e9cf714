"""The service with a worker process, as the page's tests use it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from app.core.db.engine import open_engine
from app.core.settings import Settings
from app.evaluation.backtests.request import BacktestRequest
from app.main import create_app
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.services.serving import listening
from tests.support.simulated.town import add_town

TRAINED = TrainingRequest("pooled-kde", until=datetime(2019, 12, 20, 5, tzinfo=UTC), seed=1)
"""The version that serves when the tests begin; the incidents go on for eleven more days."""


@dataclass
class Site:
    """Where the service listens."""

    url: str
    region: str
    csv: Path
    settings: Settings | None = field(default=None, kw_only=True)
    also: tuple[str, ...] = field(default=(), kw_only=True)
    """Origins beside its own that its page may ask."""


@contextmanager
def working(settings) -> Iterator[None]:
    """A worker process on the same database."""
    environment = {
        **os.environ,
        "HOTSLOT_HOME": str(settings.home),
        "HOTSLOT_DATABASE_URL": settings.database_url.get_secret_value(),
        "HOTSLOT_TRAINING_THREADS": "1",
        "HOTSLOT_BACKTEST_PROCESSES": "1",  # each imports for longer than it fits here
    }
    worker = subprocess.Popen([sys.executable, "-m", "app.cli", "worker"], env=environment)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(60)


def finished(url: str) -> dict:
    """A run when it has ended."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        run = httpx.get(url).json()
        if run["status"] in ("succeeded", "failed", "cancelled"):
            return run
        time.sleep(0.2)
    raise AssertionError(run)


def backtested(site: Site, request: BacktestRequest) -> dict:
    """The result of a backtest of the site's region, in this process: a worker's would import longer."""
    engine = open_engine(site.settings)
    run = run_now(engine, site.settings, site.region, request, lambda *_: None)
    engine.dispose()
    assert run.status == "succeeded", run.message
    path = f"{site.url}/v1/regions/{site.region}/backtests/{run.id}"
    return httpx.get(path).raise_for_status().json()["result"]


@contextmanager
def trained(settings, csv: Path) -> Iterator[Site]:
    """The service and its worker with the town and a version that serves."""
    engine = open_engine(settings)
    town = add_town(engine, settings, csv)
    run = run_now(engine, settings, town, TRAINED, lambda *_: None)
    assert run.status == "succeeded", run.message
    with listening(create_app(settings, engine)) as url, working(settings):
        yield Site(url, town, csv, settings=settings)
    engine.dispose()
