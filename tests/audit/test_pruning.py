"""Reads leave the audit log by policy; everything else stays, and whoever helps the policy along is seen."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from app.audit import store as audit
from app.audit.pruning import prune_reads
from app.audit.verification import anchor_json, check_chains, read_anchor, verify_audit
from app.cli import app as command_line
from app.core.settings import Settings
from app.worker.maintenance import maintain

DAYS = 10
N_OLD = 9
"""Of the reads of `chain`: the oldest 11 are of 20 to 10 days ago, with one kept."""


@contextmanager
def at(moment):
    """Entries are written at this moment."""

    class Then(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "datetime", Then)
        yield


def read_daily(engine, chain, ages, *, action="forecast.read"):
    """Write one read for each age in days, and an entry that is none."""
    for age in ages:
        with at(datetime.now(UTC) - timedelta(days=age)), engine.begin() as connection:
            audit.record(connection, action, chain=chain, actor="k", reads={"density": age})
    with engine.begin() as connection:
        audit.record(connection, "export", chain=chain, incidents=7)


def stored(engine, chain):
    with engine.connect() as connection:
        return [entry.seq for entry in audit.entries(connection, chain)]


def prune(engine, days=DAYS, **bounds):
    return prune_reads(engine, days, datetime.now(UTC), **bounds)


@pytest.fixture(scope="module")
def pruned(engine, tmp_path_factory):
    """A chain of 20 reads, one a day, of which the oldest were deleted; with an anchor from before."""
    read_daily(engine, "pruned", range(20, 0, -1))
    anchor = tmp_path_factory.mktemp("anchor") / "anchor.json"
    anchor.write_text(json.dumps(anchor_json(verify_audit(engine))))
    assert prune(engine, batch_rows=4) == 10
    return "pruned", anchor


def test_old_reads_go_and_the_rest_verifies(engine, pruned):
    chain, anchor = pruned
    assert stored(engine, "~pruned") == list(range(11, 21)), "one of over ten days is kept"
    with engine.connect() as connection:
        main = list(audit.entries(connection, chain))
    assert [entry.action for entry in main] == ["export", *[audit.PRUNED] * 3]
    assert [json.loads(entry.details)["entries"] for entry in main[1:]] == [4, 4, 2]
    report = verify_audit(engine, read_anchor(anchor))
    assert (report.problems, report.notes) == ([], [])
    assert (report.pruned["~pruned"], report.days) == (10, DAYS)
    assert prune(engine) == 0, "not again before another day's are old"
    assert len(stored(engine, chain)) == 4


def test_one_maintenance_deletes_a_bounded_number_and_the_next_goes_on(engine):
    read_daily(engine, "much", [30] * 12)
    assert prune(engine, batch_rows=2, n_batches=2) == 4
    assert stored(engine, "~much") == list(range(5, 13))
    assert verify_audit(engine).problems == []
    assert prune(engine) == 7
    assert stored(engine, "~much") == [12], "a chain keeps its end"
    read_daily(engine, "much", [12, 1])
    assert prune(engine) == 1
    assert stored(engine, "~much") == [13, 14]
    assert verify_audit(engine).problems == []


def test_all_kinds_of_reads_go_and_nothing_else(engine):
    for action in sorted(audit.READS):
        read_daily(engine, "kinds", [40, 39], action=action)
    with at(datetime.now(UTC) - timedelta(days=400)), engine.begin() as connection:
        for action in ("export", "presence.read", "refused", "erase"):
            audit.record(connection, action, chain="kinds")
    prune(engine)
    assert stored(engine, "~kinds") == [6]
    assert stored(engine, "kinds") == list(range(1, 9))
    with engine.connect() as connection:
        shown = audit.newest(
            connection, chain="kinds", action=None, actor=None, before=None, limit=99
        )
    assert {entry.chain for entry in shown} == {"kinds", "~kinds"}


def test_zero_days_keep_all_and_a_week_is_the_least(engine):
    read_daily(engine, "kept", [300, 200, 100])
    assert prune_reads(engine, 0, datetime.now(UTC)) == 0
    assert stored(engine, "~kept") == [1, 2, 3]
    assert Settings(audit_reads_retention_days=0).audit_reads_retention_days == 0
    with pytest.raises(ValidationError, match="at least 7 days"):
        Settings(audit_reads_retention_days=6)


def test_the_worker_prunes(engine, settings):
    read_daily(engine, "upkeep", [200, 150, 100, 80])
    settings.audit_reads_retention_days = 90
    maintain(engine, settings, datetime.now(UTC))
    assert stored(engine, "~upkeep") == [3, 4]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_log WHERE chain = '~young'",
        "DELETE FROM audit_log WHERE chain = 'young'",
        "UPDATE audit_log SET actor = 'x' WHERE chain = '~young' AND seq = 1",
        "TRUNCATE audit_log",
    ],
)
def test_the_database_deletes_no_young_read_and_no_other_entry(engine, statement):
    if not stored(engine, "~young"):
        read_daily(engine, "young", [30, 6])
        with at(datetime.now(UTC) - timedelta(days=300)), engine.begin() as connection:
            audit.record(connection, "export", chain="young")
    with pytest.raises(DBAPIError, match="only grows"), engine.begin() as connection:
        connection.execute(text(statement))


PRUNED = "chain = '~pruned' AND seq"
TALE = "chain = 'pruned' AND seq = 4"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            ["DELETE FROM audit_log WHERE chain = 'pruned' AND seq = 1"],
            "entries 1 to 1 are missing",
        ),
        (
            [f"DELETE FROM audit_log WHERE {PRUNED} = 11"],
            "begins at entry 12, but was pruned up to",
        ),
        (
            [f"DELETE FROM audit_log WHERE {PRUNED} < 15"],
            "begins at entry 15, but was pruned up to",
        ),
        ([f"DELETE FROM audit_log WHERE {PRUNED} = 14"], "entries 14 to 14 are missing"),
        ([f"UPDATE audit_log SET at = at - interval '9 d' WHERE {PRUNED} = 11"], "11 was changed"),
        ([f"UPDATE audit_log SET actor = 'x' WHERE {PRUNED} = 11"], "entry 11 was changed"),
        ([f"UPDATE audit_log SET actor = 'x' WHERE {PRUNED} = 16"], "entry 16 was changed"),
        ([f"UPDATE audit_log SET hash = 'x' WHERE {PRUNED} = 11"], "is not the one up to which"),
        (
            [f"""UPDATE audit_log SET details = '{{"blanked": true}}' WHERE {PRUNED} = 16"""],
            "entry 16 was changed",
        ),
        ([f"DELETE FROM audit_log WHERE {TALE}"], "its head says otherwise"),
        ([f"UPDATE audit_log SET details = replace(details, '11', '12') WHERE {TALE}"], "4 was"),
        (
            [
                "DELETE FROM audit_log WHERE chain = '~pruned'",
                "DELETE FROM audit_heads WHERE chain = '~pruned'",
            ],
            "its head says otherwise",
        ),
        (["DELETE FROM audit_log WHERE chain = '~pruned' AND seq > 18"], "its head says otherwise"),
    ],
)
def test_tampering_beside_a_pruning_is_seen(engine, pruned, statements, said):
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        for statement in statements:
            connection.execute(text(statement))
        found = [line for line in check_chains(connection).problems if "pruned: " in line]
        transaction.rollback()
    assert found
    assert said in " ".join(found)
    assert verify_audit(engine).problems == []


def forged(connection, first, entries, days=DAYS, **other):
    """Write, as whoever owns the database can, an entry that tells of another pruning."""
    row = audit.first_entries(connection, "~pruned", 99)[first - 11]
    values = {"first": first, "hash": row.hash, "entries": entries, "days": days, **other}
    connection.execute(
        text("DELETE FROM audit_log WHERE chain = '~pruned' AND seq < :n"), {"n": first}
    )
    audit.record(connection, audit.PRUNED, chain="pruned", **{"reads": "~pruned", **values})


@pytest.mark.parametrize(
    ("tale", "said"),
    [
        ({"first": 15, "entries": 4}, "which was younger than 10 days"),
        ({"first": 15, "entries": 4, "days": 7}, "which was younger than 7 days"),
        ({"first": 20, "entries": 9, "days": 1}, "records reads that were deleted after 1 days"),
        ({"first": 15, "entries": 2}, "does not follow the one before it"),
        ({"first": 15, "entries": 4, "reads": "pruned"}, "does not follow the one before it"),
        ({"first": 15, "entries": 4, "hash": None}, "is not the one up to which"),
        ({"first": 15, "entries": "x"}, "records no pruning"),
    ],
)
def test_a_tale_of_a_pruning_hides_no_deletion(engine, pruned, tale, said):
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        forged(connection, **tale)
        found = check_chains(connection).problems
        transaction.rollback()
    assert found
    assert said in " ".join(found)


def test_what_is_no_read_cannot_be_hidden_among_reads(engine, pruned):
    with engine.connect() as connection:
        transaction = connection.begin()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(audit, "READS", frozenset({"export"}))
            audit.record(connection, "export", chain="pruned")
        found = check_chains(connection).problems
        transaction.rollback()
    assert found == ["~pruned: entry 21 is no read"]


def test_a_rewritten_chain_of_reads_is_seen_by_the_anchor(engine, pruned, tmp_path):
    """An owner writes all reads anew and tells of a pruning beyond what the anchor knows."""
    _, file = pruned
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        for table in ("audit_log", "audit_heads"):
            connection.execute(text(f"DELETE FROM {table} WHERE chain = '~pruned'"))
        with at(datetime.now(UTC) - timedelta(days=11)):
            for n in range(30):
                audit.record(connection, "forecast.read", chain="pruned", actor="k", n=n)
        made = audit.first_entries(connection, "~pruned", 99)
        connection.execute(text("DELETE FROM audit_log WHERE chain = '~pruned' AND seq < 25"))
        values = {"first": 25, "hash": made[24].hash, "entries": 14, "days": DAYS}
        audit.record(connection, audit.PRUNED, chain="pruned", reads="~pruned", **values)
        assert check_chains(connection).problems == []
        found = check_chains(connection, read_anchor(file)).problems
        transaction.rollback()
    assert found == [
        "~pruned: lacks entry 20 of the anchor, and what follows it is older than the anchor"
    ]


def test_an_anchor_whose_entry_was_pruned_is_noted(engine, tmp_path):
    read_daily(engine, "aged", [60, 50])
    file = tmp_path / "anchor.json"
    past = datetime.now(UTC) - timedelta(days=49)
    anchored = anchor_json(verify_audit(engine))
    file.write_text(json.dumps({**anchored, "at": past.isoformat()}))
    read_daily(engine, "aged", [40, 30, 1])
    prune(engine)
    report = verify_audit(engine, read_anchor(file))
    assert [line for line in report.problems if "aged" in line] == []
    assert "~aged: entry 2 of the anchor was pruned; take a new anchor" in report.notes


def test_the_command_says_how_many_went(settings, engine, pruned, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    shown = CliRunner().invoke(command_line, ["audit", "verify"])
    assert shown.exit_code == 0
    assert "~pruned 10 entries of reads were deleted by policy" in shown.stdout
