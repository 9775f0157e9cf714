"""What lives as long as the process is not collected again and again."""

import subprocess
import sys

from app.core.memory import FULL_COLLECTION_EVERY

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
