"""The report of kinds names renamed ones with their days, and counts each kind once."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.data_quality.kinds import counts_of, kinds_report
from app.data_quality.store import KindWeek
from app.regions.learning_policy import LearningPolicy

MONDAY = date(2020, 1, 6)


def weeks_of(name, weeks, n):
    return [
        KindWeek(
            name, week, n, MONDAY + timedelta(weeks=week), MONDAY + timedelta(weeks=week, days=6)
        )
        for week in weeks
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=9))
def test_counts_are_sums_most_first(rows):
    counts = counts_of([KindWeek(name, i, n, MONDAY, MONDAY) for i, (name, n) in enumerate(rows)])
    assert sum(counts.values()) == sum(n for _, n in rows)
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert set(counts) == {name for name, _ in rows}


def test_a_renamed_kind_has_its_last_and_its_first_day():
    weeks = [
        *weeks_of("theft", range(52), 40),
        *weeks_of("robo", range(26), 30),
        *weeks_of("robbery", range(26, 52), 30),
    ]
    report = kinds_report(weeks, 0, LearningPolicy())
    last, first = MONDAY + timedelta(weeks=25, days=6), MONDAY + timedelta(weeks=26)
    assert report["renamed"] == [
        {
            "ended": ["robo"],
            "began": ["robbery"],
            "ended_on": last.isoformat(),
            "began_on": first.isoformat(),
        }
    ]
    assert kinds_report(weeks, 26, LearningPolicy())["renamed"] == []


def test_each_kind_has_a_rule_and_spellings_are_named():
    weeks = [*weeks_of("Theft", [0], 3), *weeks_of("THEFT", [0], 2), *weeks_of("drugs", [0], 1)]
    report = kinds_report(weeks, 0, LearningPolicy(exclude_categories=("Theft",)))
    assert report["spellings"] == [["THEFT", "Theft"]]
    assert [rule["category"] for rule in report["rules"]] == ["Theft", "THEFT", "drugs"]
    assert not report["rules"][0]["learnt"]


def test_no_kinds_have_an_empty_report():
    assert kinds_report([], 0, LearningPolicy()) == {"renamed": [], "spellings": [], "rules": []}
