"""The process of one run, started by a worker, so that fits affect neither its heartbeat nor memory.

A worker's warm process forks it (`app.worker.warm`); as a command:
`python -m app.worker.run_process KIND RUN_ID`, `... maintenance -`, `... assimilate REGION,...`, `... push -`
or `... help RUN_ID,JOB_ID`; settings come from the environment. Exit status: 0 ended (the outcome is in the
run's row), 3 to be retried (lost the database, killed from outside), 4 superseded by another worker, 5 the
memory limit was too small, 6 a helper would not fit the same as the others, 7 others assimilate some regions.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine

from app.core.errors import HotslotError, Unavailable
from app.core.logging import configure_logging
from app.core.private_files import write_privately
from app.core.processes.supervisor import end_with_parent
from app.core.roles import seeing_unreleased, sees_unreleased
from app.core.settings import Settings
from app.runs.schedules import database_clock
from app.runs.store import Superseded

RETRY = 3
SUPERSEDED = 4
OUT_OF_MEMORY = 5
LEFT = 7
"""Exit status of an assimilation that left regions to other processes, which may fail."""
_log = logging.getLogger("hotslot.worker")


def cap_memory(limit_bytes: int, device: str) -> None:
    """Limit the memory of this process, so that allocations fail before the OOM killer acts.

    The data segment is limited, not the address space, of which CUDA reserves terabytes.

    Raises:
        MemoryError: the libraries that this process was forked with are over it.
    """
    if sys.platform == "linux" and device != "cuda":
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
        status = Path("/proc/self/status").read_text()
        if int(status.partition("VmData:")[2].split(maxsplit=1)[0]) * 1024 > limit_bytes:
            raise MemoryError


def main(kind: str, what: str) -> int:
    """Execute one run, or the maintenance; return the exit status."""
    write_privately()
    sees_unreleased.set(True)
    settings = Settings()
    configure_logging(settings)
    parent = os.environ.pop("HOTSLOT_PARENT_PID", None)
    end_with_parent(None if parent is None else int(parent))
    faulthandler.enable()
    cap_memory(settings.training_memory_bytes, settings.device)
    try:
        return _work(kind, what, settings)
    except Superseded as error:
        _log.warning("run superseded", extra={"run": what, "reason": error.message})
        return SUPERSEDED
    except Unavailable as error:
        _log.warning("run interrupted", extra={"run": what, "reason": error.message})
        return RETRY


def _work(kind: str, what: str, settings: Settings) -> int:
    # After the limit, which their memory counts against; only fits load torch.
    from app.core.db.engine import open_engine
    from app.worker.help import run_help
    from app.worker.jobs import work_on

    engine = open_engine(settings)
    try:
        if kind == "maintenance":
            run_maintenance(engine, settings)
        elif kind == "assimilate":
            return run_assimilation(engine, what.split(","))
        elif kind == "push":
            run_pushes(engine, settings)
        elif kind == "help":
            return run_help(engine, settings, *what.split(","))
        else:
            work_on(engine, settings, kind, UUID(what))
    finally:
        engine.dispose()
    return 0


def run_maintenance(engine: Engine, settings: Settings) -> None:
    """Run the maintenance once, at the time of the database."""
    from app.worker.maintenance import maintain

    with engine.connect() as connection:
        now = database_clock(connection)
    _log.info("maintenance done", extra=asdict(maintain(engine, settings, now)))


def run_pushes(engine: Engine, settings: Settings) -> None:
    """Send the deliveries of subscriptions that are due."""
    from app.subscriptions.sending import Sender

    sent = Sender(engine, settings).send_due()
    _log.info("pushed", extra={"delivered": sent.delivered, "failed": sent.failed})


def run_assimilation(engine: Engine, region_ids: list[str]) -> int:
    """Bring the champions of regions up to date; failures of one do not affect the others.

    Returns:
        The exit status: `LEFT` if other processes were at work on some.
    """
    from app.states.service import InWork

    status = 0
    for region_id in region_ids:
        try:
            # Readers may be served another version than the champion: see `app.registry.visibility`.
            for exact in (True, False):
                _assimilate(engine, region_id, exact=exact)
        except InWork:
            status = LEFT
    return status


def _assimilate(engine: Engine, region_id: str, *, exact: bool) -> None:
    from app.states.service import assimilate

    try:
        with seeing_unreleased(exact):
            version, state = assimilate(engine, region_id, wait=False)
    except Unavailable:
        raise
    except HotslotError as error:
        _log.warning("assimilation failed", extra={"region": region_id, "reason": error.message})
        return
    prepare_shares_of(engine, region_id, exact=exact)
    number = None if state is None else state.number
    _log.info(
        "assimilated", extra={"region": region_id, "version": version.version, "state": number}
    )


def prepare_shares_of(engine: Engine, region_id: str, *, exact: bool) -> None:
    """Compute what rankings of a region's streets need, before the first request does."""
    from app.streets.service import prepare_shares

    try:
        with seeing_unreleased(exact):
            prepare_shares(engine, region_id)
    except Unavailable:
        raise
    except HotslotError as error:
        _log.warning("no shares of streets", extra={"region": region_id, "reason": error.message})


def main_within_memory(kind: str, what: str) -> int:
    """Call `main`, where even loading libraries may exceed the memory limit."""
    try:
        return main(kind, what)
    except (MemoryError, ImportError) as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error).lower():
            return OUT_OF_MEMORY
        raise


if __name__ == "__main__":
    sys.exit(main_within_memory(sys.argv[1], sys.argv[2]))
