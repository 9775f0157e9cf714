"""`hotslot serve`, `migrate`."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
from types import FrameType
from typing import Annotated

import typer

from app.access.service import require_keys_for_others
from app.cli.console import console, opened, progress_bar
from app.core.db.engine import open_engine
from app.core.db.partitions import CopyProgress, advance_copy, copy_progress, restart
from app.core.db.replica import with_replica
from app.core.db.schema import migrate
from app.core.errors import Conflict, InvalidInput
from app.core.logging import configure_logging
from app.core.processes.supervisor import Child, Supervisor
from app.core.settings import Settings
from app.worker.capacity import capacity_of

BACKLOG = 2048


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _listen(host: str, port: int) -> socket.socket:
    """Open the socket that all API processes share.

    Raises:
        InvalidInput: listening on the address failed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InvalidInput(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or end the "
            "process that uses it",
            field="port",
        ) from error


def run_service(settings: Settings, workers: int, processes: int) -> None:
    """Run API processes and local workers until SIGTERM or Ctrl-C.

    Raises:
        InvalidInput: listening on the address failed, or a setting that only the API uses is wrong.
    """
    signal.signal(signal.SIGTERM, _exit)
    configure_logging(settings)
    with opened(settings) as engine:
        require_keys_for_others(engine, settings)
        with_replica(engine, settings)  # a wrong address ends here, not in each process
        environment = {
            **os.environ,
            "HOTSLOT_HOME": str(settings.home),
            "HOTSLOT_HOST": settings.host,
        }
        if settings.database_url is not None:
            environment["HOTSLOT_DATABASE_URL"] = settings.database_url.get_secret_value()
        if workers > 1 and settings.worker_slots != 1 and not settings.worker_memory_bytes:
            share = capacity_of(settings).memory_bytes // workers
            environment["HOTSLOT_WORKER_MEMORY_BYTES"] = str(share)
        with _listen(settings.host, settings.port) as listening:
            fd = listening.fileno()
            serving = [sys.executable, "-m", "app.server", str(fd)]
            working = [sys.executable, "-m", "app.cli", "worker"]
            children = [
                *(Child("API process", serving, (fd,), pulse=True) for _ in range(processes)),
                *(Child("worker", working, pulse=True) for _ in range(workers)),
            ]
            console.print(f"hotslot on http://{settings.host}:{settings.port}  (stop: Ctrl-C)")
            Supervisor(children, environment).run()


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Local worker processes.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="API processes.")] = 1,
) -> None:
    """Serve the HTTP API and the map, with a local worker; restart processes that die."""
    base = Settings()
    settings = base.model_copy(update={"host": host or base.host, "port": port or base.port})
    run_service(settings, base.workers if workers is None else workers, processes)


def migrate_command(
    copy_incidents: Annotated[
        bool,
        typer.Option(
            "--copy-incidents",
            help="Copy incidents into partitions now, not by the workers' upkeep.",
        ),
    ] = False,
) -> None:
    """Bring the database's schema up to date."""
    engine = open_engine(Settings())
    try:
        migrate(engine)
        console.print("schema is current")
        if copy_incidents:
            with progress_bar() as bar:
                task = bar.add_task("incidents into partitions", total=1.0)
                restart(engine)
                left = advance_copy(engine, math.inf, lambda p: bar.update(task, completed=p.share))
        else:
            with engine.connect() as connection:
                left = copy_progress(connection)
    finally:
        engine.dispose()
    _say_what_is_left(left)


def _say_what_is_left(left: CopyProgress | None) -> None:
    """Say how far the copy into partitions is.

    Raises:
        Conflict: the copy differs from what was copied.
    """
    if left is None:
        return
    if left.stage == "differs":
        raise Conflict(
            "the copy of the incidents into partitions differs from them, and was not taken; the log says "
            "in which region; `hotslot migrate --copy-incidents` begins it anew",
            code="copy_differs",
        )
    console.print(
        f"{left.share:.0%} of the incidents are copied into partitions; workers go on with it while hotslot "
        "serves, or run `hotslot migrate --copy-incidents`"
    )
