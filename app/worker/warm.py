"""A worker's warm process: it loads the libraries, which takes seconds, and forks the worker's children.

`python -m app.worker.warm`; its standard input is a socket. On it the worker sends for each child a byte,
which libraries the child needs, and a socket of the child's own. That says the child's process id and, once
it has ended, its exit status; the worker then sends a line on it: what the child shall do, and in which
environment.

The warm process has no threads, no connections and no CUDA. Where a fork without exec is not safe, on macOS,
it loads nothing, and its children execute `app.worker.run_process`.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from app.core.processes.supervisor import end_with_parent
from app.worker.run_process import main_within_memory

COMMAND = (sys.executable, "-m", "app.worker.warm", " " * 80)
"""The blanks are room for a child's own command."""
LIGHT, FITS = b"l", b"f"
NUMBER = struct.Struct("<i")
_FORKS = sys.platform == "linux"
_LIBRARIES = {
    LIGHT: (
        *("app.core.db.engine", "app.worker.help", "app.worker.jobs", "app.worker.maintenance"),
        *("app.subscriptions.sending", "app.states.service", "app.streets.service"),
    ),
    FITS: ("torch", "models.densities.gmm", "models.densities.refresh"),
}
_log = logging.getLogger("hotslot.worker")


def main() -> int:
    """Fork children until the worker ends; in a child, return its exit status."""
    control = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    end_with_parent(int(os.environ["HOTSLOT_PARENT_PID"]), watch=False)
    load(LIGHT)
    parent = os.getpid()
    link = serve(control)
    return 0 if link is None else work(link, parent)


def load(which: bytes) -> None:
    """Load libraries; one that cannot be loaded is left to the child, which then fails."""
    if _FORKS:
        for name in _LIBRARIES[which]:
            with suppress(ImportError):
                import_module(name)
        gc.collect()
        gc.freeze()  # or the first full collection of each child would copy all pages


def serve(control: socket.socket) -> socket.socket | None:
    """Fork children; return a child's socket in the child, and None here when the worker has ended."""
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    links: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _report_ended(links)
        if control not in ready:
            continue
        which, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not which:
            return None
        load(which)
        link = _fork(fds, links)
        if link is not None:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, interrupt)
            _close((control, woken, wake, *links.values()))
            return link


def _fork(fds: list[int], links: dict[int, socket.socket]) -> socket.socket | None:
    """Fork; return the socket in the child. Without a child it is closed, which the worker notices."""
    for fd in fds:  # one, or none if this process can open no more files
        os.set_inheritable(fd, False)
        link = socket.socket(fileno=fd)
        try:
            pid = os.fork()
        except OSError as error:
            _log.error("no process can be started", extra={"reason": error.strerror})
            link.close()
            return None
        if pid == 0:
            return link
        links[pid] = link
        _send(link, pid)
    return None


def _report_ended(links: dict[int, socket.socket]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            link = links.pop(pid)
            _send(link, os.waitstatus_to_exitcode(status))
            link.close()


def _send(link: socket.socket, number: int) -> None:
    with suppress(OSError):  # the worker no longer wants to know
        link.sendall(NUMBER.pack(number))


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


def work(link: socket.socket, parent: int) -> int:
    """Do in a child what its worker says; return the exit status."""
    # At once: a child that is stopped here must not outlive the warm process.
    end_with_parent(parent, watch=False)
    with link.makefile("rb") as file:
        line = file.readline()
    if not line:
        return 0  # the worker gave it up
    kind, what, environment = json.loads(line)
    os.environ.clear()
    os.environ.update(environment, HOTSLOT_PARENT_PID=str(parent))
    command = [sys.executable, "-m", "app.worker.run_process", kind, what]
    if not _FORKS:
        os.execv(sys.executable, command)  # noqa: S606
    show(command)
    return main_within_memory(kind, what)


def show(command: list[str]) -> None:
    """Show a command as that of this process, to `ps` for instance, as far as there is room for it."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, n_bytes = int(fields[45]), int(fields[46]) - int(fields[45])
    text = os.fsencode("\0".join(command))[: n_bytes - 1]
    if start:
        ctypes.memmove(start, text.ljust(n_bytes, b"\0"), n_bytes)


def end(status: int) -> NoReturn:
    """End like the interpreter, but without taking its objects apart, which copies all their pages."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    end(main())
