"""What lives as long as the process is not collected again and again."""

import subprocess
import sys

SCRIPT = """
import gc
from app.core.memory import freeze_garbage_collector, limit_malloc_arenas

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
print(gc.isenabled(), tracked < 50_000, gc.get_stats()[2]["collections"] - before)
"""


def run(frozen: bool) -> tuple[bool, bool, int]:
    command = [sys.executable, "-c", SCRIPT.format(frozen=frozen)]
    enabled, few, full = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.split()
    return enabled == "True", few == "True", int(full)


def test_objects_of_start_up_are_left_out_and_full_collections_are_rare():
    enabled, few, full = run(frozen=False)
    assert (enabled, few) == (True, False)
    assert full > 2
    assert run(frozen=True) == (True, True, 0)
