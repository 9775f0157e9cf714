"""Verify the audit log: find edits, removals, reorderings and, given an anchor, a cut tail.

The owner of the tables can rewrite a whole chain with its hashes, or cut its tail and head. Only a copy
out of their reach reveals that: print the heads from time to time (`hotslot audit head > anchor.json`),
store the file elsewhere, and verify against it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from app.audit import store as audit
from app.core.errors import InvalidInput

Heads = dict[str, tuple[int, str]]
"""{chain: (number of its last entry, that entry's hash)}."""


@dataclass(frozen=True)
class AuditReport:
    """The result of a verification.

    Args:
        problems: one line for each chain's first fault; empty when all is well.
    """

    heads: Heads
    n_entries: int
    problems: list[str]


def verify_audit(engine: Engine, anchor: Heads | None = None) -> AuditReport:
    """Check every chain from its first entry to its head, and against the anchor."""
    with engine.connect() as connection:
        # One snapshot: entries and heads of the same moment.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        return check_chains(connection, anchor or {})


def check_chains(connection: Connection, anchor: Heads) -> AuditReport:
    """Check every chain as the caller's transaction sees it; see `verify_audit`."""
    problems: list[str] = []
    heads: Heads = {}
    n_entries = 0
    for chain in sorted({*audit.chain_names(connection), *anchor}):
        last, fault = _check_chain(connection, chain, anchor.get(chain))
        heads[chain] = last
        n_entries += last[0]
        if fault is not None:
            problems.append(f"{chain}: {fault}")
    return AuditReport(heads, n_entries, problems)


def check_tails(connection: Connection, n_entries: int) -> list[str]:
    """Check the last entries of every chain against each other and the head; one line a fault.

    The caller's transaction reads one snapshot. Blanked entries are taken as they are: only
    `verify_audit` finds what vouches for them.
    """
    problems = []
    for chain, head in audit.heads(connection).items():
        tail = audit.last_entries(connection, chain, n_entries)
        fault = _fault_of_tail(tail, head)
        if fault is not None:
            problems.append(f"{chain}: {fault}")
    return problems


def _fault_of_tail(tail: Sequence[audit.Entry], head: tuple[int, str]) -> str | None:
    for before, entry in zip([None, *tail[:-1]], tail, strict=True):
        if entry.hash != entry.computed_hash() and not entry.is_blanked:
            return f"entry {entry.seq} was changed"
        if before is not None and (before.seq + 1, before.hash) != (entry.seq, entry.previous_hash):
            return f"entry {entry.seq} does not follow the one before it"
    last = (tail[-1].seq, tail[-1].hash) if tail else (0, audit.FIRST_HASH)
    return None if last == head else f"ends at entry {last[0]}, its head says otherwise"


def _check_chain(
    connection: Connection, chain: str, anchored: tuple[int, str] | None
) -> tuple[tuple[int, str], str | None]:
    """Return the last good entry's (seq, hash), and the first fault or None."""
    seq, previous, blanked = 0, audit.FIRST_HASH, _Blanked()
    for entry in audit.entries(connection, chain):
        if entry.seq != seq + 1:
            return (seq, previous), f"entries {seq + 1} to {entry.seq - 1} are missing"
        if entry.previous_hash != previous:
            return (seq, previous), f"entry {entry.seq} does not follow the one before it"
        if entry.hash != entry.computed_hash() and not blanked.note(entry):
            return (seq, previous), f"entry {entry.seq} was changed"
        if anchored is not None and anchored[0] == entry.seq and anchored[1] != entry.hash:
            return (seq, previous), f"entry {entry.seq} is not the one of the anchor"
        seq, previous = entry.seq, entry.hash
        blanked.look(entry)
    if blanked.fault is not None:
        return (seq, previous), blanked.fault
    return (seq, previous), _fault_at_end(connection, chain, (seq, previous), anchored)


class _Blanked:
    """Track blanked entries, and whether a later entry vouches for what remains of them."""

    def __init__(self) -> None:
        self.remains = hashlib.sha256()
        self.fault: str | None = None

    def note(self, entry: audit.Entry) -> bool:
        """Record an entry that does not match its hash; return False unless it is marked as blanked."""
        if not entry.is_blanked:
            return False
        self.remains.update(entry.what_remains())
        self.fault = f"entry {entry.seq} was changed and no later entry vouches for it"
        return True

    def look(self, entry: audit.Entry) -> None:
        """Check whether a valid entry vouches for all blanked entries so far."""
        if entry.action == audit.BLANKED and self.fault is not None:
            found = json.loads(entry.details).get("sha256") == self.remains.hexdigest()
            self.fault = None if found else f"blanked entries before entry {entry.seq} were changed"


def _fault_at_end(
    connection: Connection, chain: str, last: tuple[int, str], anchored: tuple[int, str] | None
) -> str | None:
    if anchored is not None and anchored[0] > last[0]:
        return f"ends at entry {last[0]}, the anchor has entry {anchored[0]}"
    if audit.head(connection, chain) != last:
        return f"ends at entry {last[0]}, its head says otherwise"
    return None


def read_anchor(path: Path) -> Heads:
    """Read the heads that `hotslot audit head` printed earlier.

    Raises:
        InvalidInput: the file cannot be read or is something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return {str(c): (int(h["seq"]), str(h["hash"])) for c, h in value["heads"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} is not an anchor file: {error}", field="anchor") from error


def heads_json(heads: Mapping[str, tuple[int, str]]) -> dict[str, object]:
    """Return heads in the form that the command prints."""
    return {"heads": {c: {"seq": seq, "hash": hash_} for c, (seq, hash_) in heads.items()}}
