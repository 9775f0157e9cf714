"""Child processes of a worker, in which runs and upkeep work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from app.core.settings import Settings
from app.worker.capacity import capacity_of

TERMINATE_GRACE_S = 2.0
CANCEL_LOOK_S = 1.0
CANCEL_GRACE_S = 4.0
"""Time for a cancelled run to stop by itself before its process is killed."""


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a child, with settings that may come from other sources."""
    share = capacity_of(settings)
    environment = {
        **os.environ,
        "HOTSLOT_PARENT_PID": str(os.getpid()),
        "HOTSLOT_HOME": str(settings.home),
        "HOTSLOT_DEVICE": settings.device,
        "HOTSLOT_LOG_LEVEL": settings.log_level,
        "HOTSLOT_LOG_FORMAT": settings.log_format,
        "HOTSLOT_TRAINING_THREADS": str(share.threads),
        "HOTSLOT_TRAINING_MEMORY_BYTES": str(share.training_memory_bytes),
        "HOTSLOT_BACKTEST_PROCESSES": str(share.processes),
        "HOTSLOT_WORKER_SLOTS": str(share.slots),
        "HOTSLOT_WORKER_TAKES": settings.worker_takes,
        "OMP_NUM_THREADS": str(share.threads),
        "OPENBLAS_NUM_THREADS": str(share.threads),
    }
    if settings.database_url is not None:
        environment["HOTSLOT_DATABASE_URL"] = settings.database_url.get_secret_value()
    return environment


async def run_child(
    settings: Settings,
    kind: str,
    run_id: str,
    until: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> int:
    """Start a child and wait for its end; if this task is cancelled, end the child first.

    Args:
        settings: settings of the child.
        kind: kind of the run.
        run_id: id of the run.
        until: the child is killed when it returns.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.worker.run_process",
        kind,
        run_id,
        stdin=asyncio.subprocess.DEVNULL,
        env=child_environment(settings),
    )
    killer = None if until is None else asyncio.create_task(_kill_after(process, until))
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), TERMINATE_GRACE_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        raise
    finally:
        if killer is not None:
            killer.cancel()


async def _kill_after(
    process: asyncio.subprocess.Process, until: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    await until()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
