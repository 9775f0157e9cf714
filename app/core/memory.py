"""Memory of a process that serves: what is collected when, and what glibc keeps."""

from __future__ import annotations

import ctypes
import gc

M_ARENA_MAX, MALLOC_ARENAS = -8, 2
FULL_COLLECTION_EVERY = 100
"""Collections of the middle generation; Python's default is 10."""


def freeze_garbage_collector() -> None:
    """Exclude the objects of start-up from garbage collections.

    They are most of a million objects that live as long as the process; each full collection, triggered
    by an upload's rows, stopped all threads for up to half a second (drill I3). What is loaded later, by a
    first picture for instance, still takes 50 ms: full collections come a tenth as often as by default, so
    that one caller's forecasts do not hold up the others' twice a second (drill X4). They find hardly
    anything: what dies young goes with the younger generations.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_COLLECTION_EVERY)
    gc.enable()


def limit_malloc_arenas() -> None:
    """Limit the number of glibc's heaps; otherwise each thread retains the memory of its largest reply.

    200 heavy requests at once take 1.04 GB instead of 1.22 GB (drill A3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, MALLOC_ARENAS)
