"""Between the rows of the table of worth nothing is invented, and beyond it nothing is promised."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evaluation.worth.table import ENDS, FILE, WorthTable, least_size, outcome, worth_table
from models.evaluation.worth import TYPICAL_GAINS

SIZES, DELAYS_DAYS = (100, 1_000, 10_000), (0, 10)


def table(value=lambda k, d: 0.01 * k - 0.001 * d):
    """A table of gains `value` of the place in `SIZES` and the delay, with bounds .005 to both sides."""
    away = dict(zip(ENDS, (0.0, -0.005, 0.005, -0.01, 0.01), strict=True))
    rows = [
        {
            "n": n,
            "delay_days": days,
            "cities": ["a", "b", "c"][: 3 - (k == 2)],
            "list_share": 0.3 + 0.1 * k,
            "gains": {g: {end: value(k, days) + away[end] for end in ENDS} for g in TYPICAL_GAINS},
        }
        for k, n in enumerate(SIZES)
        for days in DELAYS_DAYS
    ]
    return WorthTable({"model": "stack", "rows": rows})


def test_rows_are_returned_as_they_are_and_the_middle_is_that_of_logarithms():
    found = table()
    for k, n in enumerate(SIZES):
        for days in DELAYS_DAYS:
            gain = found.at(n, days).gains["nats"]
            assert gain["mean"] == pytest.approx(0.01 * k - 0.001 * days)
            assert gain["lowest"] == pytest.approx(gain["mean"] - 0.01)
    between = found.at(round(np.sqrt(100 * 1_000)), 5)
    assert between.gains["hour_hits"]["mean"] == pytest.approx(0.005 - 0.005, abs=1e-4)
    assert between.list_share == pytest.approx(0.35, abs=1e-4)
    assert (found.at(1_000, 0).n_cities, found.at(1_001, 0).n_cities) == (3, 2)


@given(
    st.lists(st.floats(-0.1, 0.1), min_size=3, max_size=3),
    st.lists(st.integers(1, 20_000), min_size=2, max_size=12),
    st.sampled_from(DELAYS_DAYS),
)
def test_between_two_rows_gains_go_one_way_with_the_number_of_incidents(values, asked, days):
    found = table(lambda k, _days: values[k])
    inside = sorted(n for n in asked if SIZES[0] <= n <= SIZES[1])
    means = [found.at(n, days).gains["nats"]["mean"] for n in inside]
    way = np.sign(values[1] - values[0])
    assert all(way * (b - a) >= -1e-12 for a, b in pairwise(means))
    for n in asked:
        gain = found.at(n, days).gains["nats"]
        assert gain["lowest"] <= gain["lo"] <= gain["mean"] <= gain["hi"] <= gain["highest"]
        assert min(values) - 1e-12 <= gain["mean"] <= max(values) + 1e-12


@pytest.mark.parametrize(("n", "days"), [(5, 3), (10**9, 3), (500, 400), (0, 0)])
def test_beyond_the_table_is_what_is_at_its_edge(n, days):
    found = table().at(n, days)
    edge = min(max(n, SIZES[0]), SIZES[-1]), min(days, DELAYS_DAYS[-1])
    assert (found.n, found.delay_days) == edge
    assert found == table().at(*edge)


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ({"lo": 0.001, "hi": 0.02}, "more"),
        ({"lo": 0.0, "hi": 0.02}, "same"),
        ({"lo": -0.01, "hi": 0.02}, "same"),
        ({"lo": -0.01, "hi": 0.0}, "same"),
        ({"lo": -0.01, "hi": -0.001}, "fewer"),
        ({"lo": 0.001, "hi": 0.02, "lowest": 0.0001, "highest": 0.03}, "more"),
        ({"lo": 0.001, "hi": 0.02, "lowest": -0.001, "highest": 0.03}, "mixed"),
        ({"lo": -0.02, "hi": -0.01, "lowest": -0.03, "highest": 0.001}, "mixed"),
        ({"lo": -0.02, "hi": -0.01, "lowest": -0.03, "highest": -0.001}, "fewer"),
    ],
)
def test_a_gain_counts_beyond_chance_and_in_every_city(gain, said):
    assert outcome(gain) == said


def test_the_least_size_is_that_from_which_on_all_gain():
    found = [table(lambda k, _: (0.05, -0.05, 0.05)[k]).at(n, 0) for n in SIZES]
    assert least_size(found, "nats") == SIZES[2]
    assert least_size(found[:2], "nats") is None
    assert least_size(found[:1], "nats") == SIZES[0]


def test_the_table_of_this_release_is_whole():
    stored = json.loads(FILE.read_text())
    found = worth_table()
    assert found.model == stored["model"] == "stack"
    assert stored["command"] == "make bench PART=worth"
    assert (found.sizes[0], found.sizes[-1]) == (300, 100_000)
    assert found.delays_days == [0, 7, 28, 90]
    for row in (*stored["rows"], *stored["whole"]):
        assert set(row["gains"]) == set(TYPICAL_GAINS)
        assert row["cities"]
        for gain in row["gains"].values():
            assert gain["lo"] <= gain["mean"] <= gain["hi"]
            assert gain["lowest"] <= gain["mean"] <= gain["highest"]
        means = {name: gain["mean"] for name, gain in row["gains"].items()}
        both = means["places_hits"] + means["hour_hits"]
        assert means["asked_hits"] == pytest.approx(both, abs=3e-5)
