"""A hotslot service of its own home and port that drills may kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.services.processes import processes_of

API, WORKER, RUN = "app.server", "worker", "app.worker.run_process"
"""Arguments by which the parts of a service are known."""
START_S = 60.0


def short_serve(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run `hotslot serve`, which is expected to end at once."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "serve", "--port", "8169", "--workers", "0", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """`hotslot serve` in a process group of its own.

    Args:
        home: data folder; survives kills and restarts.
        workers: local workers it starts.
        environment: further HOTSLOT_ settings.
        processes: API processes it starts.
        code: folder of the release that it runs; None: this one.
    """

    def __init__(
        self,
        home: Path,
        workers: int = 1,
        environment: dict[str, str] | None = None,
        processes: int = 1,
        code: Path | None = None,
    ):
        self.home = home
        self.code = code
        self.port = free_port()
        self.workers = workers
        self.processes = processes
        self.environment = environment or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30.0)

    def start(self) -> float:
        """Start and wait until it is ready; returns the seconds that took."""
        started = time.perf_counter()
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port)]
        log = (self.home / "drill.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [*command, "--workers", str(self.workers), "--processes", str(self.processes)],
                env={**os.environ, "HOTSLOT_HOME": str(self.home), **self.environment},
                cwd=self.code,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while time.perf_counter() - started < START_S:
            if self.answers("/readyz"):
                return time.perf_counter() - started
            time.sleep(0.1)
        raise RuntimeError(f"not ready after {START_S:.0f} s: {self.log_tail()}")

    def answers(self, path: str) -> bool:
        """Whether a GET gives 200 now."""
        try:
            return self.client.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def log(self) -> str:
        """All that services of this home have printed."""
        return (self.home / "drill.log").read_text(errors="replace")

    def log_tail(self) -> str:
        """The end of what it printed."""
        return self.log()[-800:]

    def kill_group(self) -> None:
        """Send SIGKILL to the API, its workers and their fits at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def kill_database(self) -> None:
        """Send SIGKILL to the embedded PostgreSQL server."""
        os.kill(self.database_pid(), signal.SIGKILL)

    def pids(self, word: str = "") -> list[int]:
        """Process ids of the service whose arguments hold a word, the supervisor's among them."""
        return processes_of(self.home, word)

    def api_pid(self) -> int:
        """Process id of the API.

        Raises:
            RuntimeError: there is none now.
        """
        for pid in self.pids(API):
            return pid
        raise RuntimeError(f"no API process: {self.log_tail()}")

    def database_pid(self) -> int:
        """Process id of the postmaster."""
        from app.core.devserver.server import data_directory

        return int((data_directory(self.home) / "postmaster.pid").read_text().splitlines()[0])

    def stop(self) -> float:
        """SIGTERM; returns the seconds until it was gone (kill -9 after 30)."""
        if self.process is None:
            return 0.0
        started = time.perf_counter()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill_group()
        self.process = None
        return time.perf_counter() - started

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request; transport errors are the caller's to judge."""
        return self.client.request(method, path, **options)


@contextmanager
def service(workers: int = 1, **environment: str) -> Iterator[Service]:
    """A started service with the region `drill` in a home that is removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="hotslot-drill-"))
    with started(Service(home, workers, environment)) as running:
        yield running


@contextmanager
def started(running: Service) -> Iterator[Service]:
    """Start a service and give it the region `drill`; its home is removed afterwards."""
    try:
        running.start()
        made = running.call(
            "POST",
            "/v1/regions",
            json={"id": "drill", "name": "Drill", "timezone": "America/Bogota"},
        )
        made.raise_for_status()
        yield running
    finally:
        running.stop()
        running.client.close()
        remove_home(running.home)


def remove_home(home: Path) -> None:
    """Stop the embedded server of a home and remove everything of it."""
    from app.core.devserver.server import data_directory, ensure_running, release

    ensure_running(home)
    base = data_directory(home).parent
    release(home)
    shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)
