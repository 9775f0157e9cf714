"""Filed days are scored when the truth is in, like a count by hand; late incidents change no first score."""

import json
from collections import Counter
from datetime import timedelta

import numpy as np
import pytest

from app.register.parts import SHARES, FiledCounts, FiledForecast
from app.register.scoring import Happened, score_day
from app.register.totals import shown, summed
from models.evaluation.significance import wilson_interval
from tests.register.conftest import START, TRAINED_DAYS, by_hand, cell_ids

DAY = timedelta(days=1)


def test_nothing_is_scored_before_the_feed_has_come_a_day_further(diary):
    diary.live()
    assert diary.score() == 0
    diary.deliver()
    assert diary.score(diary.now - timedelta(hours=1)) == 0  # by the clock, too
    assert diary.score(diary.now + timedelta(hours=1)) == 0  # the last incident was before midnight
    diary.deliver()
    assert diary.score() == 1
    assert diary.score() == 0


@pytest.mark.slow
def test_scores_equal_a_count_by_hand(diary):
    filed = diary.live(4)
    diary.deliver(2)
    assert diary.score() == 4
    body = diary.ask("analyst").json()
    by_day = {entry["day"]: entry for entry in body["entries"]}
    hits = Counter()
    for one in filed:
        entry = diary.ask("analyst", f"/{one.id}").json()
        (score,) = by_day[entry["day"]]["scores"]
        happened = diary.of_day(one.entry.day)
        ids = cell_ids(diary, happened)
        assert score["n"] == int((ids >= 0).sum()) > 0
        assert score["covered"] == (entry["expected_lo"] <= score["n"] <= entry["expected_hi"])
        before = diary.frame[diary.frame["occurred_at"] < one.entry.filed_at]
        count = Counter(cell_ids(diary, before).tolist())
        length = entry["list_lengths"]["10"]
        # Cells at the border are smaller, which decides among equal counts: compare the counts alone.
        listed = sorted((count[cell] for cell in entry["prior_counts_list"]), reverse=True)
        best = sorted((n for cell, n in count.items() if cell >= 0), reverse=True)
        assert listed == (best + [0] * length)[:length]
        for percent in map(str, SHARES):
            own = by_hand(diary, entry, [cells["cells"] for cells in entry["lists"]], percent)
            past = by_hand(diary, entry, [entry["prior_counts_list"]] * 8, percent)
            assert score["hits"][percent]["champion"] == own
            assert score["hits"][percent]["prior_counts"] == past
            hits.update({("champion", percent): own, ("prior_counts", percent): past})
    record = body["record"]["last"]
    assert record == body["record"]["first"]
    assert record["n"] == sum(one["scores"][0]["n"] for one in by_day.values())
    for (name, percent), n in hits.items():
        found = record["shares"][percent][name]
        assert found["hits"] == n
        assert (found["lo"], found["hi"]) == pytest.approx(wilson_interval(n, record["n"]))


def test_a_forecast_drawn_from_itself_is_covered_and_scores_what_it_expects():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(40, 0.3), size=8)
    area = np.full(40, 0.25)
    order = np.argsort(-p, axis=1)[:, :4]
    filed = FiledForecast(
        np.arange(40), area, np.full(24, 2.0), np.zeros(24), np.full(24, 9.0), order, p
    )
    n = 4000
    hour = rng.integers(0, 24, n)
    rows = np.array([rng.choice(40, p=p[h // 3]) for h in hour])
    happened = Happened(rows, hour * 3600, np.arange(n), hour // 3, np.ones(n))
    score = score_day(filed, FiledCounts(np.bincount(rows, minlength=40)), happened, 0)
    expected = np.take_along_axis(p, order, axis=1).sum(axis=1).mean()
    assert score["hits"]["10"]["champion"] / n == pytest.approx(expected, abs=0.03)
    mean = (p * np.log(np.maximum(p, 1e-300) / 0.25)).sum(axis=1).mean()
    assert score["log_density"]["champion"] / n == pytest.approx(mean, abs=0.06)
    assert score["hours_covered"] == 0  # far more incidents than forecast


def test_an_interval_is_a_hit_by_its_share():
    p = np.full((8, 20), 0.05)
    lists = np.zeros((8, 2), int)
    lists[:, 1] = 1
    lists[1] = [5, 6]
    filed = FiledForecast(
        np.arange(20), np.ones(20), np.ones(24), np.zeros(24), np.ones(24), lists, p
    )
    happened = Happened(
        np.array([5, 0]), np.array([0, 0]), np.array([0, 0, 1]), np.array([0, 1, 2]),
        np.array([0.25, 0.75, 1.0]),
    )  # fmt: skip
    hits = score_day(filed, FiledCounts(np.zeros(20, int)), happened, 0)["hits"]
    assert (hits["5"]["champion"], hits["10"]["champion"]) == (1.75, 1.75)


def test_late_incidents_make_a_second_score_and_leave_the_first(diary):
    late = []

    def without_some(frame):
        late.append(frame.iloc[:3])
        return frame.iloc[3:]

    diary.file()
    diary.deliver(1, without_some)
    diary.deliver(2)
    assert diary.score() == 1
    diary.send(late[0])
    assert diary.score() == 0  # not before its time
    later = START + (TRAINED_DAYS + 8) * DAY
    assert diary.score(later) == 1
    first, second = diary.ask("analyst").json()["entries"][0]["scores"]
    assert (first["look_days"], second["look_days"]) == (1, 7)
    inside = int((cell_ids(diary, late[0]) >= 0).sum())
    assert second["n"] - first["n"] == inside > 0
    record = diary.ask("analyst").json()["record"]
    assert (record["first"]["n"], record["last"]["n"]) == (first["n"], second["n"])
    assert diary.problems() == []


def test_a_feed_that_is_late_is_scored_once_it_has_come(diary):
    diary.file()
    diary.deliver(3)
    assert diary.score(diary.now + 40 * DAY) == 1
    (score,) = diary.ask("analyst").json()["entries"][0]["scores"]
    assert score["look_days"] == 28


def test_sums_of_sums_are_sums_of_days():
    rng = np.random.default_rng(3)
    days = [
        {
            "n": int(n), "expected": 3.5, "covered": bool(n % 2), "hours": 24, "hours_covered": 20,
            "hits": {str(k): {"champion": float(n), "prior_counts": 1.0, "both": 1.0} for k in SHARES},
            "log_density": {"champion": -1.0, "prior_counts": -2.0},
        }
        for n in rng.integers(1, 9, 6)
    ]  # fmt: skip
    whole = summed(days)
    assert whole == summed([summed(days[:2]), json.loads(json.dumps(summed(days[2:])))])
    gap = shown(whole)["shares"]["5"]["difference"]
    assert gap["hits"] == whole["n"] - 6
    assert shown(summed([]))["shares"]["5"]["champion"]["share"] is None


def test_an_altered_forecast_is_not_scored_and_holds_up_no_other(diary):
    filed = diary.live(2)
    diary.deliver(2)
    diary.sql(
        "UPDATE register_entries SET forecast = sha256(forecast) WHERE id = :id", id=filed[0].id
    )
    assert diary.score() == 1
    assert [bool(e["scores"]) for e in diary.ask("analyst").json()["entries"]] == [True, False]
