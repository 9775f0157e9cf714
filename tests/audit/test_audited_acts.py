"""Every kind of act leaves its entry, and where the log takes none, the act is undone as well."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import app
from app.audit.verification import verify_audit
from app.core.errors import HotslotError
from app.main import create_app
from tests.support.audited_acts import WALK, Acts
from tests.support.services.portals import Portals, serve, socrata_row

COUNTED = {"forecast.read", "refused", "sync.requested"}
"""Written by other tests' acts: reads and refusals by the minute, syncs asked for over HTTP."""


@contextmanager
def refusing(engine, action):
    """A log that takes no entry of this action."""
    function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
    trigger = "CREATE TRIGGER refuse BEFORE INSERT ON audit_log FOR EACH ROW"
    when = f"WHEN (NEW.action = '{action}') EXECUTE FUNCTION refuse()"
    with engine.begin() as connection:
        connection.execute(text(f"{function} $$ BEGIN RAISE EXCEPTION 'refused'; END $$"))
        connection.execute(text(f"{trigger} {when}"))
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP FUNCTION refuse CASCADE"))


def contents(engine):
    """{table: digest of its rows}, but for the log and the queue."""
    with engine.connect() as connection:
        names = connection.scalars(
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                " AND tablename !~ '^(audit_|procrastinate_)'"
            )
        ).all()
        rows = "SELECT md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM \"{}\" t"
        return {name: connection.scalar(text(rows.format(name))) for name in names}


def actions(engine):
    with engine.connect() as connection:
        return connection.scalars(text("SELECT action FROM audit_log ORDER BY at, seq")).all()


@pytest.fixture(scope="module")
def acts(engine, settings, town_csv):
    portals = Portals()
    portals.rows = [socrata_row(n) for n in range(5)]
    server = serve(portals)
    allowing = settings.model_copy(update={"sync_allow_loopback": True, "sync_backoff_s": 0.01})
    with TestClient(create_app(allowing, engine)) as client:
        yield Acts(engine, allowing, town_csv, client, portals.url)
    server.should_exit = True


@pytest.mark.slow
def test_no_act_without_its_entry(engine, acts):
    for name, expected, may_change in WALK:
        act, seen = getattr(acts, name), len(actions(engine))
        for action in expected:
            before = contents(engine)
            with refusing(engine, action), pytest.raises((HotslotError, DBAPIError)):
                act()
            after = contents(engine)
            changed = {table for table in after if after[table] != before[table]}
            assert changed <= may_change, (name, action)
        act()
        assert set(expected) <= set(actions(engine)[seen:]), name
    assert verify_audit(engine).problems == []


@pytest.mark.slow  # of what the walk above did
def test_the_service_names_whom_it_acts_for(engine):
    with engine.connect() as connection:
        found = connection.execute(text("SELECT action, actor FROM audit_log")).all()
    by = {action: {actor for a, actor in found if a == action} for action, _ in found}
    assert by["versions.dropped"] == by["unnamed.collected"] == {"upkeep"}
    assert all(actor.startswith("run:") for actor in by["training.finished"])
    assert {actor.split(":")[0] for actor in by["ingest"]} == {"local", "run"}, "by hand; a sync"


def test_no_kind_of_entry_is_left_out():
    kind = re.compile(r'audit\.record(?:_for)?\(\s*[\w.]+,\s*"([\w.]+)"')
    root = Path(app.__file__).parents[0]
    written = {k for path in root.rglob("*.py") for k in kind.findall(path.read_text("utf-8"))}
    assert len(written) > 10
    assert written <= COUNTED | {action for _, expected, _ in WALK for action in expected}
