"""The process that fits: started by a worker for one run, so that a fit can neither starve the
worker's heartbeat nor take its memory along when it fails.

`python -m app.worker.run_process KIND RUN_ID`, or `... maintenance -` for upkeep; settings come from the
environment. Exit status: 0 ended (whatever the outcome, it is written in the run's row), 3 worth
another try (lost the database, killed from outside), 4 superseded by another worker, 5 the
memory cap was too small.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import resource
import sys
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import Engine

from app.core.errors import Unavailable
from app.core.logging import configure_logging
from app.core.private_files import write_privately
from app.core.processes import end_with_parent
from app.core.roles import sees_unreleased
from app.core.settings import Settings
from app.runs.schedules import database_clock
from app.runs.store import Superseded

RETRY = 3
SUPERSEDED = 4
OUT_OF_MEMORY = 5
_log = logging.getLogger("hotslot.worker")


def cap_memory(limit_bytes: int, device: str) -> None:
    """Let allocations beyond the limit fail here instead of waking the system's OOM killer.

    Data segments are limited, not address space, which CUDA reserves by the terabyte.
    """
    if sys.platform == "linux" and device != "cuda":
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def main(kind: str, what: str) -> int:
    """Work on one run to its end, or do the upkeep; returns the exit status."""
    write_privately()
    sees_unreleased.set(True)
    settings = Settings()
    configure_logging(settings)
    parent = os.environ.pop("HOTSLOT_PARENT_PID", None)
    end_with_parent(None if parent is None else int(parent))
    faulthandler.enable()
    cap_memory(settings.training_memory_bytes, settings.device)
    # After the cap, which they count against; torch itself is loaded by fits alone.
    from app.core.db.engine import open_engine
    from app.worker.jobs import work_on

    engine = open_engine(settings)
    try:
        if kind == "maintenance":
            upkeep(engine, settings)
        else:
            work_on(engine, settings, kind, UUID(what))
    except Superseded as error:
        _log.warning("run superseded", extra={"run": what, "reason": error.message})
        return SUPERSEDED
    except Unavailable as error:
        _log.warning("run interrupted", extra={"run": what, "reason": error.message})
        return RETRY
    finally:
        engine.dispose()
    return 0


def upkeep(engine: Engine, settings: Settings) -> None:
    """Do it once, by the database's clock."""
    from app.worker.maintenance import maintain

    with engine.connect() as connection:
        now = database_clock(connection)
    _log.info("upkeep done", extra=asdict(maintain(engine, settings, now)))


def main_within_memory(kind: str, what: str) -> int:
    """`main`, where even loading the libraries may need more memory than the cap allows."""
    try:
        return main(kind, what)
    except (MemoryError, ImportError) as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error).lower():
            return OUT_OF_MEMORY
        raise


if __name__ == "__main__":
    sys.exit(main_within_memory(sys.argv[1], sys.argv[2]))
