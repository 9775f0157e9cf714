"""Processes of backtests forked from one that has loaded their libraries, where a service starts them anew.

Two seconds of imports each, for fits of a hundredth of a second.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

import pytest

from app.core.processes import task_pool

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["app.evaluation.backtests.execute", "app.evaluation.contest.execute", "models.catalog"]
)
_NEW = task_pool._start


@pytest.fixture(scope="session", autouse=True)
def forked_pools() -> Iterator[None]:
    """Fork the processes of a pool; modules that test their start use `new_pools`."""
    with patch.object(task_pool, "_start", _start):
        yield


@pytest.fixture(scope="module")
def new_pools() -> Iterator[None]:
    """Pools of this module start their processes as a service does."""
    with patch.object(task_pool, "_start", _NEW):
        yield


def _start(work: Callable[[Any, Any], Any]) -> task_pool._Place[Any]:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_serve, args=(theirs, os.getpid(), work), daemon=True)
    process.start()
    theirs.close()
    return task_pool._Place(process, ours)


def _serve(pipe: Connection, parent: int, work: Callable[[Any, Any], Any]) -> None:
    """Serve as a child of the process that forked this one, which ends with the tests."""
    with patch.object(os, "getppid", lambda: parent):
        task_pool._serve(pipe, parent, work)
