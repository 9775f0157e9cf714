"""`hotslot serve`, `worker`, `migrate`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from app.api.patient_http import PatientHttp
from app.commands.common import console, opened
from app.config import Settings
from app.logs import configure_logging
from app.services.keys import require_keys_for_others
from app.storage.database import migrate, open_engine
from app.worker.main import run_worker

WORKER_STOP_S = 10.0
WORKER_WATCH_S = 5.0
"""A local worker that was killed is replaced within so long."""


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("serve")(serve)
    app.command("worker")(worker)
    app.command("migrate")(migrate_command)


# uvicorn ends an API process that is silent for so long; its default of 5 s is less than the imports
# take on a busy machine, and processes were then ended and started for ever.
PROCESS_START_S = 60


@contextmanager
def local_workers(settings: Settings, count: int) -> Iterator[None]:
    """Worker processes that live as long as the block."""
    environment = {**os.environ, "HOTSLOT_HOME": str(settings.home)}
    if settings.database_url is not None:
        environment["HOTSLOT_DATABASE_URL"] = settings.database_url.get_secret_value()
    command = [sys.executable, "-m", "app.cli", "worker"]
    processes = [subprocess.Popen(command, env=environment) for _ in range(count)]
    ended = threading.Event()

    def replace_the_dead() -> None:
        while not ended.wait(WORKER_WATCH_S):
            for place, process in enumerate(processes):
                if process.poll() is not None:
                    processes[place] = subprocess.Popen(command, env=environment)

    watch = threading.Thread(target=replace_the_dead, daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(WORKER_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def run_service(settings: Settings, workers: int, processes: int) -> None:
    """Serve until stopped, with local workers beside."""
    # uvicorn raises the signal again when it is done; the default would end us before our clean-up.
    signal.signal(signal.SIGTERM, _leave)
    configure_logging(settings)
    with opened(settings) as engine:
        require_keys_for_others(engine, settings)
        with local_workers(settings, workers):
            console.print(f"hotslot on http://{settings.host}:{settings.port}  (stop: Ctrl-C)")
            os.environ["HOTSLOT_HOME"] = str(settings.home)
            os.environ["HOTSLOT_HOST"] = settings.host
            uvicorn.run(
                "app.main:create_served_app",
                factory=True,
                host=settings.host,
                port=settings.port,
                workers=processes,
                log_level=settings.log_level,
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=5,
                timeout_worker_healthcheck=PROCESS_START_S,
                server_header=False,
                http=PatientHttp,
            )


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Local worker processes.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="API processes.")] = 1,
) -> None:
    """Serve the HTTP API and the map, with a local worker for training."""
    base = Settings()
    settings = base.model_copy(update={"host": host or base.host, "port": port or base.port})
    run_service(settings, base.workers if workers is None else workers, processes)


def worker(
    until_empty: Annotated[bool, typer.Option(help="End when the queue is empty.")] = False,
) -> None:
    """Run trainings, backtests and syncs from the queue, and upkeep."""
    settings = Settings()
    configure_logging(settings)
    with opened(settings):
        run_worker(settings, wait=not until_empty)


def migrate_command() -> None:
    """Bring the database's schema up to date."""
    settings = Settings()
    engine = open_engine(settings)
    try:
        migrate(engine)
    finally:
        engine.dispose()
    console.print("schema is current")
