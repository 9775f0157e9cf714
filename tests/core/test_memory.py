"""The memory of a machine or its container, of processes, and what a process that serves collects."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.core.processes.memory import FULL_COLLECTION_EVERY, machine_memory_bytes, peak_memory_bytes

MIB = 1 << 20
SCRIPT = """
import gc
from app.core.processes.memory import freeze_garbage_collector, limit_malloc_arenas

gc.disable()
lasting = [[] for _ in range(50_000)]
limit_malloc_arenas()
if {frozen}:
    freeze_garbage_collector()
else:
    gc.enable()
tracked = len(gc.get_objects())
before = gc.get_stats()[2]["collections"]
more = [[[]] for _ in range(300_000)]
print(gc.isenabled(), tracked < 50_000, gc.get_threshold()[2], gc.get_stats()[2]["collections"] - before)
"""


def run(frozen: bool) -> tuple[bool, bool, int, int]:
    command = [sys.executable, "-c", SCRIPT.format(frozen=frozen)]
    enabled, few, every, full = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.split()
    return enabled == "True", few == "True", int(every), int(full)


def test_objects_of_start_up_are_left_out_and_full_collections_are_rare():
    enabled, few, every, full = run(frozen=False)
    assert (enabled, few) == (True, False)
    assert every < FULL_COLLECTION_EVERY
    assert full > 0
    assert run(frozen=True) == (True, True, FULL_COLLECTION_EVERY, 0)


def test_the_least_limit_of_the_groups_that_a_process_is_in_counts(tmp_path):
    groups, own = tmp_path / "cgroup", tmp_path / "own"
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine_memory_bytes(groups, own) == machine, "no groups"
    for folder, limit in (("", "max"), ("a", str(300 * MIB)), ("a/b", str(400 * MIB))):
        (groups / folder).mkdir(parents=True)
        (groups / folder / "memory.max").write_text(f"{limit}\n")
    own.write_text("0::/a/b\n")
    assert machine_memory_bytes(groups, own) == 300 * MIB
    (groups / "memory.max").write_text(f"{200 * MIB}\n")
    own.write_text("0::/of/the/host\n")
    assert machine_memory_bytes(groups, own) == 200 * MIB, "as a container sees its own limit"


def test_limits_of_the_first_version_of_groups_are_read(tmp_path):
    groups, own = tmp_path / "cgroup", tmp_path / "own"
    (groups / "memory" / "a").mkdir(parents=True)
    (groups / "memory" / "a" / "memory.limit_in_bytes").write_text(str(300 * MIB))
    own.write_text("5:cpu,cpuacct:/a\n4:memory:/a\n")
    assert machine_memory_bytes(groups, own) == 300 * MIB


@pytest.mark.slow
def test_the_peak_is_of_this_process_not_of_the_one_that_started_it():
    imported = "from app.core.processes.memory import peak_memory_bytes as peak"
    code = f"{imported}; before = peak(); taken = b'x' * (256 << 20); print(before, peak())"
    beside = bytearray(os.urandom(1) * (400 * MIB))
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    before, after = map(int, out.stdout.split())
    assert before < 350 * MIB < len(beside) <= peak_memory_bytes()
    assert after - before > 200 * MIB
