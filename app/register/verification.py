"""Verify the register against the audit log: find entries and scores that were altered, removed or added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from app.audit import store as audit
from app.regions.store import Region, list_regions
from app.register import store
from app.register.store import PARTS, entry_of

SCORES_REMOVED = "register.scores_removed"
PARTS_REMOVED = "register.parts_removed"
DROPPED = "register.dropped"


@dataclass
class _Recorded:
    """What a region's chain says of its register: digests in hexadecimal."""

    entries: dict[date, tuple[str, datetime]] = field(default_factory=dict)
    removed_parts: set[tuple[date, str]] = field(default_factory=set)
    scores: dict[tuple[date, int], str] = field(default_factory=dict)

    def note(self, entry: audit.Entry) -> None:
        """Follow one entry of the chain."""
        if entry.action == "region.removed":
            self.entries, self.removed_parts, self.scores = {}, set(), {}
        if not entry.action.startswith("register."):
            return
        details = json.loads(entry.details)
        days = [date.fromisoformat(day) for day in details.get("days", [])]
        if entry.action == "register.filed":
            day = date.fromisoformat(details["day"])
            self.entries[day] = details["sha256"], entry.at
        elif entry.action == "register.scored":
            for name, digest in details["scores"].items():
                day_text, look_days = name.split("/")
                self.scores[date.fromisoformat(day_text), int(look_days)] = digest
        elif entry.action == PARTS_REMOVED:
            self.removed_parts |= {(day, details["part"]) for day in days}
        elif entry.action == SCORES_REMOVED:
            self._forget_scores(days)
        elif entry.action == DROPPED:
            self._forget_scores(days)
            for day in days:
                self.entries.pop(day, None)

    def _forget_scores(self, days: list[date]) -> None:
        self.scores = {key: value for key, value in self.scores.items() if key[0] not in days}


@dataclass(frozen=True)
class RegisterReport:
    """The result of a verification; `problems` is empty when all is well."""

    n_entries: int
    n_scores: int
    problems: list[str]


def verify_register(engine: Engine, region_id: str | None = None) -> RegisterReport:
    """Compare every entry and score with the audit log; of one region, or of all.

    It proves nothing unless the audit log itself is intact: see `app.audit.verification`.
    """
    with engine.connect() as connection:
        # One snapshot: rows and audit entries of the same moment.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        return check_register(connection, region_id)


def check_register(connection: Connection, region_id: str | None = None) -> RegisterReport:
    """Compare as the caller's transaction sees it; see `verify_register`."""
    n_entries = n_scores = 0
    problems: list[str] = []
    for region in list_regions(connection):
        if region_id in (None, region.id):
            found = _verify_region(connection, region)
            n_entries += found.n_entries
            n_scores += found.n_scores
            problems += [f"{region.id}: {problem}" for problem in found.problems]
    return RegisterReport(n_entries, n_scores, problems)


def _verify_region(connection: Connection, region: Region) -> RegisterReport:
    recorded = _Recorded()
    for entry in audit.entries(connection, region.id):
        recorded.note(entry)
    rows = store.page(connection, region.key)
    problems = _problems_of_entries(connection, region, recorded)
    scores = store.scores_of(connection, [row.id for row in rows])
    mine: dict[tuple[date, int], Any] = {
        (row.day, one.look_days): one for row in rows for one in scores.get(row.id, [])
    }
    for key in sorted({*mine, *recorded.scores}):
        name = f"the score of {key[0]} after {key[1]} days"
        if key not in mine:
            problems.append(f"{name} was removed")
        elif key not in recorded.scores:
            problems.append(f"{name} is not in the audit log")
        elif mine[key].computed_digest(key[0]).hex() != recorded.scores[key]:
            problems.append(f"{name} was changed")
    return RegisterReport(len(rows), len(mine), problems)


def _problems_of_entries(connection: Connection, region: Region, recorded: _Recorded) -> list[str]:
    problems = []
    rows = {row.day: row for row in store.page(connection, region.key)}
    parts = store.digests_of_parts(connection, region.key)
    for day in sorted({*rows, *recorded.entries}):
        name = f"the forecast of {day}"
        if day not in rows:
            problems.append(f"{name} was removed")
        elif day not in recorded.entries:
            problems.append(f"{name} is not in the audit log")
        else:
            fault = _fault(region, rows[day], recorded.entries[day])
            fault = fault or _fault_of_parts(rows[day], dict(parts[day]._mapping), recorded)
            problems += [f"{name} {fault}"] if fault else []
    return problems


def _fault(region: Region, row: Any, recorded: tuple[str, datetime]) -> str | None:
    entry = entry_of(row)
    digest, recorded_at = recorded
    if entry.digest(region.id).hex() != digest or bytes(row.digest).hex() != digest:
        return "was changed"
    return None if recorded_at < entry.starts_at else "was filed after its start"


def _fault_of_parts(row: Any, parts: Mapping[str, Any], recorded: _Recorded) -> str | None:
    for name in PARTS:
        if parts[name] is None:
            if (row.day, name) not in recorded.removed_parts:
                return f"lacks its {name}, and no erasure removed it"
        elif bytes(parts[name]) != bytes(row._mapping[f"{name}_sha256"]):
            return f"has another {name} than was filed"
    return None
