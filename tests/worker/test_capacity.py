"""A worker's slots and the share of each, by the machine or as set."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from app.core.settings import Settings
from app.worker import capacity
from app.worker.capacity import Capacity, capacity_of
from app.worker.children import child_environment

GB = 1 << 30


@pytest.fixture
def machine(monkeypatch):
    def make(cores, memory_bytes):
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(capacity, "machine_memory_bytes", lambda: memory_bytes)

    return make


def test_one_slot_has_what_a_worker_had_before(machine):
    machine(8, 64 * GB)
    assert capacity_of(Settings()) == Capacity(1, 56 * GB, 4, 0, 8 * GB)


def test_slots_share_the_cores_unless_told_otherwise(machine):
    machine(16, 64 * GB)
    assert capacity_of(Settings(worker_slots=4)) == Capacity(4, 56 * GB, 2, 4, 8 * GB)
    told = Settings(worker_slots=4, training_threads=5, backtest_processes=6)
    assert capacity_of(told) == Capacity(4, 56 * GB, 5, 6, 8 * GB)


@pytest.mark.parametrize(
    ("cores", "memory_bytes", "slots"),
    [(1, 64 * GB, 1), (2, 64 * GB, 1), (16, 64 * GB, 8), (16, 8 * GB, 3), (16, GB, 1)],
)
def test_automatic_slots_have_two_cores_and_two_gibibytes(
    machine, monkeypatch, cores, memory_bytes, slots
):
    machine(cores, memory_bytes)
    monkeypatch.setenv("HOTSLOT_WORKER_SLOTS", "auto")
    assert capacity_of(Settings()).slots == slots


def test_no_process_may_take_more_than_its_worker_was_given(machine):
    machine(4, 64 * GB)
    given = capacity_of(Settings(worker_memory_bytes=3 * GB))
    assert (given.memory_bytes, given.training_memory_bytes) == (3 * GB, 3 * GB)
    environment = child_environment(Settings(worker_memory_bytes=3 * GB, worker_slots=2))
    assert environment["HOTSLOT_TRAINING_MEMORY_BYTES"] == str(3 * GB)
    assert environment["HOTSLOT_BACKTEST_PROCESSES"] == "2"
    assert environment["OMP_NUM_THREADS"] == environment["HOTSLOT_TRAINING_THREADS"] == "1"


@pytest.mark.parametrize("name", ["worker_slots", "worker_memory_bytes", "worker_takes"])
def test_nonsense_is_refused(name):
    with pytest.raises(ValidationError):
        Settings(**{name: -1})
