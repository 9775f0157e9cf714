"""`make drills`: every drill, a table of what was reached, docs/drills.md, and a line `RESULT drills ...`.

HOTSLOT_DRILL_REPEATS=3 makes a quick round; names as arguments choose single drills.
"""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.table import Table

from benchmarks.cities import machine
from tests.resilience import (
    contract,
    database_faults,
    fair_shares,
    hammer,
    ingest,
    interrupted_uploads,
    operations,
    page,
    reproducibility,
    responsible,
    times,
)
from tests.resilience.attacks import (
    abuse,
    access,
    altered_versions,
    attacker,
    corrupted_versions,
    degenerate,
    hostile_formats,
    hostile_uploads,
)
from tests.resilience.work import jobs, leases, machines, states, supervision, units, upgrade

ALL = (
    *interrupted_uploads.DRILLS,
    *ingest.DRILLS,
    *hostile_uploads.DRILLS,
    *hostile_formats.DRILLS,
    *times.DRILLS,
    *database_faults.DRILLS,
    *upgrade.DRILLS,
    *jobs.DRILLS,
    *leases.DRILLS,
    *supervision.DRILLS,
    *units.DRILLS,
    *states.DRILLS,
    *machines.DRILLS,
    *corrupted_versions.DRILLS,
    *altered_versions.DRILLS,
    *degenerate.DRILLS,
    *reproducibility.DRILLS,
    *abuse.DRILLS,
    *access.DRILLS,
    *fair_shares.DRILLS,
    *contract.DRILLS,
    *operations.DRILLS,
    *responsible.DRILLS,
    *hammer.DRILLS,
    *attacker.DRILLS,
)


def main(names: list[str]) -> int:
    """Run the drills of these names (all without one); 0 when all pass."""
    chosen = [d for d in ALL if not names or d.id in names]
    console = Console()
    console.print(machine())
    table = Table("id", "what happens", "goal", "reached", "seconds", "")
    passed = 0
    for drill in chosen:
        started = time.perf_counter()
        try:
            good, reached = drill.run()
        except Exception as error:  # a drill that cannot be acted out has failed, the others go on
            good, reached = False, f"{type(error).__name__}: {error}"
        passed += good
        seconds = time.perf_counter() - started
        page.note(ALL, drill, good, reached, seconds)
        verdict = "pass" if good else "FAIL"
        table.add_row(drill.id, drill.what, drill.goal, reached, f"{seconds:.0f}", verdict)
        console.print(f"{drill.id}: {'pass' if good else 'FAIL'}: {reached}", highlight=False)
    console.print(table)
    print(f"RESULT drills passed={passed} failed={len(chosen) - passed}")
    return 0 if passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
