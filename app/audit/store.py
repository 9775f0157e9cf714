"""The audit log: entries are written in the transaction of the act they record, and never change.

Each entry's hash covers its content and the hash before it, so an edited, removed or reordered entry
breaks the chain after it. Entries hold nothing that could single out an incident. Older ones that did
were blanked by a migration: their hash stays, and a `BLANKED` entry covers what remains.

Reads (`READS`) have a chain of their own beside each chain. Its old entries are deleted by policy
(`pruning.py`); no other entry is in it, so none can go that way.

Recording locks the chain's head row until the commit, so record last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.db.tables import audit_heads, audit_log, regions
from app.core.roles import current_actor
from app.core.texts import cut

SERVICE_CHAIN = "*"
"""Chain of entries that concern no single region."""
READS_MARK = "~"
"""First character of a chain of reads; no region's id begins with it."""
READS = frozenset({"forecast.read", "data_report.read", "hour_of_week.read"})
PRUNED = "reads.pruned"
"""Action of an entry which says what was deleted of the chain of reads beside its own chain."""
FIRST_HASH = "0" * 64
READ_ROWS = 5_000
BLANKED = "details.blanked"
"""Action of an entry whose digest covers what remains of older, blanked entries."""
MAX_DETAILS_CHARS = 8_000
"""Limit of an entry, since entries are permanent. ASCII, so that characters are bytes."""
MAX_DETAIL_TEXT = 300
LIST_ENTRIES = (50, 10, 1)


@dataclass(frozen=True)
class Entry:
    """One entry of a chain; `details` is canonical JSON."""

    chain: str
    seq: int
    at: datetime
    actor: str
    action: str
    details: str
    previous_hash: str
    hash: str

    @property
    def is_blanked(self) -> bool:
        """Whether details were removed from it: its hash is still that of the original entry."""
        return '"blanked": true' in self.details and json.loads(self.details)["blanked"] is True

    def what_remains(self) -> bytes:
        """Return what remains of a blanked entry, for which a later `BLANKED` entry vouches."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        remains = [self.seq, at, self.actor, self.action, self.details, self.hash]
        return _canonical(remains).encode() + b"\n"

    def computed_hash(self) -> str:
        """Compute the SHA-256 of its content."""
        content = [
            self.chain,
            self.seq,
            self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            self.actor,
            self.action,
            self.details,
            self.previous_hash,
        ]
        return hashlib.sha256(_canonical(content).encode()).hexdigest()


def chain_of_reads(chain: str) -> str:
    """Return the name of the chain of reads beside a chain."""
    return READS_MARK + chain


def is_of_reads(chain: str) -> bool:
    """Return whether a chain is one of reads."""
    return chain.startswith(READS_MARK)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _bounded(details: dict[str, Any]) -> str:
    """Return canonical JSON of details, with long texts and lists cut to what an entry may hold."""
    text = _canonical(details)
    for n_entries in LIST_ENTRIES:
        if len(text) <= MAX_DETAILS_CHARS:
            return text
        text = _canonical(_shortened(details, n_entries))
    return text if len(text) <= MAX_DETAILS_CHARS else _canonical({"left_out": len(text)})


def _shortened(value: Any, n_entries: int) -> Any:
    """Cut texts, and cut lists and objects to their first entries and a count of the rest."""
    if isinstance(value, str):
        return cut(value, MAX_DETAIL_TEXT)
    if isinstance(value, list | tuple):
        first = [_shortened(entry, n_entries) for entry in value[:n_entries]]
        more = len(value) - n_entries
        return [*first, f"and {more} more"] if more > 0 else first
    if isinstance(value, dict):
        pairs = list(value.items())[:n_entries]
        found = {cut(str(k), MAX_DETAIL_TEXT): _shortened(v, n_entries) for k, v in pairs}
        more = len(value) - n_entries
        return {**found, "left_out": more} if more > 0 else found
    return value


def record(
    connection: Connection,
    action: str,
    *,
    chain: str = SERVICE_CHAIN,
    actor: str | None = None,
    **details: Any,
) -> Entry:
    """Add an entry in the caller's transaction.

    Args:
        chain: a region's id, or the service's own chain; reads go to the chain of reads beside it.
        actor: who did it; None takes the current request's caller.
        details: JSON values, nothing personal, since entries cannot be erased; long ones are cut.
    """
    if action in READS:
        chain = chain_of_reads(chain)
    start = upsert(audit_heads).values(chain=chain, seq=0, hash=FIRST_HASH)
    connection.execute(start.on_conflict_do_nothing())
    head = connection.execute(
        select(audit_heads.c.seq, audit_heads.c.hash)
        .where(audit_heads.c.chain == chain)
        .with_for_update()
    ).one()
    unsigned = Entry(
        chain=chain,
        seq=head.seq + 1,
        at=datetime.now(UTC),
        actor=actor or current_actor.get(),
        action=action,
        details=_bounded(details),
        previous_hash=head.hash,
        hash="",
    )
    values = {**vars(unsigned), "hash": unsigned.computed_hash()}
    connection.execute(insert(audit_log).values(**values))
    connection.execute(
        update(audit_heads)
        .where(audit_heads.c.chain == chain)
        .values(seq=values["seq"], hash=values["hash"])
    )
    return Entry(**values)


def record_for(
    connection: Connection,
    action: str,
    region_key: int,
    *,
    actor: str | None = None,
    **details: Any,
) -> Entry:
    """Add an entry to the chain of the region with this key; see `record`."""
    region_id = connection.scalar(select(regions.c.id).where(regions.c.key == region_key))
    return record(connection, action, chain=str(region_id), actor=actor, **details)


def chain_names(connection: Connection) -> list[str]:
    """List every chain that has entries or a head."""
    names = select(audit_log.c.chain).union(select(audit_heads.c.chain))
    return sorted(connection.scalars(names))


def chains_of_reads(connection: Connection) -> list[str]:
    """List the chains of reads."""
    names = select(audit_heads.c.chain).where(audit_heads.c.chain.startswith(READS_MARK))
    return sorted(connection.scalars(names))


def entries(connection: Connection, chain: str) -> Iterator[Entry]:
    """Yield a chain's entries in order, read in batches."""
    query = select(audit_log).where(audit_log.c.chain == chain).order_by(audit_log.c.seq)
    rows = connection.execute(query.limit(READ_ROWS)).all()
    while rows:
        for row in rows:
            yield Entry(**row._mapping)
        after = audit_log.c.seq > rows[-1].seq
        rows = connection.execute(query.where(after).limit(READ_ROWS)).all()


def first_entries(connection: Connection, chain: str, limit: int) -> list[Entry]:
    """Return the first stored entries of a chain, in order."""
    query = select(audit_log).where(audit_log.c.chain == chain).order_by(audit_log.c.seq)
    return [Entry(**row._mapping) for row in connection.execute(query.limit(limit))]


def delete_reads(connection: Connection, chain: str, before_seq: int) -> int:
    """Delete the entries of a chain of reads before a number; return how many.

    The database refuses to delete those of the last week, and of any other chain.
    """
    query = delete(audit_log).where(audit_log.c.chain == chain, audit_log.c.seq < before_seq)
    return connection.execute(query).rowcount


def head(connection: Connection, chain: str) -> tuple[int, str] | None:
    """Return (seq, hash) of the chain's recorded head, or None."""
    row = connection.execute(
        select(audit_heads.c.seq, audit_heads.c.hash).where(audit_heads.c.chain == chain)
    ).one_or_none()
    return None if row is None else (row.seq, row.hash)


def heads(connection: Connection) -> dict[str, tuple[int, str]]:
    """Return {chain: (seq, hash)} of all recorded heads."""
    return {row.chain: (row.seq, row.hash) for row in connection.execute(select(audit_heads))}


def last_entries(connection: Connection, chain: str, limit: int) -> list[Entry]:
    """Return a chain's last entries, in order."""
    query = select(audit_log).where(audit_log.c.chain == chain).order_by(audit_log.c.seq.desc())
    rows = connection.execute(query.limit(limit)).all()
    return [Entry(**row._mapping) for row in reversed(rows)]


def last_removal(connection: Connection) -> datetime | None:
    """Return when a region was last removed, of those whose chain ends with that."""
    removed = (audit_log.c.chain == audit_heads.c.chain) & (audit_log.c.seq == audit_heads.c.seq)
    query = select(func.max(audit_log.c.at)).select_from(audit_heads).join(audit_log, removed)
    at: datetime | None = connection.scalar(query.where(audit_log.c.action == "region.removed"))
    return at


def newest(
    connection: Connection,
    *,
    chain: str | None,
    action: str | None,
    actor: str | None,
    before: datetime | None,
    limit: int,
) -> list[Entry]:
    """Return the newest matching entries, newest first; for display, not for verifying hashes.

    Args:
        chain: also entries of the chain of reads beside it.
    """
    details = case(
        (func.octet_length(audit_log.c.details) <= 2 * MAX_DETAILS_CHARS, audit_log.c.details),
        else_=literal('{"left_out": "written before entries were limited: see audit verify"}'),
    )
    columns = [c for c in audit_log.c if c.name != "details"]
    query = select(*columns, details.label("details")).order_by(
        audit_log.c.at.desc(), audit_log.c.chain, audit_log.c.seq.desc()
    )
    if chain is not None:
        query = query.where(audit_log.c.chain.in_([chain, chain_of_reads(chain)]))
    for column, wanted in (("action", action), ("actor", actor)):
        if wanted is not None:
            query = query.where(audit_log.c[column] == wanted)
    if before is not None:
        query = query.where(audit_log.c.at < before)
    return [Entry(**row._mapping) for row in connection.execute(query.limit(limit))]
