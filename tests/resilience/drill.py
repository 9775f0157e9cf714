"""What a drill reports."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Drill:
    """One row of the table of faults.

    Args:
        id: of the row (D1, J1, ...), or a name of our own.
        what: what is done.
        goal: what must come out.
        run: acts it out; returns whether the goal was met and the numbers reached.
    """

    id: str
    what: str
    goal: str
    run: Callable[[], tuple[bool, str]]


def repeats(full: int) -> int:
    """How often to act a fault out: `full`, or HOTSLOT_DRILL_REPEATS where that is less."""
    return min(full, int(os.environ.get("HOTSLOT_DRILL_REPEATS", str(full))))
