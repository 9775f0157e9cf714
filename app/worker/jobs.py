"""Execution of runs: claim, report progress, end with a readable outcome."""

from __future__ import annotations

import logging
import time
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from app.audit import store as audit
from app.core.errors import Conflict, HotslotError, Unavailable
from app.core.messages import Message
from app.core.retry import OUTAGE_S, retry_outages
from app.core.roles import acting_as
from app.core.settings import Settings
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.service import execute_backtest
from app.regions.store import get_region
from app.runs.cancelling import is_cancelling
from app.runs.kinds import KINDS
from app.runs.store import (
    Run,
    Superseded,
    claim_run,
    count_failure,
    create_run,
    finish_run,
    get_run,
    heartbeat,
)
from app.runs.words import RUN_FAILURES, RUN_MESSAGES, as_text, words_of
from app.sync.execute import execute_sync
from app.training.service import TrainingRequest, execute_training
from models.base import FitCancelled, Progress, TooFewIncidents

BEAT_EVERY_S = 0.5
EXECUTORS = {"train": execute_training, "backtest": execute_backtest, "sync": execute_sync}
_log = logging.getLogger("hotslot.jobs")


class RunMonitor:
    """Writes a fit's progress to the run's row, and reads cancellation requests.

    Writes at most once per half second; the share done never decreases. Short losses of the database do
    not affect the fit, because later writes are still fenced by its attempt.
    """

    def __init__(self, engine: Engine, kind: str, run: Run) -> None:
        self.engine = engine
        self.kind = kind
        self.run = run
        self._last_beat = 0.0
        self._answered = time.monotonic()
        self._share = 0.0
        self._said = RUN_MESSAGES.make("run_started")
        self._cancelled = False

    def progress(self, share: float, message: str | Message) -> None:
        """Write progress if half a second has passed.

        Args:
            message: what the run is at; a text only gives details of it.

        Raises:
            Superseded: another worker has taken over the run.
            Unavailable: the database has not answered for a minute.
        """
        details = None
        if isinstance(message, Message):
            self._said = message
        else:
            details = message
        now = time.monotonic()
        if now - self._last_beat < BEAT_EVERY_S:
            return
        self._last_beat = now
        self._share = max(self._share, min(share, 1.0))
        try:
            with self.engine.begin() as connection:
                self._cancelled = heartbeat(
                    connection, self.kind, self.run, self._share, self._said, details
                )
        except Unavailable:
            if now - self._answered > OUTAGE_S:
                raise
        else:
            self._answered = time.monotonic()

    def cancelled(self) -> bool:
        """Return whether the caller asked to stop, as of the last heartbeat."""
        return self._cancelled


def work_on(engine: Engine, settings: Settings, kind: str, run_id: UUID) -> None:
    """Claim a run and execute it, unless it is already finished.

    Raises:
        Superseded: another worker has taken over the run.
        Unavailable: the database cannot be reached; the run may be retried.
    """
    run = retry_outages(lambda: _claim(engine, kind, run_id))
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
    watch: Progress,
) -> Run:
    """Train or backtest in this process, for the command line, without the queue.

    Raises:
        NotFound: the region does not exist.
        InvalidInput: the request is invalid.
    """
    kind = "train" if isinstance(request, TrainingRequest) else "backtest"
    request.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        queued = create_run(connection, kind, region.key, request.to_json())
        run = claim_run(connection, kind, queued.id)
        action = f"{KINDS[kind].subject}.requested"
        details = {"run": str(queued.id), **request.audited()}
        audit.record(connection, action, chain=region.id, **details)
    if run is None:
        raise Conflict("the run was cancelled before it started")
    return run_claimed(engine, settings, kind, run, watch)


def run_claimed(
    engine: Engine,
    settings: Settings,
    kind: str,
    run: Run,
    watch: Progress | None = None,
) -> Run:
    """Execute a claimed run; `watch` also receives its progress (for the terminal)."""
    monitor = RunMonitor(engine, kind, run)

    def progress(share: float, message: str | Message) -> None:
        monitor.progress(share, message)
        if watch is not None:
            as_text(watch)(share, message)

    try:
        with acting_as(f"run:{run.id}"):
            EXECUTORS[kind](engine, settings, run, progress, monitor.cancelled)
    except FitCancelled:
        _end(engine, kind, run, "cancelled", RUN_MESSAGES.make("run_cancelled_on_request"))
    except (Superseded, Unavailable):
        raise
    except MemoryError as error:
        said = RUN_FAILURES.make("run_out_of_memory")
        _end(engine, kind, run, "failed", said, f"{said.message}: {error}")
    except TooFewIncidents as error:
        said = RUN_FAILURES.make("run_too_few_incidents", reason=str(error))
        _end(engine, kind, run, "failed", said)
    except HotslotError as error:
        _end(engine, kind, run, "failed", words_of(error), f"{error.code}: {error.message}")
    except Exception as error:
        _log.exception("run failed", extra={"run": str(run.id)})
        _end(engine, kind, run, "failed", _reason(error))
    with engine.begin() as connection:
        return get_run(connection, kind, run.id)


def _reason(error: Exception) -> Message:
    """Describe an error; PyTorch and libpq report exhausted memory by errors of their own."""
    if _is_out_of_memory(error):
        return RUN_FAILURES.make("run_out_of_memory")
    return RUN_FAILURES.make("run_crashed", error=type(error).__name__)


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, DatabaseError):
        # The server's own want of memory, which is another matter, has a state.
        ours = getattr(error.orig, "sqlstate", None) is None
        return ours and "out of memory" in str(error.orig).lower()
    return isinstance(error, RuntimeError) and "allocate" in str(error).lower()


def _end(
    engine: Engine, kind: str, run: Run, status: str, said: Message, details: str | None = None
) -> None:
    def end() -> None:
        with engine.begin() as connection:
            finish_run(connection, kind, run, status, said, details)

    retry_outages(end)


def note_failure(engine: Engine, kind: str, run_id: UUID) -> int:
    """Count a failure of the run's own; return how many there were."""
    with engine.begin() as connection:
        return count_failure(connection, kind, run_id)


def asked_to_stop(engine: Engine, kind: str, run_id: UUID) -> bool:
    """Return whether the run's caller has asked it to stop."""
    with engine.connect() as connection:
        return is_cancelling(connection, kind, run_id)


def end_cancelled(engine: Engine, kind: str, run_id: UUID) -> bool:
    """End a run without a process if its caller has cancelled it; return whether it was."""
    with engine.begin() as connection:
        run = (
            claim_run(connection, kind, run_id) if is_cancelling(connection, kind, run_id) else None
        )
        if run is None:
            return False
        said = RUN_MESSAGES.make("run_cancelled_on_request")
        finish_run(connection, kind, run, "cancelled", said)
    return True


def fail_run(engine: Engine, kind: str, run_id: UUID, reason: Message) -> None:
    """End a run whose last attempt died without an outcome."""
    with engine.begin() as connection:
        run = claim_run(connection, kind, run_id)
        if run is not None:
            finish_run(connection, kind, run, "failed", reason)
