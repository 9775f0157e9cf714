"""`hotslot worker`."""

from __future__ import annotations

import faulthandler
import os
from typing import Annotated

import typer

from app.cli.console import opened
from app.core.logging import configure_logging
from app.core.processes.supervisor import end_with_parent
from app.core.settings import Settings
from app.worker.main import run_worker


def worker(
    until_empty: Annotated[bool, typer.Option(help="Exit when the queue is empty.")] = False,
) -> None:
    """Run trainings, backtests, syncs and maintenance from the queue."""
    parent = os.environ.pop("HOTSLOT_PARENT_PID", None)
    if parent is not None:
        end_with_parent(int(parent))
    faulthandler.enable()
    settings = Settings()
    configure_logging(settings)
    with opened(settings):
        run_worker(settings, wait=not until_empty)
