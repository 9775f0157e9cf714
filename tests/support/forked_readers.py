"""Reader processes forked from one that has loaded their libraries, where a service starts them anew.

Each is a process with the same code, orders and confinement; starting one takes a tenth of the time.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from unittest.mock import patch

import pytest

from app.readers import child, isolated

_LOADED = ("archives", "documents", "excel", "geopackage", "office", "streets")
_ORDERS_BYTES = 1 << 16
_PR_SET_PDEATHSIG = 1
_NEW = isolated._process


@contextmanager
def forked_readers() -> Iterator[None]:
    """Fork reader processes while the block lasts."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", __name__, str(its.fileno())]
    with ours, tempfile.TemporaryDirectory() as folder:
        environment = isolated._environment(folder)
        with its:
            server = subprocess.Popen(command, env=environment, pass_fds=[its.fileno()])
        with patch.object(isolated, "_process", lambda *given: _Forked(ours, *given)):
            yield
        ours.close()
        server.wait()


@pytest.fixture(scope="module")
def new_readers() -> Iterator[None]:
    """Reader processes of this module start as a service starts them."""
    with patch.object(isolated, "_process", _NEW):
        yield


class _Forked:
    """What `app.readers.isolated` uses of a `subprocess.Popen`."""

    def __init__(self, server: socket.socket, orders: Path, body: IO[bytes], held: int) -> None:
        reading, writing = os.pipe()
        told, telling = os.pipe()
        self.stdout = os.fdopen(reading, "rb", buffering=0)
        self._told = os.fdopen(told)
        self._status: int | None = None
        request = [str(orders), isolated._environment(str(orders.parent)), os.getpid()]
        try:
            passed = [body.fileno(), writing, held, telling]
            socket.send_fds(server, [json.dumps(request).encode()], passed)
        finally:
            os.close(writing)
            os.close(telling)
        self.pid = int(self._told.readline())

    def kill(self) -> None:
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self._status is None:
            self._status = int(self._told.readline())
            self._told.close()
        return self._status


def _serve(requests: socket.socket) -> None:
    """Answer each request by a fork that forks the reader and tells how it ended."""
    for name in _LOADED:
        importlib.import_module(f"app.readers.files.{name}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, passed, *_ = socket.recv_fds(requests, _ORDERS_BYTES, 4)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            _supervise(json.loads(request), *passed)
        for fd in passed:
            os.close(fd)


def _supervise(
    request: tuple[str, dict[str, str], int], body: int, out: int, _held: int, telling: int
) -> None:
    """Run the reader in a child of this process; write its number, and its status at its end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    number = os.fork()
    if number == 0:
        os.close(telling)
        code = 1
        try:
            code = _read(*request, body, out)
        finally:
            os._exit(code)
    os.close(out)
    os.write(telling, f"{number}\n".encode())
    _, status = os.waitpid(number, 0)
    os.write(telling, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _read(orders: str, environment: dict[str, str], parent: int, body: int, out: int) -> int:
    """Do what `python -m app.readers.child ORDERS` does."""
    os.dup2(body, 0)
    os.dup2(out, 1)
    os.close(out)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    os.chdir(Path(orders).parent)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    with patch.object(os, "getppid", lambda: parent):
        return child.main(orders)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
