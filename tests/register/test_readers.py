"""Readers see the record of whole weeks of twenty incidents or more, and no single day's."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.erasure.service import erase_incident
from app.register.totals import release_periods
from app.releases.store import MIN_GROUP
from tests.register.conftest import START, TRAINED_DAYS

DAY = timedelta(days=1)


def release(diary, now=None):
    with diary.engine.begin() as connection:
        return release_periods(connection, diary.region, now or diary.now)


@pytest.mark.slow
def test_readers_see_no_score_before_twenty_incidents(diary):
    few = 2  # a day, so fourteen a week
    for _ in range(7):
        diary.file()
        diary.deliver(1, lambda frame: frame.iloc[:few])
    for _ in range(7):
        diary.file()
        diary.deliver(1, lambda frame: frame.iloc[:few])
        diary.score()
    assert release(diary) == 0
    seen = diary.ask("reader").json()
    assert seen["record"]["last"]["n"] == 0
    assert seen["record"]["last"]["shares"]["5"]["champion"]["share"] is None
    diary.deliver(3)
    while diary.score():
        pass
    exact = diary.ask("analyst").json()["record"]["first"]
    assert release(diary) == 1
    shown = diary.ask("reader").json()["record"]["last"]
    assert shown["days"] == 14
    assert shown["n"] == exact["n"] >= MIN_GROUP
    assert shown["shares"]["5"]["champion"]["hits"] == exact["shares"]["5"]["champion"]["hits"]
    assert release(diary) == 0


@pytest.mark.slow
def test_an_unfinished_week_is_not_shown_and_a_shown_one_never_changes(diary):
    diary.live(10)
    diary.deliver(2)
    diary.score()
    assert release(diary) == 1
    before = diary.ask("reader").json()["record"]
    assert before["last"]["days"] == 7
    victim = diary.of_day((START + (TRAINED_DAYS + 2) * DAY).date()).index[0]
    erase_incident(diary.engine, "city", f"c{victim}")
    diary.score()
    release(diary)
    assert diary.ask("reader").json()["record"] == before


@pytest.mark.slow
def test_a_day_that_is_never_scored_does_not_hold_up_its_week_for_ever(diary):
    diary.live(7)
    diary.deliver(2)
    diary.score()
    with diary.engine.begin() as connection:
        first = "SELECT min(id) FROM register_entries"
        connection.execute(text(f"DELETE FROM register_scores WHERE entry_id = ({first})"))
    assert release(diary) == 0
    assert release(diary, diary.now + 36 * DAY) == 1
    assert diary.ask("reader").json()["record"]["last"]["days"] == 6


@pytest.fixture
def filed(diary):
    diary.live(9)
    diary.deliver(2)
    diary.score()
    return diary


def test_single_days_and_last_years_counts_are_not_for_readers(filed):
    seen = filed.ask("reader").json()["entries"]
    known = filed.ask("analyst").json()["entries"]
    assert all(one["scores"] == [] for one in seen)
    assert all(one["scores"] for one in known[-9:])
    one = filed.ask("reader", f"/{seen[0]['id']}").json()
    assert one["lists"]
    assert one["rival"] is one["prior_counts_list"] is None
    csv = filed.ask("reader", "?f=csv").text
    assert all(line.endswith(",,,") for line in csv.splitlines()[1:])


def test_a_version_withheld_from_readers_is_not_named(filed):
    filed.sql(
        "INSERT INTO withheld_versions SELECT region_key, version FROM champions "
        "WHERE region_key = :key ON CONFLICT DO NOTHING",
        key=filed.region.key,
    )
    for entry in filed.ask("reader").json()["entries"]:
        assert entry["model_version"] is entry["expected"] is entry["header"] is None
        assert entry["sha256"]
        full = filed.ask("reader", f"/{entry['id']}").json()
        assert full["forecast"] is full["lists"] is full["hours"] is None
    assert filed.ask("analyst").json()["entries"][0]["model_version"]
