"""A forecast is filed once, before its day, as it was served at that hour."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from app.core.errors import Conflict, InvalidInput, NotFound
from app.core.settings import Settings
from app.register.documents import HEADER, PLAIN, register_csv
from app.register.filing import span_of
from app.register.parts import FiledForecast
from app.register.service import keep_register, list_entries
from app.register.store import Entry
from tests.register.conftest import Clock

HOUR = timedelta(hours=1)


def refused(call, error):
    with pytest.raises(error) as caught:
        call()
    return caught.value.code


def test_the_next_day_is_filed_once_and_no_day_that_has_begun(diary):
    filed = diary.file()
    day = filed.entry.day
    assert filed.entry.filed_at < filed.entry.starts_at == diary.now
    assert refused(diary.file, Conflict) == "already_filed"
    begun = diary.now + timedelta(seconds=1)
    assert refused(lambda: diary.file(begun, day), Conflict) == "day_has_begun"
    beyond = day + timedelta(days=2)
    assert refused(lambda: diary.file(begun, beyond), InvalidInput) == "invalid_input"
    assert [row.day for row in diary.sql("SELECT day FROM register_entries")] == [day]
    assert diary.problems() == []


def test_what_begins_while_it_is_filed_is_not_stored(diary, monkeypatch):
    evening = diary.evening
    monkeypatch.setattr(Clock, "now", classmethod(lambda cls, tz=None: diary.now))
    assert refused(lambda: diary.file(evening), Conflict) == "day_has_begun"
    assert diary.sql("SELECT 1 FROM register_entries") == []


def test_the_database_itself_refuses_a_late_filing(diary):
    diary.file()
    late = "UPDATE register_entries SET filed_at = starts_at"
    with pytest.raises(IntegrityError, match="before_its_day"):
        diary.sql(late)


def test_the_lists_are_the_hotspots_served_at_that_hour(diary):
    filed = diary.file()
    shown = diary.ask("analyst", f"/{filed.id}").json()
    start = filed.entry.starts_at
    for place in (0, 3, 7):
        asked = {
            "from": (start + 3 * place * HOUR).isoformat(),
            "to": (start + 3 * (place + 1) * HOUR).isoformat(),
            "top": 10,
        }
        reply = diary.client.get(
            "/v1/regions/city/forecasts/hotspots",
            params=asked,
            headers={"X-API-Key": diary.keys["analyst"]},
        ).json()
        assert "features" in reply, reply
        ranked = sorted(reply["features"], key=lambda f: f["properties"]["rank"])
        assert shown["lists"][place]["cells"] == [f["id"] for f in ranked]
    assert sum(shown["hours"]["mean"]) == pytest.approx(shown["expected"], rel=1e-4)
    assert shown["expected_lo"] <= shown["expected"] <= shown["expected_hi"]


def test_a_day_on_which_clocks_change_has_its_hours():
    for day, hours in (("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24)):
        start, end = span_of(np.datetime64(day).item(), "America/Toronto")
        assert (end - start) / HOUR == hours


def test_what_is_packed_is_read_again():
    rng = np.random.default_rng(1)
    p = rng.gamma(0.2, size=(8, 50)) + 1e-9
    filed = FiledForecast(
        np.arange(50) * 7,
        np.full(50, 0.25),
        rng.random(24),
        np.zeros(24),
        np.arange(24.0),
        np.argsort(-p, axis=1)[:, :5],
        p / p.sum(axis=1, keepdims=True),
    )
    read = FiledForecast.unpack(filed.pack())
    for name in ("cell_id", "hour_mean", "hour_lo", "hour_hi", "lists"):
        np.testing.assert_array_equal(getattr(read, name), getattr(filed, name))
    np.testing.assert_allclose(np.log(read.probability), np.log(filed.probability), atol=0.02)
    assert filed.pack() != filed.pack()  # the salt


def test_the_worker_files_from_its_hour_on_where_the_data_are_fresh(diary, settings: Settings):
    early, late = diary.now - 5 * HOUR, diary.now - 4 * HOUR

    def days(now, **changes):
        Clock.moment = now
        keep_register(diary.engine, settings.model_copy(update=changes), diary.region, now)
        return [row.day for row in diary.sql("SELECT day FROM register_entries")]

    assert days(early) == []
    assert days(late, register_at_hour=-1) == []
    assert days(late + timedelta(days=100)) == []  # the feed has ended
    assert len(days(late)) == 1
    assert len(days(late + HOUR)) == 1


def test_what_is_too_old_is_dropped_and_not_missed(diary, settings: Settings):
    diary.live(2)
    keep = settings.model_copy(update={"register_at_hour": -1, "register_retention_days": 100})
    later = diary.now + timedelta(days=99, hours=12)
    keep_register(diary.engine, keep, diary.region, later)
    page = list_entries(diary.engine, "city", 10, exact=True)
    assert (page.filed, len(page.entries)) == (1, 1)
    assert diary.problems() == []


def test_over_http_a_trainer_files_and_pages_follow_each_other(diary):
    assert diary.ask("reader", method="POST").status_code == 403
    diary.live(3)
    made = diary.ask("trainer", method="POST", json={})
    assert made.status_code == 201, made.text
    again = diary.ask("trainer", method="POST")
    assert (again.status_code, again.json()["code"]) == (409, "already_filed")
    begun = diary.ask("trainer", method="POST", json={"day": "2019-06-01"})
    assert (begun.status_code, begun.json()["code"]) == (409, "day_has_begun")
    bad = diary.ask("trainer", method="POST", json={"day": "2019-02-30"})
    assert bad.status_code == 422
    found, path = [], "?limit=3"
    while path:
        body = diary.ask("analyst", path).json()
        found += [entry["day"] for entry in body["entries"]]
        path = body["next"] and "?" + body["next"].split("?")[1]
    assert len(found) == 4
    assert found == sorted(found, reverse=True)
    assert found[0] == made.json()["day"]
    assert diary.ask("reader", "/999999").status_code == 404
    csv = diary.ask("analyst", "?f=csv").text.splitlines()
    assert len(csv) == 5
    lines = diary.ask("analyst", "?f=ndjson").text.splitlines()
    assert len(lines) == 4


def test_a_region_without_a_champion_files_nothing(diary, settings):
    diary.sql("DELETE FROM champions")
    with pytest.raises(Exception, match="no model"):
        diary.file()
    keep_register(diary.engine, settings, diary.region, diary.evening)
    assert diary.sql("SELECT 1 FROM register_entries") == []
    with pytest.raises(NotFound):
        list_entries(diary.engine, "nowhere", 1, exact=True)


def test_the_csv_has_a_line_for_every_score():
    score = {
        "look_days": 1, "scored_at": "2026-01-03T00:00:00+00:00", "n": 3, "covered": True, "hours": 24,
        "hours_covered": 22, "log_density": {"champion": -1.0, "prior_counts": -2.0},
        "hits": {str(k): {"champion": 2.0, "prior_counts": 1.0, "both": 1.0} for k in (1, 5, 10)},
    }  # fmt: skip
    entry = {**dict.fromkeys(PLAIN, "x"), "start": "a", "end": "b", "scores": [score, score]}
    lines = register_csv([entry, {**entry, "scores": []}]).decode().splitlines()
    rows = list(csv.DictReader(lines))
    assert len(rows) == 3
    assert (rows[0]["from"], rows[0]["champion_hits_5"], rows[0]["n"]) == ("a", "2.0", "3")
    assert rows[2]["n"] == ""
    assert tuple(rows[0]) == HEADER


def test_a_headers_digest_covers_all_of_it_but_not_the_form_of_its_times():
    at = datetime(2026, 1, 2, 5, tzinfo=UTC)
    one = Entry(
        date(2026, 1, 2), at, at + 24 * HOUR, at - 5 * HOUR, "cox", "cox-1", "7", at - 29 * HOUR, 50,
        10.0, 5.0, 16.0, b"f" * 32, b"r" * 32,
    )  # fmt: skip
    elsewhere = replace(one, starts_at=at.astimezone(timezone(-5 * HOUR)))
    assert one.digest("city") == elsewhere.digest("city") != one.digest("town")
    for name, other in {"state": "8", "expected": 10.1, "rival_sha256": b"s" * 32}.items():
        assert replace(one, **{name: other}).digest("city") != one.digest("city")
