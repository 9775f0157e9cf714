"""A backtest that several workers share, of which one after the other is killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psycopg

from app.core.devserver.server import ensure_running
from app.core.settings import Settings
from tests.resilience.drill import Drill, repeats
from tests.resilience.work.jobs import wait_until_done
from tests.resilience.work.leases import SHORT_LEASE
from tests.resilience.work.supervision import POOL, start_backtest, wait_for
from tests.support.services.service import RUN, Service, service
from tests.support.services.shared_backtests import lasting
from tests.support.uploads import upload

HELP, LEAD = "help", "backtest"
"""Arguments of the processes in which a worker helps, and leads."""
REQUEST = {
    "models": ["pooled-kde", "multi-kde", "window-kde", "gmm"],
    "n_origins": 4,
    "horizon_days": 1,
    "n_seeds": 5,
}
PATIENCE_S = 900.0
CANCEL_S = 5.0
ONE_EACH = {"HOTSLOT_BACKTEST_PROCESSES": "1"}
VICTIMS = ("the helper's process", "the helper's worker", "the leader's worker")


class Watch:
    """What the database says of the units while a backtest runs."""

    def __init__(self, target: Service) -> None:
        self.url = ensure_running(target.home)
        self.n_units = self.n_claims = 0
        self.workers: set[str] = set()

    def look(self) -> tuple[int, int]:
        """Return the numbers of units that leaders and helpers have done."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT attempt, worker, status = 'done' FROM backtest_units"
            ).fetchall()
        done = [str(worker) for _, worker, is_done in rows if is_done]
        if rows:
            self.n_units, self.n_claims = len(rows), sum(attempt for attempt, _, _ in rows)
            self.workers |= set(done)
        helped = sum(worker.startswith("job") for worker in done)
        return len(done) - helped, helped

    def left(self) -> int:
        """Return the number of rows of units, data and invitations."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM backtest_units) + (SELECT count(*) FROM backtest_data)"
                " + (SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'hotslot.help'"
                " AND status = 'todo')"
            ).fetchone()
        return int(row[0]) if row else -1


def units_shared() -> tuple[bool, str]:
    """Two workers share backtests; in turn the helper's process, its worker and the leader's are killed."""
    n, wrong, lost, most, left, alone = repeats(30), 0, 0, 0, 0, 0
    with service(workers=2, **SHORT_LEASE, **ONE_EACH) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        undisturbed = wait_until_done(target, start_backtest(target, **REQUEST), PATIENCE_S)
        expected = lasting(undisturbed["result"])
        for place in range(n):
            watch, path = Watch(target), start_backtest(target, **REQUEST)
            wait_for(lambda watch=watch: min(watch.look()) > 0, PATIENCE_S)  # type: ignore[misc]
            _kill(target, VICTIMS[place % len(VICTIMS)])
            run = _watched(target, path, watch)
            again = watch.n_claims - watch.n_units
            lost, most = lost + again, max(most, again)
            wrong += run["status"] != "succeeded" or lasting(run["result"]) != expected
            left += watch.left()
            alone += len(watch.workers) < 2
    return wrong == left == alone == 0 and most <= Settings().worker_slots, (
        f"{n} kills ({', '.join(VICTIMS)}): {wrong} results other than undisturbed; {lost} units fitted "
        f"again, at most {most} after a kill; {alone} not shared, {left} rows left"
    )


def units_cancelled() -> tuple[bool, str]:
    """Backtests that two workers share are cancelled."""
    n, waits, left = repeats(20), [], 0
    with service(workers=2, **SHORT_LEASE, **ONE_EACH) as target:
        for place in range(3):
            upload(target, place, f"seed-{place}")
        for _ in range(n):
            watch, path = Watch(target), start_backtest(target)
            wait_for(lambda watch=watch: min(watch.look()) > 0, PATIENCE_S)  # type: ignore[misc]
            target.call("DELETE", path).raise_for_status()
            waits.append(wait_for(lambda: not target.pids(POOL)))
            wait_until_done(target, path)
            left += watch.left()
    return max(waits) <= CANCEL_S and left == 0, (
        f"{n} cancelled: processes of both workers gone after {max(waits):.1f} s at most, {left} rows left"
    )


def _kill(target: Service, victim: str) -> None:
    pids = [
        pid for pid in target.pids(LEAD if "leader" in victim else HELP) if pid in target.pids(RUN)
    ]
    # A worker's warm process is between it and its children.
    chosen = pids[0] if "process" in victim else _parent(_parent(pids[0]))
    os.kill(chosen, signal.SIGKILL)


def _parent(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("PPid:"):
            return int(line.split()[1])
    raise RuntimeError(f"no parent of process {pid}")


def _watched(target: Service, path: str, watch: Watch) -> dict[str, Any]:
    """Return the run once it has ended; note the claims until then."""
    until = time.perf_counter() + PATIENCE_S
    while True:
        watch.look()
        run: dict[str, Any] = target.call("GET", path).raise_for_status().json()
        if run["status"] not in ("queued", "running") or time.perf_counter() > until:
            return run
        time.sleep(0.1)


DRILLS = (
    Drill(
        "units",
        "workers that share a backtest killed (-9)",
        "the same result, <= 1 unit lost with each slot of a worker",
        units_shared,
    ),
    Drill("units-cancel", "shared backtests cancelled", "gone <= 5 s", units_cancelled),
)
