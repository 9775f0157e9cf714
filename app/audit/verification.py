"""Verify the audit log: find edits, removals, reorderings and, given an anchor, a cut tail.

The owner of the tables can rewrite a whole chain with its hashes, or cut its tail and head. Only a copy
out of their reach reveals that: print the heads from time to time (`hotslot audit head > anchor.json`),
store the file elsewhere, and verify against it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from app.audit import store as audit
from app.audit.pruning import MIN_DAYS
from app.core.errors import InvalidInput

CLOCKS_DIFFER = timedelta(hours=1)
"""Tolerated between the machine that took an anchor and those that wrote entries."""
Heads = dict[str, tuple[int, str]]
"""{chain: (number of its last entry, that entry's hash)}."""


@dataclass(frozen=True)
class Anchor:
    """Heads of an earlier moment; releases before 0.2 did not store the moment."""

    heads: Heads = field(default_factory=dict)
    at: datetime | None = None


@dataclass(frozen=True)
class AuditReport:
    """The result of a verification.

    Args:
        n_entries: entries that are stored and follow one another.
        problems: one line for each chain's first fault; empty when all is well.
        pruned: {chain of reads: how many of its entries were deleted by policy}.
        days: the shortest time after which reads were deleted; None: none were.
        notes: what could not be compared with the anchor, and why that is no fault.
    """

    at: datetime
    heads: Heads
    n_entries: int
    problems: list[str]
    pruned: dict[str, int]
    days: int | None
    notes: list[str]


def verify_audit(engine: Engine, anchor: Anchor | None = None) -> AuditReport:
    """Check every chain from its first entry to its head, and against the anchor."""
    with engine.connect() as connection:
        # One snapshot: entries and heads of the same moment.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        return check_chains(connection, anchor)


def check_chains(connection: Connection, anchor: Anchor | None = None) -> AuditReport:
    """Check every chain as the caller's transaction sees it; see `verify_audit`."""
    anchor, found = anchor or Anchor(), _Findings(datetime.now(UTC))
    names = {*audit.chain_names(connection), *anchor.heads}
    of_reads = {name for name in names if audit.is_of_reads(name)}
    # First the chains that say what was deleted of chains of reads.
    for chain in sorted(names - of_reads):
        found.add(chain, *_check_chain(connection, chain, anchor, found))
    for chain in sorted(of_reads | found.prunings.keys()):
        found.add(chain, *_check_chain(connection, chain, anchor, found))
    prunings = found.prunings
    return AuditReport(
        found.now,
        found.heads,
        sum(seq for seq, _ in found.heads.values()) - sum(p.n for p in prunings.values()),
        found.problems,
        {chain: pruning.n for chain, pruning in prunings.items()},
        found.days,
        found.notes,
    )


@dataclass(frozen=True)
class _Pruning:
    """What was deleted of a chain of reads, by the last entry that records it.

    Args:
        first: number of the entry that stayed as the first, and its `hash`.
        n: how many were deleted before it, in all.
        days: the age after which the last of them were.
        at: when.
    """

    first: int
    hash: str
    n: int
    days: int
    at: datetime

    def fault_of(self, entry: audit.Entry, now: datetime) -> str | None:
        """Return what is wrong with the first stored entry of the chain, or None."""
        if entry.seq != self.first:
            return f"begins at entry {entry.seq}, but was pruned up to entry {self.first}"
        if entry.hash != self.hash:
            return f"entry {entry.seq} is not the one up to which the chain was pruned"
        if entry.at > min(self.at, now) - timedelta(days=self.days):
            return f"was pruned up to entry {entry.seq}, which was younger than {self.days} days"
        return None


class _Findings:
    """What a verification has found so far."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.heads: Heads = {}
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.prunings: dict[str, _Pruning] = {}
        self.days: int | None = None

    def add(self, chain: str, last: tuple[int, str], fault: str | None) -> None:
        """Record a chain's last good entry, and its fault."""
        self.heads[chain] = last
        if fault is not None:
            self.problems.append(f"{chain}: {fault}")

    def note_pruning(self, entry: audit.Entry) -> str | None:
        """Note an entry that records a pruning; return what is wrong with it, or None."""
        said, name = json.loads(entry.details), audit.chain_of_reads(entry.chain)
        before = self.prunings.get(name)
        try:
            first, n, days = (int(said[key]) for key in ("first", "entries", "days"))
            made = _Pruning(first, str(said["hash"]), first - 1, days, entry.at)
        except (KeyError, TypeError, ValueError):
            return f"entry {entry.seq} records no pruning"
        if said.get("reads") != name or first != (before.first if before else 1) + n or n < 1:
            return f"entry {entry.seq} records a pruning that does not follow the one before it"
        if days < MIN_DAYS:
            return f"entry {entry.seq} records reads that were deleted after {days} days"
        self.prunings[name] = made
        self.days = min(days, self.days or days)
        return None


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
    connection: Connection, chain: str, anchor: Anchor, found: _Findings
) -> tuple[tuple[int, str], str | None]:
    """Return the last good entry's (seq, hash), and the first fault or None."""
    last, blanked = (0, audit.FIRST_HASH), _Blanked()
    of_reads, anchored = audit.is_of_reads(chain), anchor.heads.get(chain)
    pruning = found.prunings.get(chain) if of_reads else None
    for entry in audit.entries(connection, chain):
        if pruning is not None and not last[0]:
            fault = pruning.fault_of(entry, found.now) or _fault_of_age(entry, anchor, found)
            if fault is not None:
                return last, fault
            last = entry.seq - 1, entry.previous_hash
        may_be_blanked = not of_reads and entry.action != audit.PRUNED
        fault = _fault_of(entry, last, anchored)
        if fault is None and entry.hash != entry.computed_hash():
            known = may_be_blanked and blanked.note(entry)
            fault = None if known else f"entry {entry.seq} was changed"
        if fault is None and of_reads and entry.action not in audit.READS:
            fault = f"entry {entry.seq} is no read"
        if fault is None and entry.action == audit.PRUNED:
            fault = found.note_pruning(entry)
        if fault is not None:
            return last, fault
        last = entry.seq, entry.hash
        blanked.look(entry)
    return last, blanked.fault or _fault_at_end(connection, chain, last, anchored)


def _fault_of(
    entry: audit.Entry, last: tuple[int, str], anchored: tuple[int, str] | None
) -> str | None:
    """Return why an entry cannot come after the last one, or None."""
    if entry.seq != last[0] + 1:
        return f"entries {last[0] + 1} to {entry.seq - 1} are missing"
    if entry.previous_hash != last[1]:
        return f"entry {entry.seq} does not follow the one before it"
    if anchored is not None and anchored[0] == entry.seq and anchored[1] != entry.hash:
        return f"entry {entry.seq} is not the one of the anchor"
    return None


def _fault_of_age(first: audit.Entry, anchor: Anchor, found: _Findings) -> str | None:
    """Return why entries that the anchor knew cannot have been pruned; note it if they can.

    The first one that is left was written after the anchor, or the anchor would know it.
    """
    seq, _ = anchor.heads.get(first.chain, (first.seq, ""))
    if seq >= first.seq:
        return None
    if anchor.at is None or first.at < anchor.at - CLOCKS_DIFFER:
        return f"lacks entry {seq} of the anchor, and what follows it is older than the anchor"
    found.notes.append(f"{first.chain}: entry {seq} of the anchor was pruned; take a new anchor")
    return None


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


def read_anchor(path: Path) -> Anchor:
    """Read what `hotslot audit head` printed earlier.

    Raises:
        InvalidInput: the file cannot be read or is something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        heads = {str(c): (int(h["seq"]), str(h["hash"])) for c, h in value["heads"].items()}
        at = datetime.fromisoformat(value["at"]) if "at" in value else None
        return Anchor(heads, at if at is None or at.tzinfo else at.replace(tzinfo=UTC))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} is not an anchor file: {error}", field="anchor") from error


def anchor_json(report: AuditReport) -> dict[str, object]:
    """Return a report's heads and moment in the form that the command prints."""
    heads = {c: {"seq": seq, "hash": digest} for c, (seq, digest) in report.heads.items()}
    return {"at": report.at.isoformat(timespec="seconds"), "heads": heads}
