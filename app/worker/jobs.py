"""Working on queued runs: claim, report progress, end with an outcome that a person can read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Engine

from app.audit import store as audit
from app.core.errors import Conflict, HotslotError, Unavailable
from app.core.retry import OUTAGE_S, through_outage
from app.core.roles import acting_as
from app.core.settings import Settings
from app.evaluation.backtests.service import BacktestRequest, execute_backtest
from app.regions.store import get_region
from app.runs.store import (
    Run,
    Superseded,
    beat,
    claim_run,
    count_failure,
    create_run,
    finish_run,
    get_run,
    is_cancelling,
)
from app.sync.execute import execute_sync
from app.training.service import TrainingRequest, execute_training
from models.base import FitCancelled, TooFewIncidents

BEAT_EVERY_S = 0.5
EXECUTORS = {"train": execute_training, "backtest": execute_backtest, "sync": execute_sync}
_log = logging.getLogger("hotslot.jobs")


class RunMonitor:
    """Carries a fit's progress into the run's row, and the caller's wish to cancel back.

    At most one write per half second; the share done never falls. A database that is away for a
    short while costs the fit nothing: what it writes later is still fenced by its attempt.
    """

    def __init__(self, engine: Engine, kind: str, run: Run) -> None:
        self.engine = engine
        self.kind = kind
        self.run = run
        self._last_beat = 0.0
        self._answered = time.monotonic()
        self._share = 0.0
        self._cancelled = False

    def progress(self, share: float, message: str) -> None:
        """Write progress when it is time to.

        Raises:
            Superseded: another worker has the run now.
            Unavailable: the database has not answered for a minute.
        """
        now = time.monotonic()
        if now - self._last_beat < BEAT_EVERY_S:
            return
        self._last_beat = now
        self._share = max(self._share, min(share, 1.0))
        try:
            with self.engine.begin() as connection:
                self._cancelled = beat(connection, self.kind, self.run, self._share, message)
        except Unavailable:
            if now - self._answered > OUTAGE_S:
                raise
        else:
            self._answered = time.monotonic()

    def cancelled(self) -> bool:
        """Whether the caller asked to stop, as of the last beat."""
        return self._cancelled


def work_on(engine: Engine, settings: Settings, kind: str, run_id: UUID) -> None:
    """Claim a run and work on it to its end; a run that is finished already is left alone.

    Raises:
        Superseded: another worker took over meanwhile.
        Unavailable: the database went away; the run may be tried again.
    """
    run = through_outage(lambda: _claim(engine, kind, run_id))
    if run is not None:
        run_claimed(engine, settings, kind, run)


def _claim(engine: Engine, kind: str, run_id: UUID) -> Run | None:
    with engine.begin() as connection:
        return claim_run(connection, kind, run_id)


def run_now(
    engine: Engine,
    settings: Settings,
    region_id: str,
    request: TrainingRequest | BacktestRequest,
    watch: Callable[[float, str], None],
) -> Run:
    """Train or backtest in this process (the command line): the same row, without the queue.

    Raises:
        NotFound: no such region.
        InvalidInput: the request is wrong.
    """
    kind = "train" if isinstance(request, TrainingRequest) else "backtest"
    request.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        queued = create_run(connection, kind, region.key, request.to_json())
        run = claim_run(connection, kind, queued.id)
        action = "training.requested" if kind == "train" else "backtest.requested"
        told = {"run": str(queued.id), **request.audited()}
        audit.record(connection, action, chain=region.id, **told)
    if run is None:
        raise Conflict("the run was cancelled before it started")
    return run_claimed(engine, settings, kind, run, watch)


def run_claimed(
    engine: Engine,
    settings: Settings,
    kind: str,
    run: Run,
    watch: Callable[[float, str], None] | None = None,
) -> Run:
    """Work on a claimed run; `watch` sees its progress too (the terminal's bar)."""
    monitor = RunMonitor(engine, kind, run)

    def progress(share: float, message: str) -> None:
        monitor.progress(share, message)
        if watch is not None:
            watch(share, message)

    try:
        with acting_as(f"run:{run.id}"):
            EXECUTORS[kind](engine, settings, run, progress, monitor.cancelled)
    except FitCancelled:
        _end(engine, kind, run, "cancelled", "cancelled on request")
    except (Superseded, Unavailable):
        raise
    except MemoryError as error:
        _end(engine, kind, run, "failed", f"out of memory: {error}")
    except TooFewIncidents as error:
        _end(engine, kind, run, "failed", f"too few incidents: {error}")
    except HotslotError as error:
        _end(engine, kind, run, "failed", f"{error.code}: {error.message}")
    except Exception as error:
        _log.exception("run failed", extra={"run": str(run.id)})
        _end(engine, kind, run, "failed", _reason(error))
    with engine.begin() as connection:
        return get_run(connection, kind, run.id)


def _reason(error: Exception) -> str:
    """PyTorch tells of exhausted memory by a RuntimeError; other faults by their type."""
    if isinstance(error, RuntimeError) and "allocate" in str(error).lower():
        return "out of memory"
    return f"internal error ({type(error).__name__}); the worker's log has the details"


def _end(engine: Engine, kind: str, run: Run, status: str, message: str) -> None:
    def end() -> None:
        with engine.begin() as connection:
            finish_run(connection, kind, run, status, message)

    through_outage(end)


def note_failure(engine: Engine, kind: str, run_id: UUID) -> int:
    """Count a try that a run ended by its own doing; returns how many there were."""
    with engine.begin() as connection:
        return count_failure(connection, kind, run_id)


def asked_to_stop(engine: Engine, kind: str, run_id: UUID) -> bool:
    """Whether a run is under way that its caller has cancelled."""
    with engine.connect() as connection:
        return is_cancelling(connection, kind, run_id)


def end_cancelled(engine: Engine, kind: str, run_id: UUID) -> bool:
    """End a run whose process is gone if its caller has cancelled it; returns whether."""
    with engine.begin() as connection:
        run = (
            claim_run(connection, kind, run_id) if is_cancelling(connection, kind, run_id) else None
        )
        if run is None:
            return False
        finish_run(connection, kind, run, "cancelled", "cancelled on request")
    return True


def fail_run(engine: Engine, kind: str, run_id: UUID, reason: str) -> None:
    """End a run whose last attempt died without an outcome."""
    with engine.begin() as connection:
        run = claim_run(connection, kind, run_id)
        if run is not None:
            finish_run(connection, kind, run, "failed", reason)
