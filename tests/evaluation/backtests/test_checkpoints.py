"""A backtest is resumable and stoppable: what is done is kept, and nothing that is not the same."""

import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from app.evaluation.backtests.checkpoints import MAX_AGE_S, TaskStore
from app.evaluation.backtests.execute import Execution, run_protocol, tasks_of
from models.base import FitCancelled


def test_interrupted_backtest_goes_on_where_it_stopped(
    tmp_path, incidents, grid, protocol, results
):
    store = TaskStore(tmp_path, incidents, grid, protocol)
    for kept in results[:-1]:
        store.save(kept)
    marked = replace(results[0], report={"kept": True})
    store.save(marked)
    done = run_protocol(incidents, grid, protocol, Execution(1, tmp_path))
    assert done[0].report == {"kept": True}
    for one, expected in zip(done, results, strict=True):
        assert one.task == expected.task
        np.testing.assert_array_equal(one.scored.log_density, expected.scored.log_density)
        np.testing.assert_array_equal(one.flagged, expected.flagged)
        np.testing.assert_array_equal(one.listed, expected.listed)
        assert one.area_shares == expected.area_shares
        for name, values in vars(expected.small_areas).items():
            np.testing.assert_array_equal(getattr(one.small_areas, name), values)
        for name, values in vars(expected.all_hours).items():
            np.testing.assert_array_equal(getattr(one.all_hours, name), values)
    assert not list(tmp_path.iterdir())


def test_what_a_cancelled_backtest_left_goes_after_a_month(
    tmp_path, incidents, grid, protocol, results
):
    store = TaskStore(tmp_path, incidents, grid, protocol)
    for result in results[:2]:
        store.save(result)
    old = min(tmp_path.iterdir())
    os.utime(old, (time.time() - MAX_AGE_S - 60,) * 2)
    TaskStore(tmp_path, incidents, grid, protocol)
    assert len(list(tmp_path.iterdir())) == 1
    assert not old.exists()


def test_store_refuses_what_it_cannot_read_and_what_is_not_the_same(
    tmp_path, incidents, grid, protocol, results
):
    store = TaskStore(tmp_path, incidents, grid, protocol)
    store.save(results[0])
    task = results[0].task
    assert store.load(task) is not None
    assert store.load(replace(task, seed=5)) is None
    moved = replace(incidents, x_m=incidents.x_m + 1)
    assert TaskStore(tmp_path, moved, grid, protocol).load(task) is None
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:200])
    assert store.load(task) is None


def test_cancelling_stops_soon_and_keeps_what_is_done(tmp_path, incidents, grid, protocol):
    called = threading.Event()
    started = time.monotonic()

    def progress(share, _message):
        if share > 0:
            called.set()

    with pytest.raises(FitCancelled):
        run_protocol(incidents, grid, protocol, Execution(1, tmp_path), progress, called.is_set)
    assert 1 <= len(list(tmp_path.iterdir())) < len(tasks_of(protocol))
    assert time.monotonic() - started < 60
