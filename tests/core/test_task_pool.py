"""Pools: who dies is replaced, what closes ends its work. Imports little: each process imports it too."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import closing

import pytest

from app.core.processes.task_pool import MAX_DEATHS, ProcessDied, run_tasks

pytestmark = pytest.mark.usefixtures("new_pools")


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
        while not killed:
            killed.extend(_children())
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    results = list(run_tasks(_length, data, [1, 2], 1, 0.2))
    killer.join()
    assert killed
    assert [r for r in results if r is not None] == [len(data) + 1, len(data) + 2]


@pytest.mark.slow
def test_a_task_that_kills_every_process_ends_the_pool(tmp_path):
    with pytest.raises(ProcessDied, match=f"{MAX_DEATHS} processes died on die, .* SIGKILL"):
        list(run_tasks(_double, tmp_path / "x", ["die"], 1, 0.2))
    with pytest.raises(KeyError, match="what the work raised"):
        list(run_tasks(_double, tmp_path / "x", ["fail"], 1, 0.2))
    assert not _children()
