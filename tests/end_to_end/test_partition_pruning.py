"""Whatever a region's requests and runs ask of the incidents, PostgreSQL reads one partition."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import event, text

from app.core.errors import Conflict
from app.data_quality.service import data_report
from app.erasure.service import erase_incident, erase_upload
from app.incidents.service import UploadSource, ingest
from app.incidents.summary import StoreChoices
from app.regions.service import add_region
from app.states.service import assimilate
from app.worker.jobs import work_on
from tests.support.simulated.small_region import START, place, row

__all__ = ["place"]

PLANNED = re.compile(
    r"(WITH|SELECT|INSERT|UPDATE|DELETE|CREATE TEMP TABLE \w+ ON COMMIT DROP AS)\b"
)


class Plans:
    """The plans of statements about incidents, explained just before they are executed."""

    def __init__(self) -> None:
        self.found: list[tuple[str, set[str]]] = []

    def before(self, _connection, cursor, statement, parameters, _context, many):
        head = statement.strip()
        if re.search(r"\bincidents\b", head) and PLANNED.match(head) and not many:
            self.explain(cursor.connection, statement, parameters)

    def explain(self, connection, statement, parameters=None):
        plan = connection.cursor().execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        text_of_plan = json.dumps(plan.fetchone()[0])
        self.found.append((statement, set(re.findall(r'"(incidents_p\d+)"', text_of_plan))))


@pytest.fixture
def plans(engine, monkeypatch):
    seen = Plans()
    event.listen(engine, "before_cursor_execute", seen.before)
    execute = psycopg.ServerCursor.execute

    def explained(cursor, statement, *args, **options):
        words = statement.as_string(cursor)
        if re.search(r"\bincidents\b", words):
            seen.explain(cursor.connection, words)
        return execute(cursor, statement, *args, **options)

    monkeypatch.setattr(psycopg.ServerCursor, "execute", explained)
    yield seen
    event.remove(engine, "before_cursor_execute", seen.before)


def csv(rows, **columns):
    """A CSV of rows with ids, or other categories."""
    names = ["occurred_at", "longitude", "latitude", "category", *columns]
    lines = [
        ",".join(str(v) for v in (*one.values(), *(f"{c}{k}" for c in columns.values())))
        for k, one in enumerate(rows)
    ]
    return "\n".join([",".join(names), *lines]).encode()


def rows_of(first_day, n=60, category="theft", east=0.0):
    return [
        row(
            START + timedelta(days=first_day, minutes=17 * k),
            (10.001 + east + k % 29 * 0.002, 50.02),
            category,
        )
        for k in range(n)
    ]


def send(engine, settings, body, **choices):
    source = UploadSource("text/csv", choices=StoreChoices(**choices))
    return ingest(engine, "small", [body], source, settings=settings)


def work(engine, settings, place):
    """What keeps a region busy: uploads of all kinds, reads of all roles, runs, erasures, its removal."""
    numbered = rows_of(31)
    assert send(engine, settings, csv(numbered, external_id="n")).accepted == 60
    moved = [{**one, "latitude": 50.0203} for one in numbered]
    assert send(engine, settings, csv(moved, external_id="n")).corrected == 60
    others = [
        row(START + timedelta(days=20, minutes=k), (10.05, 50.001), "arson") for k in range(60)
    ]
    assert send(engine, settings, csv(others, external_id="n")).conflicts == 60
    renamed = rows_of(31, category="burglary")
    with pytest.raises(Conflict, match="stored already"):
        send(engine, settings, csv(renamed))
    assert send(engine, settings, csv(renamed), near_duplicates="replace").corrected == 60
    assert send(engine, settings, csv(rows_of(40), external_id="f")).accepted == 60
    fewer = csv(rows_of(40)[::2], external_id="g")
    send(engine, settings, fewer, replace="feed", near_duplicates="add")
    for role in ("reader", "trainer"):
        place(role, "GET", "")
        reply = place(
            role, "POST", "/training-runs", json={"model": "pooled-kde", "validate": False}
        )
        if reply.status_code == 202:
            work_on(engine, settings, "train", reply.json()["id"])
    run = place("admin", "POST", "/training-runs", json={"model": "pooled-kde", "validate": False})
    work_on(engine, settings, "train", run.json()["id"])
    send(engine, settings, csv(rows_of(60)))
    assimilate(engine, "small")
    at = (START + timedelta(days=61)).isoformat()
    assert place("reader", "GET", "/forecasts/density", params={"at": at}).status_code == 200
    hour = "from=2024-02-01T00:00:00Z&to=2024-02-01T01:00:00Z"
    for query in ("", hour, "category=burglary"):
        reply = place("analyst", "GET", f"/incidents?{query}")
        assert reply.status_code == 200, reply.text
    data_report(engine, "small")
    assert place("admin", "PATCH", "", json={"timezone": "Europe/Berlin"}).status_code == 200
    assert place("admin", "PATCH", "", json={"crs": "EPSG:32633"}).status_code == 200
    erase_incident(engine, "small", "f1")
    with engine.connect() as connection:
        uploads = connection.scalars(text("SELECT id FROM uploads ORDER BY id")).all()
    erase_upload(engine, "small", uploads[0])
    assert place("admin", "DELETE", "?confirm=small").status_code == 200


def test_every_statement_of_a_region_reads_one_partition(engine, settings, place, plans):
    add_region(engine, "neighbour", timezone="UTC")
    work(engine, settings, place)
    wide = {statement: parts for statement, parts in plans.found if len(parts) > 1}
    assert not wide, next(iter(wide.items()))
    assert len({part for _, parts in plans.found for part in parts}) == 1
    asked = "\n;".join(statement for statement, _ in plans.found)
    for hot in (
        "INSERT INTO incidents (", "CREATE TEMP TABLE changed_incidents", "WHERE c.conflicts",
        "greatest(i.revised_at", "FROM twins JOIN", "pairs JOIN merged_incidents", "WITH gone AS (DELETE",
        "SET x_m = m.x_m", 'SET "window" = 24', "u.release <=", "ORDER BY occurred_at, dedup_key",
        "DELETE FROM incidents WHERE region_key", "WITH emptied AS", "mine.id", "release_groups",
        "ORDER BY incidents.occurred_at, incidents.id",
    ):  # fmt: skip
        assert hot in asked, hot


def test_the_rows_of_an_erased_upload_are_found_in_one_partition(engine, place):
    """By the foreign key, whose statement is PostgreSQL's own."""
    counted = text(
        "SELECT relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) AS n FROM pg_stat_xact_user_tables"
        " WHERE relname ~ '^incidents_p'"
    )
    with engine.begin() as connection:
        before = {row.relname: row.n for row in connection.execute(counted)}
        connection.execute(text("DELETE FROM uploads WHERE id = (SELECT max(id) FROM uploads)"))
        after = {row.relname: row.n for row in connection.execute(counted)}
        assert connection.scalar(text("SELECT count(*) FROM incidents")) == 0
    assert len([name for name in after if after[name] > before.get(name, 0)]) == 1
