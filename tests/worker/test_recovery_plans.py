"""What workers ask every few seconds does not grow with what years have left in the tables."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.worker.recovery import _ABANDONED_OF, _LOST_OF

QUERIES = {
    **{f"lost {task}": query for task, query in _LOST_OF.items()},
    **{f"abandoned {kind}": query for kind, query in _ABANDONED_OF.items()},
}


@pytest.mark.parametrize("asked", QUERIES)
def test_a_look_for_runs_that_nobody_works_on_reads_no_finished_ones(engine, asked):
    query = str(QUERIES[asked]).replace(":stalled_s", "40").replace(":abandoned_s", "3600")
    with engine.begin() as connection:
        # Where there is no index, a scan is planned all the same.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {query}")))
    for table in ("training_runs", "backtests", "sync_runs"):
        assert f"Seq Scan on {table}" not in plan, plan
