"""Write `docs/drills.md`: the last result of each drill, updated when a drill ends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cities import machine
from tests.resilience.drill import Drill

PAGE = Path(__file__).parents[2] / "docs" / "drills.md"
HEAD = """# Drills: faults injected into the running service, and the results

`make drills` starts real services (PostgreSQL, API, worker; real signals), injects the faults and rewrites
this page; names as arguments select single drills (`.venv/bin/python -m tests.resilience D1 J1`), and
`HOTSLOT_DRILL_REPEATS=10` makes shorter rounds. A short round proves less: no failure in 10 rounds still
allows a true failure rate of up to 26 % (95 %). Timings are from the day's machine, which may be shared.

| id | what happens | goal | result | round | seconds | day | |
|---|---|---|---|---|---|---|---|
"""


N_PIPES = HEAD.splitlines()[-1].count("|")


def _rows() -> dict[str, str]:
    """Return the row of each drill on the page."""
    if not PAGE.exists():
        return {}
    lines = [line for line in PAGE.read_text().splitlines() if line.count("|") == N_PIPES]
    return {line.split("|")[1].strip(): line for line in lines}


def note(order: Sequence[Drill], drill: Drill, good: bool, reached: str, seconds: float) -> None:
    """Put a drill's result on the page, in the order of the drills."""
    short = os.environ.get("HOTSLOT_DRILL_REPEATS")
    cells = (
        drill.id,
        drill.what,
        drill.goal,
        " ".join(reached.split()),
        f"at most {short} repeats" if short else "full",
        f"{seconds:.0f}",
        f"{datetime.now(UTC):%Y-%m-%d}",
        "pass" if good else "**FAIL**",
    )
    rows = _rows() | {drill.id: f"| {' | '.join(c.replace('|', '/') for c in cells)} |"}
    listed = [rows[known.id] for known in order if known.id in rows]
    PAGE.write_text(f"{HEAD}{chr(10).join(listed)}\n\nMachine: {machine()}.\n")
