"""Delete old reads from the audit log; what remains still verifies, and nothing else can go that way.

Reads are in chains of their own, of which only the beginning is deleted. An entry in the chain beside it,
which nobody prunes, says up to which entry and by which policy. That entry itself stays, with its time
and its hash, which all later entries and the head build on: see `verification.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.db.locks import AUDIT_PRUNING_LOCK, transaction_lock

MIN_DAYS = 7
"""Younger reads are never deleted; the database's trigger holds to it, too."""
AT_LEAST_EVERY = timedelta(days=1)
"""Entries that record deletions are permanent: so much is deleted at once at least."""
BATCH_ROWS = 5_000
MAX_BATCHES = 20
"""For each chain in one maintenance; the next goes on."""


def prune_reads(
    engine: Engine,
    days: int,
    now: datetime,
    batch_rows: int = BATCH_ROWS,
    n_batches: int = MAX_BATCHES,
) -> int:
    """Delete reads older than `days`, in transactions of a bounded size; return how many.

    Args:
        days: at least `MIN_DAYS`; 0 deletes nothing.
        now: the database's time.
    """
    if not days:
        return 0
    with engine.connect() as connection:
        chains = audit.chains_of_reads(connection)
    before = now - timedelta(days=days)
    n_deleted = 0
    for chain in chains:
        for _ in range(n_batches):
            with engine.begin() as connection:
                n = _prune(connection, chain, days, before, batch_rows)
            n_deleted += n
            if n < batch_rows:
                break
    return n_deleted


def _prune(connection: Connection, chain: str, days: int, before: datetime, batch_rows: int) -> int:
    """Delete one batch of a chain's oldest entries and record it; return how many."""
    transaction_lock(connection, AUDIT_PRUNING_LOCK)
    entries = audit.first_entries(connection, chain, batch_rows + 2)
    # The first one stayed in an earlier pruning, unless it is the chain's own first.
    oldest = entries[:2] if entries and entries[0].seq == 1 else entries[1:2]
    if not oldest or oldest[0].at >= before - AT_LEAST_EVERY:
        return 0
    n_old = next((n for n, entry in enumerate(entries) if entry.at >= before), len(entries))
    n_deleted = min(n_old - 1, batch_rows)
    if n_deleted < 1:
        return 0
    first = entries[n_deleted]
    audit.delete_reads(connection, chain, first.seq)
    audit.record(
        connection,
        audit.PRUNED,
        chain=chain.removeprefix(audit.READS_MARK),
        reads=chain,
        first=first.seq,
        hash=first.hash,
        entries=n_deleted,
        days=days,
    )
    return n_deleted
