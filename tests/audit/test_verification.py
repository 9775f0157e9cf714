"""The audit log: written with the act or not at all, never changed, and caught when it was."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from app.access.read_counter import ReadCounter
from app.audit import store as audit
from app.audit.verification import anchor_json, check_chains, read_anchor, verify_audit
from app.cli import app as command_line

CSV = b"occurred_at,longitude,latitude,category,external_id\n2024-01-01T10:00:00Z,-74.06,4.66,theft,%s\n"


def entries(engine, chain="here", action=None):
    with engine.connect() as connection:
        return audit.newest(
            connection, chain=chain, action=action, actor=None, before=None, limit=1000
        )


def tampered(engine, *statements: str) -> list[str]:
    """What a check finds after an owner of the tables has switched the guard off; undone afterwards."""
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        for statement in statements:
            connection.execute(text(statement))
        found = check_chains(connection).problems
        transaction.rollback()
    return found


@pytest.fixture(scope="module")
def chained(engine, guarded):
    """A region's chain of eight entries."""
    for n in range(8):
        with engine.begin() as connection:
            audit.record(connection, "test", chain="chained", n=n, text="ü\x00\ud800")
    return "chained"


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log"])
def test_entries_can_neither_be_changed_nor_removed(engine, chained, statement):
    with pytest.raises(DBAPIError, match="only grows"), engine.begin() as connection:
        connection.execute(text(statement))
    with pytest.raises(DBAPIError, match="only grows"), engine.begin() as connection:
        connection.execute(text("TRUNCATE audit_log"))
    assert verify_audit(engine).problems == []


WHERE = "WHERE chain = 'chained' AND seq = 4"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ([f"UPDATE audit_log SET actor = 'other' {WHERE}"], "entry 4 was changed"),
        ([f"UPDATE audit_log SET action = 'other' {WHERE}"], "entry 4 was changed"),
        ([f"UPDATE audit_log SET details = '{{}}' {WHERE}"], "entry 4 was changed"),
        ([f"UPDATE audit_log SET at = at - interval '1 us' {WHERE}"], "entry 4 was changed"),
        ([f"UPDATE audit_log SET hash = repeat('0', 64) {WHERE}"], "entry 4 was changed"),
        ([f"DELETE FROM audit_log {WHERE}"], "entries 4 to 4 are missing"),
        (["DELETE FROM audit_log WHERE chain = 'chained' AND seq < 3"], "entries 1 to 2"),
        (["DELETE FROM audit_log WHERE chain = 'chained' AND seq > 6"], "ends at entry 6"),
        (["DELETE FROM audit_log WHERE chain = 'chained'"], "ends at entry 0"),
        (
            [
                "UPDATE audit_log SET seq = 99 WHERE chain = 'chained' AND seq = 4",
                "UPDATE audit_log SET seq = 4 WHERE chain = 'chained' AND seq = 5",
                "UPDATE audit_log SET seq = 5 WHERE chain = 'chained' AND seq = 99",
            ],
            "entry 4 does not follow",
        ),
        (
            [
                "UPDATE audit_log SET seq = seq + 100 WHERE chain = 'chained' AND seq > 4",
                "UPDATE audit_log SET seq = seq - 101 WHERE chain = 'chained' AND seq > 105",
                "DELETE FROM audit_log WHERE chain = 'chained' AND seq = 105",
            ],
            "entry 5 does not follow",
        ),
        (["UPDATE audit_heads SET seq = 7 WHERE chain = 'chained'"], "its head says otherwise"),
        (["DELETE FROM audit_heads WHERE chain = 'chained'"], "its head says otherwise"),
    ],
)
def test_what_an_owner_of_the_tables_does_is_seen(engine, chained, statements, said):
    found = tampered(engine, *statements)
    assert len(found) == 1
    assert found[0].startswith("chained: ")
    assert said in found[0]
    assert verify_audit(engine).problems == []


def test_a_tail_cut_with_its_head_is_seen_by_the_anchor(engine, chained, tmp_path):
    anchor_file = tmp_path / "anchor.json"
    anchor_file.write_text(json.dumps(anchor_json(verify_audit(engine))))
    anchor = read_anchor(anchor_file)
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        connection.execute(text("DELETE FROM audit_log WHERE chain = 'chained' AND seq > 6"))
        connection.execute(
            text(
                "UPDATE audit_heads SET seq = 6, hash = "
                "(SELECT hash FROM audit_log WHERE chain = 'chained' AND seq = 6) "
                "WHERE chain = 'chained'"
            )
        )
        assert check_chains(connection).problems == []
        assert "the anchor has entry 8" in check_chains(connection, anchor).problems[0]
        transaction.rollback()
    wrong = replace(anchor, heads={**anchor.heads, chained: (8, "0" * 64)})
    assert "not the one of the anchor" in verify_audit(engine, wrong).problems[0]
    assert verify_audit(engine, anchor).problems == []


def test_an_entry_stands_or_falls_with_its_act(engine, guarded):
    before = entries(engine)
    with engine.connect() as connection:
        audit.record(connection, "test", chain="here")
        connection.rollback()
    assert entries(engine) == before
    bad = guarded.ask(
        "POST", "/v1/regions/here/incidents", guarded.keys["ingester"], content=b"\xff\xfe\x00",
        headers={"Content-Type": "text/csv"},
    )  # fmt: skip
    assert bad.status_code == 422
    assert entries(engine) == before


def test_acts_over_http_name_the_key(engine, guarded):
    def last(action):
        return entries(engine, action=action)[0]

    def key_id(name):
        return guarded.keys[name].split("_")[1]

    headers = {"Content-Type": "text/csv"}
    url = "/v1/regions/here"
    made = guarded.ask(
        "POST",
        f"{url}/incidents",
        guarded.keys["ingester"],
        content=CSV % b"case-7",
        headers=headers,
    )
    assert made.status_code == 200
    assert last("ingest").actor == key_id("ingester")
    assert json.loads(last("ingest").details)["accepted"] == 1
    guarded.ask("GET", f"{url}/incidents?category=theft", guarded.keys["analyst"])
    exported = last("export")
    assert (exported.actor, json.loads(exported.details)["incidents"]) == (key_id("analyst"), 1)
    guarded.ask("POST", f"{url}/training-runs", guarded.keys["trainer"], json={"model": "uniform"})
    assert last("training.requested").actor == key_id("trainer")
    mapping = {"columns": {"x": "X"}}
    guarded.ask("PUT", f"{url}/mappings/m", guarded.keys["ingester"], json=mapping)
    assert json.loads(last("setting.changed").details)["name"] == "mappings.m"
    gone = guarded.ask("DELETE", f"{url}/incidents/case-7", guarded.keys["admin"])
    assert gone.status_code == 204
    assert last("erase").actor == key_id("admin")
    everything = " ".join(e.details for e in entries(engine))
    assert "case-7" not in everything
    assert verify_audit(engine).problems == []


def test_reads_are_counted_by_key_and_kind(engine, guarded):
    url = "/v1/regions/here/forecasts/density?window=3"
    for _ in range(3):
        guarded.ask("GET", url, guarded.keys["reader"])
    guarded.ask("GET", "/v1/regions/nowhere/forecasts/hotspots?window=3", guarded.keys["reader"])
    guarded.ask("GET", url, guarded.keys["ingester"])
    admin = guarded.keys["admin"]
    shown = guarded.ask("GET", "/v1/audit?action=forecast.read&chain=here", admin).json()["entries"]
    reader = guarded.keys["reader"].split("_")[1]
    assert (shown[0]["actor"], shown[0]["details"]) == (reader, {"reads": {"density": 3}})
    assert "nowhere" not in {e.chain for e in entries(engine, chain=None)}
    assert guarded.ask("GET", "/v1/audit", guarded.keys["admin here"]).status_code == 403
    assert verify_audit(engine).problems == []


def test_counts_that_cannot_be_written_are_kept(engine):
    counter = ReadCounter()
    counter.note("a", "here", "density")

    class Away:
        def begin(self):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        counter.write(Away())  # type: ignore[arg-type]
    counter.note("a", "here", "density")
    assert counter.write(engine) == 1
    assert json.loads(entries(engine, action="forecast.read")[0].details) == {
        "reads": {"density": 2}
    }
    assert counter.write(engine) == 0


def test_writers_at_once_make_one_unbroken_chain(engine):
    def write(name: str) -> None:
        for n in range(20):
            with engine.begin() as connection:
                audit.record(connection, "test", chain="crowd", actor=name, n=n)

    threads = [threading.Thread(target=write, args=[f"w{i}"]) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify_audit(engine)
    assert report.problems == []
    assert report.heads["crowd"][0] == 120


def test_the_command_tells_by_its_status(settings, engine, chained, monkeypatch, tmp_path):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    run = CliRunner().invoke
    anchor = tmp_path / "anchor.json"
    anchor.write_text(run(command_line, ["audit", "head"]).stdout)
    assert run(command_line, ["audit", "verify", "--anchor", str(anchor)]).exit_code == 0
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        connection.execute(text(f"UPDATE audit_log SET actor = 'other' {WHERE}"))
    try:
        assert run(command_line, ["audit", "verify"]).exit_code == 1
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE audit_log SET actor = 'local' {WHERE}"))
            connection.execute(text("ALTER TABLE audit_log ENABLE TRIGGER USER"))
    assert run(command_line, ["audit", "verify"]).exit_code == 0


def test_refusals_are_counted_by_key_and_network_without_secrets(engine, guarded):
    """401 and 403 (finding L8): who, from where, which route, how often; bounded."""
    revoked = guarded.make("reader", rate_per_s=0)
    key = revoked.split("_")[1]
    guarded.ask("DELETE", f"/v1/keys/{key}", guarded.keys["admin"])
    guarded.ask("GET", "/v1/audit", guarded.keys["admin"])
    secret = "hsk_nobodys00_" + "S3cr3tS3cr3t" * 4
    before = len(entries(engine, "*", "refused"))
    url = "/v1/regions/here/incidents"
    for sent in (None, secret, "Bearer-ish", revoked, revoked):
        assert guarded.ask("GET", url, sent).status_code == 401
    for _ in range(3):
        assert guarded.ask("GET", url, guarded.keys["reader"]).status_code == 403
    guarded.ask("GET", "/v1/audit", guarded.keys["admin"])
    told = {
        (e.actor, what): n
        for e in entries(engine, "*", "refused")[: -before or None]
        for what, n in json.loads(e.details)["requests"].items()
    }
    route = "GET /v1/regions/{region}/incidents"
    reader = guarded.keys["reader"].split("_")[1]
    assert told["nobody", f"401 {route}"] == 3
    assert told[key, f"401 {route}"] == 2
    assert told[reader, f"403 {route}"] == 3
    everything = " ".join(e.details + e.actor for e in entries(engine, "*"))
    assert "S3cr3t" not in everything
    assert revoked not in everything
    assert verify_audit(engine).problems == []


def test_refusals_from_everywhere_do_not_fill_the_log(engine):
    counter = ReadCounter()
    for n in range(20_000):
        counter.note_refusal("nobody", f"{n % 200}.{n // 200}.7.1", "401 GET /v1/keys")
    counter.note_refusal("nobody", "2001:db8:1:2::3", "401 GET /v1/keys")
    counter.note_refusal("nobody", None, "401 GET /v1/keys")
    before = len(entries(engine, "*", "refused"))
    assert counter.write(engine) <= 51
    told = [json.loads(e.details) for e in entries(engine, "*", "refused")[: -before or None]]
    assert len(told) <= 51
    assert sum(sum(one["requests"].values()) for one in told) == 20_002
    assert "several" in {one["network"] for one in told}
