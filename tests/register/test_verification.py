"""Nobody edits the register unnoticed; erasures and retention are told apart from that."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.audit import store as audit
from app.audit.pruning import prune_reads
from app.audit.verification import verify_audit
from app.erasure.service import erase_incident
from app.region_edits.removal import remove_region
from app.register.service import all_entries
from app.register.verification import check_register, verify_register
from tests.register.conftest import Clock


@pytest.fixture
def scored(diary):
    diary.live(3)
    diary.deliver(2)
    assert diary.score() == 3
    assert diary.problems() == []
    return diary


def test_it_verifies_when_old_reads_have_left_the_audit_log(scored):
    for age in (200, 150, 100):
        Clock.moment = datetime.now(UTC) - timedelta(days=age)
        with scored.engine.begin() as connection:
            audit.record(connection, "forecast.read", chain="city", reads={"density": age})
    Clock.moment = None
    assert prune_reads(scored.engine, 90, datetime.now(UTC)) == 2
    report = verify_register(scored.engine, "city")
    assert (report.n_entries, report.n_scores, report.problems) == (3, 3, [])
    assert verify_audit(scored.engine).problems == []
    assert verify_audit(scored.engine).pruned["~city"] == 2


OTHER = "SELECT forecast FROM register_entries WHERE id <> :id LIMIT 1"
AGAIN = "SELECT entry_id, 90, scored_at, score, salt, digest FROM register_scores"


CHANGES = [
    ("UPDATE register_entries SET expected = expected + 1", "was changed"),
    ("UPDATE register_entries SET version = 'better'", "was changed"),
    ("UPDATE register_entries SET digest = sha256(digest)", "was changed"),
    ("UPDATE register_entries SET filed_at = filed_at - interval '1 hour'", "was changed"),
    (f"UPDATE register_entries SET forecast = ({OTHER})", "has another forecast"),
    ("UPDATE register_entries SET rival = sha256(rival)", "has another rival"),
    ("UPDATE register_entries SET forecast = NULL", "lacks its forecast"),
    ("DELETE FROM register_entries", "was removed"),
    ("DELETE FROM register_scores", "was removed"),
    ("UPDATE register_scores SET score = score || ' '", "was changed"),
    (f"INSERT INTO register_scores {AGAIN}", "is not in the audit log"),
    ("UPDATE register_entries SET day = day + 30", "is not in the audit log"),
]


def test_what_was_altered_removed_or_added_is_found(scored):
    entry_id = scored.sql("SELECT min(id) AS id FROM register_entries")[0].id
    for change, found in CHANGES:
        column = "entry_id" if "register_scores" in change else "id"
        with scored.engine.connect() as connection:
            connection.execute(text(f"{change} WHERE {column} = :id"), {"id": entry_id})
            problems = check_register(connection, "city").problems
            connection.rollback()
        assert any(found in problem for problem in problems), (change, problems)
    assert scored.problems() == []


def test_anybody_can_check_an_exported_entry(scored):
    for entry, parts in all_entries(scored.engine, "city"):
        header = json.loads(entry["header"])
        assert hashlib.sha256(entry["header"].encode()).hexdigest() == entry["sha256"]
        for name, part in parts.items():
            assert hashlib.sha256(part).hexdigest() == header[f"{name}_sha256"]
        full = scored.ask("reader", f"/{entry['id']}").json()
        forecast = base64.b64decode(full["forecast"])
        assert hashlib.sha256(forecast).hexdigest() == header["forecast_sha256"]
        logged = scored.sql(
            "SELECT details FROM audit_log WHERE action = 'register.filed' AND details LIKE :digest",
            digest=f"%{entry['sha256']}%",
        )
        assert json.loads(logged[0].details)["day"] == entry["day"]


def test_an_erasure_removes_what_was_made_of_it_and_says_so(scored):
    days = [row.day for row in scored.sql("SELECT day FROM register_entries ORDER BY day")]
    victim = scored.of_day(days[1]).index[0]
    before = scored.ask("analyst").json()
    erase_incident(scored.engine, "city", f"c{victim}")
    assert scored.problems() == []
    rows = scored.sql(
        "SELECT day, forecast IS NULL AS f, rival IS NULL AS r, EXISTS (SELECT FROM register_scores "
        "WHERE entry_id = id) AS s FROM register_entries ORDER BY day"
    )
    # It happened on the second day, and was known when the third day was filed.
    assert [row.s for row in rows] == [True, False, True]
    assert not rows[0].f
    assert not rows[1].r
    assert scored.score() == 1
    after = scored.ask("analyst").json()
    n_before, n_after = (
        {e["day"]: e["scores"][0]["n"] for e in body["entries"]} for body in (before, after)
    )
    gone = {day: n_before[day] - n_after[day] for day in n_before}
    assert sorted(gone.values()) == [0, 0, 1]
    assert scored.problems() == []


def test_an_erased_part_is_gone_for_good(scored):
    scored.live()
    known = scored.frame.index[0]  # known to all that was filed
    arrived = "UPDATE incidents SET inserted_at = '2019-01-01' WHERE external_id = :id"
    scored.sql(arrived, id=f"c{known}")
    erase_incident(scored.engine, "city", f"c{known}")
    rows = scored.sql("SELECT rival, forecast FROM register_entries")
    assert all(row.rival is None for row in rows)
    entry = scored.ask("analyst").json()["entries"][0]
    assert "rival" in entry["removed"]
    full = scored.ask("analyst", f"/{entry['id']}").json()
    assert full["rival"] is full["prior_counts_list"] is None
    assert scored.problems() == []
    record = scored.ask("analyst").json()["record"]["last"]
    assert record["days"] == 3  # scores of other days stay
    scored.deliver(2)
    assert scored.score() == 0


def test_a_removed_region_takes_its_register_with_it(scored):
    remove_region(scored.engine, "city", "city")
    assert scored.sql("SELECT 1 FROM register_entries") == []
    assert scored.sql("SELECT 1 FROM register_scores") == []
    assert scored.problems() == []
    from tests.support.simulated.town import add_town

    csv = scored.folder / "day-0.csv"
    add_town(scored.engine, scored.settings, csv)
    assert scored.problems() == []
    scored.sql("UPDATE regions SET id = 'city' WHERE id = 'town'")
    assert scored.problems() == []
