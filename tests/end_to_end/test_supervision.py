"""X3 in short: what dies is started again, children end with their parent, what is cancelled stops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from app.core.errors import LimitExceeded
from app.core.processes.supervisor import SILENT_S, Child, Supervisor
from app.evaluation.backtests.request import MAX_FITS, BacktestRequest
from app.worker.main import serve_queue
from tests.resilience.work.supervision import (
    POOL,
    busied,
    kill_and_wait,
    start_backtest,
    wait_for,
    wait_for_pool,
)
from tests.support.services.service import API, WORKER, Service, service, started
from tests.support.uploads import upload


@pytest.mark.slow
def test_what_dies_is_started_again_and_nothing_outlives_the_supervisor(tmp_path):
    with started(Service(tmp_path, processes=2)) as target:
        wait_for(lambda: len(target.pids(API)) == 2)
        for word, number in (
            (API, signal.SIGSEGV),
            (WORKER, signal.SIGABRT),
            (API, signal.SIGKILL),
        ):
            kill_and_wait(target, word, number)
        log = (target.home / "drill.log").read_text()
        for how in ("API process", "killed by SIGSEGV", "worker", "killed by SIGABRT", "SIGKILL"):
            assert how in log
        wait_for(lambda: len(target.pids(API)) == 2)
        supervisor = target.process
        os.kill(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
        wait_for(lambda: not target.pids())
        target.process = None
        target.start()
        assert target.call("GET", "/v1/regions/drill").status_code == 200


@pytest.mark.slow
def test_a_cancelled_run_that_does_not_notice_is_ended_from_outside():
    """Whatever it is busy with: here it is frozen."""
    with service(workers=1) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        for what, body in (("backtests", {"models": ["maf"]}), ("training-runs", {"model": "maf"})):
            asked = target.call("POST", f"/v1/regions/drill/{what}", json=body)
            path = asked.raise_for_status().headers["Location"]
            wait_for(lambda path=path: target.call("GET", path).json()["status"] == "running")
            run_id = path.rsplit("/", 1)[1]  # not upkeep, which runs by the same module
            for pid in target.pids(run_id):
                os.kill(pid, signal.SIGSTOP)
            target.call("DELETE", path).raise_for_status()
            wait_for(lambda run_id=run_id: not target.pids(run_id) and not target.pids(POOL))
            wait_for(lambda path=path: target.call("GET", path).json()["status"] == "cancelled")


@pytest.mark.slow
def test_sigterm_ends_all_whatever_is_under_way():
    with service(workers=1) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        start_backtest(target)
        wait_for_pool(target)
        with busied(target):
            took_s = target.stop()
        assert took_s < 25  # 10 s are the aim; a busy machine needs more
        # The kernel kills a pool with its parent; on a busy machine that takes a moment.
        wait_for(lambda: not target.pids(), 60)


ENDLESS = """
import os, sys, threading, time
os.environ["HOTSLOT_PARENT_PID"] = str(os.getppid())
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
import app.main, app.server

def forever(request):
    print("busy", flush=True)
    while True:
        time.sleep(0.01)

app.main.create_served_app = lambda: Starlette(routes=[Route("/", forever)])
app.server.STOP_S = 2.0
app.server.main(int(sys.argv[1]))
"""


def test_an_api_process_ends_though_a_thread_never_returns():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd, port = listening.fileno(), listening.getsockname()[1]
        command = [sys.executable, "-c", ENDLESS, str(fd)]
        with (
            subprocess.Popen(command, pass_fds=[fd], stdout=subprocess.PIPE) as process,
            socket.create_connection(("127.0.0.1", port)) as caller,
        ):
            caller.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert process.stdout.readline() == b"busy\n"
            process.terminate()
            try:
                assert process.wait(60) == 1
            finally:
                process.kill()


def test_a_child_that_dies_young_waits_longer_each_time():
    child = Child("child", [sys.executable, "-c", ""])
    waits = []
    for _ in range(6):
        child.start(os.environ)
        child.process.wait()
        waits.append(child.bury())
    assert waits == [0, 1, 2, 3, 3, 3]


def test_a_child_that_falls_silent_is_killed_and_replaced(monkeypatch, caplog):
    assert SILENT_S > 10
    monkeypatch.setattr("app.core.processes.supervisor.SILENT_S", 0.5)
    code = "import os, time; os.write(int(os.environ['HOTSLOT_PULSE_FD']), b'.'); time.sleep(600)"
    child = Child("child", [sys.executable, "-c", code], pulse=True)
    supervisor = Supervisor([child], os.environ)
    supervisor._look_after(child)
    first = child.process
    wait_for(lambda: bool(supervisor._look_after(child)) or child.process is not first)
    supervisor._look_after(child)
    assert first.returncode == -signal.SIGKILL
    assert "sends no heartbeat" in caplog.text
    supervisor._end_all()
    assert child.process.returncode == -signal.SIGTERM


def test_a_child_that_never_gives_a_sign_of_life_is_killed(monkeypatch, caplog):
    monkeypatch.setattr("app.core.processes.supervisor.START_S", 0.5)
    child = Child("child", [sys.executable, "-c", "import time; time.sleep(600)"], pulse=True)
    supervisor = Supervisor([child], os.environ)
    wait_for(lambda: bool(supervisor._look_after(child)) or child.n_short_lives > 0)
    assert "sends no heartbeat" in caplog.text
    supervisor._end_all()


def test_a_child_that_cannot_be_started_is_tried_again(caplog):
    child = Child("child", ["/nowhere/at/all"], pulse=True)
    supervisor = Supervisor([child], os.environ)
    supervisor._look_after(child)
    assert "cannot be started" in caplog.text
    child.command = ["sleep", "600"]
    supervisor._look_after(child)
    assert child.process.poll() is None
    supervisor._end_all()


def test_a_worker_gives_signs_of_life(engine, settings, monkeypatch):
    ours, theirs = os.pipe()
    monkeypatch.setenv("HOTSLOT_PULSE_FD", str(theirs))
    asyncio.run(serve_queue(settings, engine, wait=False))
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        assert pipe.read()


def test_a_supervisor_hears_a_signal_whenever_it_comes():
    """An Event's lock would be held now and then, and the handler would wait for it for ever."""
    code = (
        "import app.core.processes.supervisor as p; p.POLL_S = 0; "
        "print('on', flush=True); p.Supervisor([], {}).run()"
    )
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.1)
        process.terminate()
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.stdout.close()


def test_a_process_whose_parent_is_gone_already_ends_at_once():
    code = (
        "import sys; from app.core.processes.supervisor import end_with_parent\n"
        "end_with_parent(int(sys.argv[1])); print('lives')"
    )
    run = subprocess.run([sys.executable, "-c", code, "1"], capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL
    assert run.stdout == b""
    mine = str(os.getpid())
    run = subprocess.run([sys.executable, "-c", code, mine], capture_output=True, check=False)
    assert run.stdout == b"lives\n"


def test_a_backtest_of_thousands_of_fits_is_refused_with_the_limit():
    models = ("uniform", "pooled-kde", "window-kde", "gmm")
    assert BacktestRequest(models, n_origins=25, n_seeds=20).checked()
    with pytest.raises(LimitExceeded, match=f"2080 fits, the limit is {MAX_FITS}") as refused:
        BacktestRequest(models, n_origins=26, n_seeds=20).checked()
    assert refused.value.limit == MAX_FITS
