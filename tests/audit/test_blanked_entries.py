"""Entries of before the audit log held nothing that singles out an incident: blanked, and verified still."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from app.audit import store as audit
from app.audit.verification import Anchor, check_chains, verify_audit
from app.core.db.schema import migrate
from app.core.db.tables import regions
from tests.support.databases.old_schema import database_at

MARKS = ("CatZXQ7781", "10.031234", "2026-11-28", "23:41:07", "f00dfeed")
OLD = (
    ("ingest", {"upload": 1, "body_sha256": "f00dfeed", "received": 1, "accepted": 1}),
    (
        "export",
        {
            "incidents": 7,
            "asked": {
                "bbox": "10.031234,50,10.04,51",
                "datetime": "2026-11-28T23:41:07Z/..",
                "category": "CatZXQ7781",
                "format": "csv",
            },
        },
    ),
    (
        "training.requested",
        {
            "run": "r",
            "model": "uniform",
            "categories": ["CatZXQ7781"],
            "until": "2026-11-28T23:41:07+00:00",
            "seed": None,
            "validate": True,
        },
    ),
    ("backtest.requested", {"run": "b", "origins": ["2026-11-28T23:41:07+00:00"], "n_seeds": 1}),
    ("erase", {"what": "incident", "incidents": 1}),
)


@pytest.fixture(scope="module")
def upgraded(server_url):
    """A log that the version before wrote, upgraded; with the heads that it had."""
    with database_at("0016", server_url) as old:
        with old.engine.begin() as made:
            for chain in ("here", "there"):
                made.execute(
                    regions.insert().values(id=chain, name=chain, timezone="UTC", cell_size_m=100)
                )
                for action, details in OLD:
                    audit.record(made, action, chain=chain, **details)
            audit.record(made, "key.created", key="k")
        anchor = Anchor(verify_audit(old.engine).heads)
        migrate(old.engine)
        yield old.engine, anchor


def test_what_singled_out_an_incident_is_gone_and_the_chains_and_the_anchor_hold(upgraded):
    engine, anchor = upgraded
    assert verify_audit(engine, anchor).problems == []
    with engine.connect() as connection:
        rows = connection.scalars(text("SELECT a::text FROM audit_log AS a")).all()
        found = {e.action: json.loads(e.details) for e in audit.entries(connection, "here")}
    assert [mark for mark in MARKS for row in rows if mark in row] == []
    assert found["export"] == {"incidents": 7, "filters": 3, "format": "csv", "blanked": True}
    asked = found["training.requested"]
    assert (asked["categories"], asked["until"], asked["model"]) == (1, True, "uniform")
    assert found["backtest.requested"]["origins"] == 1
    assert found["ingest"] == {"upload": 1, "received": 1, "accepted": 1, "blanked": True}
    assert found["erase"] == {"what": "incident", "incidents": 1}
    assert found[audit.BLANKED]["entries"] == 4


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE audit_log SET actor = 'other' WHERE chain = 'here' AND seq = 2",
        "UPDATE audit_log SET at = at - interval '1 us' WHERE chain = 'here' AND seq = 3",
        "UPDATE audit_log SET details = replace(details, '7', '8') WHERE chain = 'here' AND seq = 2",
        "UPDATE audit_log SET hash = previous_hash WHERE chain = 'here' AND seq = 2",
        "UPDATE audit_log SET details = '{\"blanked\": true}' WHERE chain = 'here' AND seq = 5",
        "UPDATE audit_log SET details = '{\"blanked\": true}' WHERE chain = 'here' AND seq = 6",
    ],
)
def test_a_forged_blanking_is_seen(upgraded, forgery):
    engine, _ = upgraded
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        connection.execute(text(forgery))
        found = check_chains(connection).problems
        transaction.rollback()
    assert len(found) == 1, found
    assert found[0].startswith("here: ")


def test_entries_after_the_upgrade_follow(upgraded):
    engine, anchor = upgraded
    with engine.begin() as connection:
        audit.record(connection, "erase", chain="here", what="incident", incidents=1)
    assert verify_audit(engine, anchor).problems == []
