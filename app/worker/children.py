"""Child processes of a worker, in which runs and upkeep work."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from app.core.settings import Settings
from app.worker.capacity import capacity_of
from app.worker.warm import COMMAND, FITS, LIGHT, NUMBER

TERMINATE_GRACE_S = 2.0
CANCEL_LOOK_S = 1.0
CANCEL_GRACE_S = 4.0
"""Time for a cancelled run to stop by itself before its process is killed."""
_LIGHT = ("maintenance", "push", "sync")
"""Kinds of children that fit nothing."""


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


class _Warm:
    """The warm process of this one, started with its first child."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._threads = ""
        """Of the libraries that it has loaded."""

    def ask(self, kind: str, environment: Mapping[str, str]) -> socket.socket:
        """Ask for a child; return our end of its socket, on which nothing comes if there will be none."""
        control = self._running(environment)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, contextlib.suppress(OSError):  # the warm process has died this moment
            socket.send_fds(control, [LIGHT if kind in _LIGHT else FITS], [theirs.fileno()])
        return ours

    def _running(self, environment: Mapping[str, str]) -> socket.socket:
        threads = environment["OMP_NUM_THREADS"]
        alive = self._process is not None and self._process.poll() is None
        if alive and self._control and self._threads == threads:
            return self._control
        self.end()
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        # Arrow's unused allocator would start a thread, beside which a fork is not safe.
        own = {**environment, "JE_ARROW_MALLOC_CONF": "background_thread:false"}
        with theirs:
            self._process = subprocess.Popen(COMMAND, stdin=theirs.fileno(), env=own)
        self._threads = threads
        return self._control

    def end(self) -> None:
        """End it, and with it the children that it has."""
        if self._process is not None and self._control is not None:
            self._process.kill()
            self._process.wait()
            self._control.close()
            self._process = None


_warm = _Warm()
atexit.register(_warm.end)


class _Child:
    """A child that the warm process forks."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._request = request
        self._pid: int | None = None
        self._ended = False

    async def wait(self) -> int:
        """Return the exit status; it is as if killed if the warm process has died, which ends it too."""
        try:
            if self._pid is None:
                self._pid = await self._number()
                self._writer.write(self._request)
            status = await self._number()
        except (asyncio.IncompleteReadError, ConnectionError):
            status = -signal.SIGKILL
        self._ended = True
        return status

    async def _number(self) -> int:
        return int(NUMBER.unpack(await self._reader.readexactly(NUMBER.size))[0])

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; a child that has not begun never will."""
        if self._pid is None:
            self._writer.transport.abort()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def close(self) -> None:
        """Stop listening; a child that has not ended, because a second cancellation came, is killed."""
        if not self._ended:
            self.send_signal(signal.SIGKILL)
        self._writer.close()


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
    environment = child_environment(settings)
    request = json.dumps([kind, run_id, environment]).encode() + b"\n"
    streams = await asyncio.open_unix_connection(sock=_warm.ask(kind, environment))
    child = _Child(*streams, request)
    killer = None if until is None else asyncio.create_task(_kill_after(child, until))
    try:
        return await child.wait()
    except asyncio.CancelledError:
        child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), TERMINATE_GRACE_S)
        except TimeoutError:
            child.send_signal(signal.SIGKILL)
            await child.wait()
        raise
    finally:
        child.close()
        if killer is not None:
            killer.cancel()


async def _kill_after(child: _Child, until: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await until()
    child.send_signal(signal.SIGKILL)
