"""X3 in short: what dies is started again, children end with their parent, what is cancelled stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from app.domain.errors import LimitExceeded
from app.processes import SILENT_S, Child, Supervisor
from app.services.backtest import MAX_FITS, BacktestRequest
from app.services.task_pool import MAX_DEATHS, ProcessDied, run_tasks
from benchmarks.drills.service import API, WORKER, service
from benchmarks.drills.supervision import kill_and_wait, wait_for


@pytest.mark.slow
def test_what_dies_is_started_again_and_nothing_outlives_the_supervisor():
    with service(workers=1) as target:
        for word, number in (
            (API, signal.SIGSEGV),
            (WORKER, signal.SIGABRT),
            (API, signal.SIGKILL),
        ):
            kill_and_wait(target, word, number)
        log = (target.home / "drill.log").read_text()
        for how in ("API process", "killed by SIGSEGV", "worker", "killed by SIGABRT", "SIGKILL"):
            assert how in log
        supervisor = target.process
        os.kill(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
        wait_for(lambda: not target.pids())
        target.process = None
        target.start()
        assert target.call("GET", "/v1/regions/drill").status_code == 200


def _double(shared, task):
    if task == "sleep":
        time.sleep(600)
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "die once" and not shared.exists():
        shared.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "fail":
        raise KeyError("what the work raised")
    return task * 2


def _length(shared, task):
    return len(shared) + task


def _children() -> set[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "multiprocessing-fork"],
        capture_output=True,
        text=True,
        check=False,
    )
    return set(map(int, found.stdout.split()))


def test_closing_a_pool_ends_work_that_never_looks_up(tmp_path):
    started = time.monotonic()
    with closing(run_tasks(_double, tmp_path / "x", ["sleep", "a"], 2, 0.2)) as results:
        assert next(r for r in results if r is not None) == "aa"
        assert _children()
    assert not _children()
    assert time.monotonic() - started < 300


def test_a_task_whose_process_died_is_done_by_another(tmp_path):
    results = run_tasks(_double, tmp_path / "x", ["a", "die once", "b"], 2, 0.2)
    assert sorted(r for r in results if r is not None) == ["aa", "bb", "die oncedie once"]
    assert not _children()


def test_a_process_that_dies_before_it_has_its_data_blocks_nobody():
    data = bytes(10_000_000)
    killed = []

    def kill_the_first():
        wait_for(lambda: bool(_children()))
        killed.extend(_children())
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    results = list(run_tasks(_length, data, [1, 2], 1, 0.2))
    killer.join()
    assert killed
    assert [r for r in results if r is not None] == [len(data) + 1, len(data) + 2]


def test_a_task_that_kills_every_process_ends_the_pool(tmp_path):
    with pytest.raises(ProcessDied, match=f"{MAX_DEATHS} processes died over die, .* SIGKILL"):
        list(run_tasks(_double, tmp_path / "x", ["die"], 1, 0.2))
    with pytest.raises(KeyError, match="what the work raised"):
        list(run_tasks(_double, tmp_path / "x", ["fail"], 1, 0.2))
    assert not _children()


def test_a_child_that_dies_young_waits_longer_each_time():
    child = Child("child", [sys.executable, "-c", ""])
    waits = []
    for _ in range(6):
        child.start(os.environ)
        child.process.wait()
        waits.append(child.bury())
    assert waits == [0, 1, 2, 4, 5, 5]


def test_a_child_that_falls_silent_is_killed_and_replaced(monkeypatch, caplog):
    assert SILENT_S > 10
    monkeypatch.setattr("app.processes.SILENT_S", 0.5)
    code = "import os, time; os.write(int(os.environ['HOTSLOT_PULSE_FD']), b'.'); time.sleep(600)"
    child = Child("child", [sys.executable, "-c", code], pulse=True)
    supervisor = Supervisor([child], os.environ)
    supervisor._look_after(child)
    first = child.process
    wait_for(lambda: bool(supervisor._look_after(child)) or child.process is not first)
    supervisor._look_after(child)
    assert first.returncode == -signal.SIGKILL
    assert "gives no sign of life" in caplog.text
    supervisor._end_all()
    assert child.process.returncode == -signal.SIGTERM


def test_a_process_whose_parent_is_gone_already_ends_at_once():
    code = (
        "import sys; from app.processes import end_with_parent\n"
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
