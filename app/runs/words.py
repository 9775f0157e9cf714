"""What runs say of themselves: what they are at, and how they ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from app.core.errors import HotslotError
from app.core.messages import Message, MessageTable
from app.core.texts import cut

MAX_PARAMS_CHARS = 8_000
RunProgress = Callable[[float, str | Message], None]
"""Called with the share done, 0..1, and what the run is at: a `Message`, or details of it as text."""
RUN_MESSAGES = MessageTable(
    {
        "run_queued": "queued",
        "run_started": "started",
        "run_running": "running",
        "run_done": "done",
        "run_not_released": "done; not released",
        "run_not_released_yet": "done; not released yet",
        "run_failed": "failed",
        "run_cancelled": "cancelled",
        "run_cancelled_on_request": "cancelled on request",
        "run_cancelled_early": "cancelled before it started",
        "reading_incidents": "reading incidents",
        "validating_model": "validating {model}",
        "fitting_model": "fitting {model}",
        "testing_memorisation": "testing for memorisation",
        "fitting_counts": "fitting counts",
        "registering_version": "registering",
        "fits_done": "{n} of {n_fits} fits",
        "fits_shared": "{n} of {n_fits} fits, {n_workers} workers",
        "asking_portal": "asking the portal",
        "source_unchanged": "unchanged",
        "source_rows": "{n:,} of {total:,} rows",
        "source_rows_read": "{n:,} rows read",
        "source_month": "{month}",
        "source_file_read": "file read",
        "source_file": "{name}",
        "source_file_known": "{name}: read before",
        "source_no_new_file": "no new file",
        "source_files": "files: {n_read:,} read, {n_known:,} with content that was read before, "
        "{n_waiting:,} not complete yet, {n_refused:,} refused, which are links or no files",
        "source_rows_rejected": "read; rejected: {reasons}",
    }
)
RUN_FAILURES = MessageTable(
    {
        "run_out_of_memory": "out of memory",
        "run_too_few_incidents": "too few incidents: {reason}",
        "run_crashed": "internal error ({error}); the worker's log has the details",
        "run_process_vanished": "its process vanished",
        "run_sync_abandoned": "its process has died; the next run continues where it stopped",
        "run_process_killed": "its process was killed, most likely out of memory",
        "run_lost_database": "its process lost the database",
        "run_process_ended": "its process ended with status {status}",
        "run_gave_up": "gave up after {attempts} attempts that lost the worker or the database",
        "run_ended_for_another": "ended for a run from the command line",
        "run_version_erased": "its version was trained on few incidents, some of which were erased",
        "run_result_erased": "its result was made from few incidents, some of which were erased",
        "run_categories_erased": "its categories were erased",
    }
)
PROBLEMS_OF_RUNS = MessageTable(
    {
        "no_incidents": "no incidents to learn from, or none in the periods to test on",
        "only_patrol_categories": "all categories mostly reflect patrol activity",
        "nothing_known": "no incident had arrived by the origin",
        "too_few_released": "too few incidents are released",
        "erased_meanwhile": "incidents were erased meanwhile",
        "region_changed": "the region was changed meanwhile",
        "all_refused": "all first rows of the source are rejected",
        "source_failed": "the source could not be read",
        "sync_under_way": "another sync of the source is in progress",
    }
)
"""Problems that end runs, in general words; their own messages are more exact, in English."""


def words_of(error: HotslotError) -> Message:
    """Return what a run says that a problem ended: the problem's code, params and own message."""
    return Message(error.code, error.params, error.message)


def as_text(progress: Callable[[float, str], None]) -> RunProgress:
    """Return a receiver of progress that passes on only the text of messages."""
    return lambda share, said: progress(share, str(said))


def fits_said(n: int, n_fits: int, n_workers: int = 1) -> Message:
    """Return what a backtest says when some of its fits are done."""
    if n_workers > 1:
        return RUN_MESSAGES.make("fits_shared", n=n, n_fits=n_fits, n_workers=n_workers)
    return RUN_MESSAGES.make("fits_done", n=n, n_fits=n_fits)


def columns_of(said: Message, details: str | None = None) -> dict[str, Any]:
    """Return the columns in which a run's row holds what it says, of a bounded size.

    Args:
        details: English text that says more than the message; None: the message.
    """
    params = dict(said.params)
    if len(json.dumps(params)) > MAX_PARAMS_CHARS:
        params = {}
    message = cut(said.message)
    return {
        "message": message if details is None else cut(details),
        "said": {"code": said.code, "params": params, "message": message},
    }


def words(code: str, **params: Any) -> dict[str, Any]:
    """Return those columns for a message of this module."""
    table = RUN_MESSAGES if code in RUN_MESSAGES.templates else RUN_FAILURES
    return columns_of(table.make(code, **params))
