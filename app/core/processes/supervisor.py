"""Supervise child processes: restart those that die, and end all with their parent."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

POLL_S = 0.2
STOP_S = 6.0
"""How long children may take to end when asked; then they are killed."""
SHORT_LIFE_S = 30.0
MAX_BACKOFF_S = 3.0
"""A child that keeps dying young is restarted after 0, 1, 2, 3, 3, ... seconds."""
SILENT_S = 60.0
"""A child that stops sending heartbeats for this long is killed."""
START_S = 120.0
"""A child that has not sent its first heartbeat by then is killed."""
PARENT_WATCH_S = 1.0
_PR_SET_PDEATHSIG = 1
_log = logging.getLogger("hotslot.supervisor")


def end_with_parent(parent: int | None = None, *, watch: bool = True) -> None:
    """End this process as soon as its parent has ended, however that happened.

    On Linux the kernel kills it; elsewhere, and in addition, a thread looks once a second. The kernel
    acts when the *thread* that started this process ends, so parents start children from their main
    thread.

    Args:
        parent: expected process id of the parent; by default the current one.
        watch: whether to start the thread.
    """
    expected = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def look() -> None:
        while os.getppid() == expected:
            time.sleep(PARENT_WATCH_S)
        os.kill(os.getpid(), signal.SIGKILL)

    # The parent may have died before the line above was reached.
    if os.getppid() != expected:
        os.kill(os.getpid(), signal.SIGKILL)
    if watch:
        threading.Thread(target=look, name="parent-watch", daemon=True).start()


def heartbeat_sender() -> Callable[[], None]:
    """Return a function that reports to the supervisor that this process is alive.

    Called from an event loop every second: it never blocks.
    """
    given = os.environ.pop("HOTSLOT_PULSE_FD", None)
    if given is None:
        return lambda: None
    fd = int(given)
    os.set_blocking(fd, False)

    def give() -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(fd, b".")

    return give


def how_it_ended(returncode: int) -> str:
    """Describe an exit status: the signal's name, or the status.

    >>> how_it_ended(-11), how_it_ended(1)
    ('killed by SIGSEGV', 'exit status 1')
    """
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"


@dataclass
class Child:
    """A supervised process.

    Args:
        name: its name in logs.
        command: program and arguments.
        pass_fds: file descriptors that it inherits.
        pulse: whether it sends heartbeats to the descriptor in `HOTSLOT_PULSE_FD`.
    """

    name: str
    command: Sequence[str]
    pass_fds: tuple[int, ...] = ()
    pulse: bool = False
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    start_at_s: float = 0.0
    n_short_lives: int = 0
    pulse_fd: int | None = field(default=None, repr=False)
    pulse_s: float | None = None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process.

        Raises:
            OSError: the system cannot start another process.
        """
        own = {**environment, "HOTSLOT_PARENT_PID": str(os.getpid())}
        passed = self.pass_fds
        with contextlib.ExitStack() as ours:
            if self.pulse:
                self.pulse_fd, write_fd = os.pipe()
                ours.callback(os.close, write_fd)
                os.set_blocking(self.pulse_fd, False)
                passed = (*passed, write_fd)
                own["HOTSLOT_PULSE_FD"] = str(write_fd)
            self.started_s, self.pulse_s = time.monotonic(), None
            self.process = subprocess.Popen(self.command, env=own, pass_fds=passed)

    def hangs(self) -> bool:
        """Return whether it has stopped reporting, or never started to."""
        if self.pulse_fd is None:
            return False
        with contextlib.suppress(BlockingIOError):
            while os.read(self.pulse_fd, 4096):
                self.pulse_s = time.monotonic()
        if self.pulse_s is None:
            return time.monotonic() - self.started_s > START_S
        return time.monotonic() - self.pulse_s > SILENT_S

    def bury(self) -> float:
        """Clean up after the process that ended; return the seconds to wait before restarting it."""
        young = time.monotonic() - self.started_s < SHORT_LIFE_S
        self.n_short_lives = self.n_short_lives + 1 if young else 0
        if self.pulse_fd is not None:
            os.close(self.pulse_fd)
        self.process, self.pulse_fd = None, None
        wait_s = (
            min(2.0 ** (self.n_short_lives - 2), MAX_BACKOFF_S) if self.n_short_lives > 1 else 0
        )
        self.start_at_s = time.monotonic() + wait_s
        return wait_s


class Supervisor:
    """Run children until SIGTERM, SIGINT or SIGHUP; must run in the main thread."""

    def __init__(self, children: Sequence[Child], environment: Mapping[str, str]) -> None:
        self.children = children
        self.environment = environment
        # Not an Event: its lock may be held when the signal handler runs, which would then deadlock.
        self._stopping = False

    def run(self) -> None:
        """Start all children, replace those that end, and end all when asked to stop."""
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            numbers.append(signal.SIGHUP)
        before = {n: signal.signal(n, self._stop) for n in numbers}
        try:
            while not self._stopping:
                for child in self.children:
                    self._look_after(child)
                time.sleep(POLL_S)
        finally:
            self._end_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _look_after(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.start_at_s:
                self._start(child)
            return
        if child.hangs():
            _log.error("%s %d sends no heartbeat: killed", child.name, child.process.pid)
            child.process.kill()
            child.process.wait()
        returncode = child.process.poll()
        if returncode is None:
            return
        pid, why = child.process.pid, how_it_ended(returncode)
        wait_s = child.bury()
        _log.error("%s %d ended (%s); starting another in %g s", child.name, pid, why, wait_s)

    def _start(self, child: Child) -> None:
        try:
            child.start(self.environment)
        except OSError as error:
            wait_s = child.bury()
            _log.error("%s cannot be started (%s); again in %g s", child.name, error, wait_s)

    def _end_all(self) -> None:
        """Ask all children to end, then kill those that have not."""
        processes = [child.process for child in self.children if child.process is not None]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in processes:
            try:
                process.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                _log.warning("process %d did not end in time: killed", process.pid)
                process.kill()
                process.wait()
