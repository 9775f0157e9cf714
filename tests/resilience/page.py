"""`docs/drills.md`: what each drill reached when it last ran, rewritten as drills end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cities import machine
from tests.resilience.drill import Drill

PAGE = Path(__file__).parents[2] / "docs" / "drills.md"
HEAD = """# Drills: what was done to the running service, and what came out

`make drills` starts real services (PostgreSQL, API, worker; real signals), acts the faults out and rewrites
this page; names as arguments choose single ones (`.venv/bin/python -m tests.resilience D1 J1`), and
`HOTSLOT_DRILL_REPEATS=10` makes shorter rounds. A short round proves less: no failure in 10 rounds still
allows a true rate of failure up to 26 % (95 %). Timings are of the day's machine, which others may share.

| id | what happens | goal | reached | round | seconds | day | |
|---|---|---|---|---|---|---|---|
"""


N_PIPES = HEAD.splitlines()[-1].count("|")


def _rows() -> dict[str, str]:
    """Row of each drill that the page tells of."""
    if not PAGE.exists():
        return {}
    lines = [line for line in PAGE.read_text().splitlines() if line.count("|") == N_PIPES]
    return {line.split("|")[1].strip(): line for line in lines}


def note(order: Sequence[Drill], drill: Drill, good: bool, reached: str, seconds: float) -> None:
    """Put a drill's outcome on the page; rows stand in the order of the drills."""
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
    kept = [rows[known.id] for known in order if known.id in rows]
    PAGE.write_text(f"{HEAD}{chr(10).join(kept)}\n\nMachine: {machine()}.\n")
