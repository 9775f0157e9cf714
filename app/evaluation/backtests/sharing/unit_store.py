"""Rows of the units of a running backtest, which are its fits, and of the data that they read.

A claim that has no heartbeat for a while is free again. Each claim raises the unit's attempt; what an
older one made is refused, as is all that belongs to another plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select, text, update

from app.core.db.engine import long_statements
from app.core.db.locks import UNITS_LOCK, transaction_lock
from app.core.db.tables import backtest_data, backtest_units, backtests, erasures
from app.evaluation.backtests.checkpoints import Task
from app.runs.store import Run, Superseded

BLOCK_BYTES = 8 << 20
MAX_HELP_ATTEMPTS = 3
"""Claims of a unit after which helpers leave it to the backtest's own worker, whose failures count."""


class PlanGone(Exception):
    """The units of a plan were removed: incidents were erased, or the run has ended."""


@dataclass(frozen=True)
class Unit:
    """A claimed unit; the attempt is that of the claim."""

    number: int
    attempt: int
    task: Task


@dataclass(frozen=True)
class Claimant:
    """Who claims: for which run, by which plan, and under which name.

    Args:
        stalled_s: claims of others without a heartbeat for so long are free.
        helps: another worker leads the run.
    """

    run_id: UUID
    plan: str
    worker: str
    machine: str
    stalled_s: float
    helps: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """Parameters of the statements below."""
        limit = MAX_HELP_ATTEMPTS if self.helps else 1 << 30
        return {**vars(self), "limit": limit}


@dataclass(frozen=True)
class Tally:
    """How far a plan is.

    Args:
        wanted: the run works and was not asked to stop.
        n_units: all units of the plan; 0: it is gone.
        n_free: units that this claimant could take.
        n_workers: workers that have units now.
    """

    wanted: bool
    n_units: int
    n_done: int
    n_free: int
    n_workers: int


def count_erasures(connection: Connection, region_key: int) -> int:
    """Count the erasures of a region so far."""
    query = select(func.count()).where(erasures.c.region_key == region_key)
    return int(connection.scalar(query) or 0)


def store_plan(
    connection: Connection,
    run: Run,
    plan: str,
    content: bytes,
    tasks: Sequence[Task],
    n_erased: int,
) -> None:
    """Store the units of a run and the data that they read, unless an earlier attempt stored the same.

    Args:
        n_erased: `count_erasures` from before the data were read.

    Raises:
        Superseded: the run no longer belongs to this attempt.
        PlanGone: incidents were erased since.
    """
    long_statements(connection)
    transaction_lock(connection, UNITS_LOCK, run.region_key)
    if count_erasures(connection, run.region_key) != n_erased:
        raise PlanGone
    fence = select(backtests.c.id).where(
        backtests.c.id == run.id,
        backtests.c.attempt == run.attempt,
        backtests.c.status == "running",
    )
    if connection.execute(fence.with_for_update(read=True)).first() is None:
        raise Superseded(f"run {run.id} was taken over or ended")
    if plan_of(connection, run.id) == plan:
        _release_all(connection, run)
        return
    for table in (backtest_units, backtest_data):
        connection.execute(delete(table).where(table.c.run_id == run.id))
    for number, start in enumerate(range(0, len(content), BLOCK_BYTES)):
        block = content[start : start + BLOCK_BYTES]
        row = {"run_id": run.id, "number": number, "plan": plan, "content": block}
        connection.execute(insert(backtest_data).values(**row))
    rows = [
        {"run_id": run.id, "number": number, "plan": plan, **vars(task)}
        for number, task in enumerate(tasks)
    ]
    connection.execute(insert(backtest_units), rows)


def _release_all(connection: Connection, run: Run) -> None:
    """Free the claims of earlier attempts of a run, whose processes are gone or superseded."""
    connection.execute(
        update(backtest_units)
        .where(backtest_units.c.run_id == run.id, backtest_units.c.status == "working")
        .where(backtest_units.c.worker.startswith(run_worker("")))
        .values(status="waiting")
    )


def run_worker(attempt: int | str) -> str:
    """Return the name under which the worker of a run itself claims."""
    return f"run {attempt}"


def plan_of(connection: Connection, run_id: UUID) -> str | None:
    """Return the plan of a run, if it has one."""
    query = select(backtest_units.c.plan).where(backtest_units.c.run_id == run_id).limit(1)
    found: str | None = connection.scalar(query)
    return found


def read_data(connection: Connection, run_id: UUID, plan: str) -> bytes:
    """Return the data of a plan.

    Raises:
        PlanGone: they were removed.
    """
    long_statements(connection)
    table = backtest_data
    blocks = connection.scalars(
        select(table.c.content)
        .where(table.c.run_id == run_id, table.c.plan == plan)
        .order_by(table.c.number)
    ).all()
    if not blocks:
        raise PlanGone
    return b"".join(blocks)


_FREE = """
    run_id = :run_id AND plan = :plan AND attempt < :limit AND (status = 'waiting'
        OR status = 'working' AND heartbeat_at < now() - make_interval(secs => :stalled_s))
"""
_CLAIM = text(
    f"""
    UPDATE backtest_units
    SET status = 'working', attempt = attempt + 1, worker = :worker, machine = :machine,
        heartbeat_at = now()
    WHERE run_id = :run_id AND number = (
        SELECT number FROM backtest_units WHERE {_FREE}
        ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING number, attempt, model, origin_s, seed
    """  # noqa: S608
)


def claim_unit(connection: Connection, claimant: Claimant) -> Unit | None:
    """Claim the next free unit of a plan."""
    row = connection.execute(_CLAIM, claimant.values).one_or_none()
    if row is None:
        return None
    return Unit(row.number, row.attempt, Task(row.model, row.origin_s, row.seed))


def finish_unit(connection: Connection, claimant: Claimant, unit: Unit, result: bytes) -> bool:
    """Store the result of a claimed unit; return False if it belongs to somebody else by now."""
    table = backtest_units
    return bool(
        connection.execute(
            update(table)
            .where(table.c.run_id == claimant.run_id, table.c.plan == claimant.plan)
            .where(table.c.number == unit.number, table.c.attempt == unit.attempt)
            .where(table.c.status == "working")
            .values(status="done", result=result)
        ).rowcount
    )


_BEAT = text(
    """
    UPDATE backtest_units SET heartbeat_at = now()
    WHERE run_id = :run_id AND plan = :plan AND worker = :worker AND status = 'working'
      AND number = ANY(:held)
    """
)
_TALLY = text(
    f"""
    SELECT run.status = 'running' AND NOT run.cancel_requested AS wanted,
           count(unit.number) AS n_units,
           count(*) FILTER (WHERE unit.status = 'done') AS n_done,
           count(*) FILTER (WHERE unit.free) AS n_free,
           count(DISTINCT unit.worker) FILTER (WHERE unit.status = 'working') AS n_workers
    FROM backtests AS run LEFT JOIN (
        SELECT run_id, number, status, worker, {_FREE} AS free FROM backtest_units
        WHERE run_id = :run_id AND plan = :plan
    ) AS unit ON unit.run_id = run.id
    WHERE run.id = :run_id GROUP BY run.id
    """  # noqa: S608
)


def beat(connection: Connection, claimant: Claimant, held: Collection[int]) -> Tally:
    """Renew the claims of units that one works on; return how far the plan is."""
    if held:
        # Only these: a claim whose reply was lost must become free.
        connection.execute(_BEAT, {**claimant.values, "held": list(held)})
    row = connection.execute(_TALLY, claimant.values).one_or_none()
    return Tally(False, 0, 0, 0, 0) if row is None else Tally(**row._mapping)


def is_wanted(connection: Connection, run_id: UUID) -> bool:
    """Return whether a backtest runs and has not been asked to stop."""
    query = select(~backtests.c.cancel_requested).where(
        backtests.c.id == run_id, backtests.c.status == "running"
    )
    return bool(connection.scalar(query))


def release_units(connection: Connection, run_id: UUID, worker: str) -> None:
    """Give back the units that a worker has claimed and not finished."""
    table = backtest_units
    connection.execute(
        update(table)
        .where(table.c.run_id == run_id, table.c.worker == worker, table.c.status == "working")
        .values(status="waiting")
    )


def count_busy(connection: Connection, machine: str, stalled_s: float) -> int:
    """Count the units, of all backtests, that processes of a machine work on."""
    query = text(
        "SELECT count(*) FROM backtest_units WHERE machine = :machine AND status = 'working'"
        " AND heartbeat_at >= now() - make_interval(secs => :stalled_s)"
    )
    return int(connection.scalar(query, {"machine": machine, "stalled_s": stalled_s}) or 0)


def read_results(connection: Connection, run_id: UUID, plan: str) -> Iterator[tuple[Task, bytes]]:
    """Yield the units of a plan with their results."""
    long_statements(connection)
    table = backtest_units
    query = (
        select(table.c.model, table.c.origin_s, table.c.seed, table.c.result)
        .where(table.c.run_id == run_id, table.c.plan == plan, table.c.status == "done")
        .execution_options(yield_per=16)
    )
    for row in connection.execute(query):
        yield Task(row.model, row.origin_s, row.seed), bytes(row.result)


def drop_units(connection: Connection, region_key: int) -> None:
    """Remove the units and data of a region's running backtests, which begin anew without them."""
    of_region = select(backtests.c.id).where(backtests.c.region_key == region_key)
    for table in (backtest_units, backtest_data):
        connection.execute(delete(table).where(table.c.run_id.in_(of_region)))
