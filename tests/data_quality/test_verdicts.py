"""A data report opens with what it allows; each finding follows from its figure."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.data_quality.findings import FINDINGS, MAX_FULL_PLACES, findings
from app.data_quality.verdicts import VERDICTS, verdicts

GOOD = {
    "uploads": dict.fromkeys(
        ("received", "rejected", "swapped_coordinates", "outside_study_area", "far_away", "repeated_rows",
         "corrected"), 0) | {"rejected_by_code": {}, "implausible_years": {}},
    "incidents": {"n": 1000},
    "times": {"one_time": None, "excess_share": 0.0, "told": [], "hours_alike": False,
              "resolution": "minute"},
    "time_precision": {"all": {"exact_share": 1.0, "interval_share": 0.0, "date_only_share": 0.0,
                               "placeholder_share": 0.0, "hour_information": 1.0}},
    "late_reports": {"median_hours": None, "p90_hours": None, "p99_hours": None},
    "places": {"distinct": 900, "share_on_repeated": 0.1, "nearest_m": 30.0, "cell_size_m": 250.0,
               "decimals": None, "step_m": None, "piles": [], "full": []},
    "kinds": {"renamed": [], "spellings": [], "rules": []},
    "twins": {"many": False, "n": 0, "sampled": 0},
    "dated_early": {"n": 0, "before": None, "years": {}},
    "breaks": [],
}  # fmt: skip
HEAP = {"at": "12:00", "n": 30, "share": 0.03, "spike": True, "times_expected": None}
PILE = {
    "longitude": 1.0,
    "latitude": 2.0,
    "n": 60,
    "share": 0.06,
    "default": True,
    "reason": "city_mix",
}


def report(**changes):
    """Return the report of good data with members of its parts changed."""
    changed = deepcopy(GOOD)
    for part, members in changes.items():
        changed[part] = members if isinstance(members, list) else {**changed[part], **members}
    return changed


def codes(**changes):
    return [one.code for one in findings(report(**changes))]


def answers(**changes):
    found = verdicts(report(**changes))
    return found["hour"]["answer"], found["place"]["answer"], found["next_step"]["code"]


def test_data_without_fault_say_so():
    assert findings(GOOD) == []
    assert answers() == ("yes", "yes", "next_train")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"incidents": {"n": 0}}, ("no", "no", "next_send")),
        ({"times": {"one_time": {"share": 0.9, "at": ["00:00"]}}}, ("no", "yes", "next_send_times")),
        ({"times": {"hours_alike": True}}, ("weakly", "yes", "next_send_more")),
        ({"places": {"distinct": 1}}, ("yes", "no", "next_own_places")),
        ({"places": {"distinct": 12, "share_on_repeated": 1.0, "nearest_m": 2000.0}},
         ("yes", "weakly", "next_larger_cells")),
        ({"places": {"decimals": 2, "step_m": 1113.2}}, ("yes", "weakly", "next_larger_cells")),
        ({"places": {"decimals": 4, "step_m": 11.1}}, ("yes", "yes", "next_train")),
        ({"kinds": {"spellings": [["a", "A"]]}}, ("yes", "yes", "next_merge_kinds")),
        ({"uploads": {"received": 10, "swapped_coordinates": 6}}, ("yes", "yes", "next_swap")),
        ({"uploads": {"received": 10, "swapped_coordinates": 5}}, ("yes", "yes", "next_train")),
    ],
)  # fmt: skip
def test_each_fault_has_its_verdict_and_its_next_step(changes, expected):
    assert answers(**changes) == expected


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_of_a_fault_never_makes_a_better_verdict(one, other):
    order = ["yes", "weakly", "no"]
    for place, changed in ((0, lambda s: {"times": {"excess_share": s, "told": [HEAP]}}),
                           (1, lambda s: {"places": {"piles": [{**PILE, "share": s}]}})):  # fmt: skip
        less, more = (
            order.index(answers(**changed(share))[place]) for share in sorted((one, other))
        )
        assert less <= more


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"uploads": {"rejected": 3, "received": 9, "rejected_by_code": {"zero": 3}}}, "rows_rejected"),
        ({"uploads": {"swapped_coordinates": 3}}, "looks_swapped"),
        ({"uploads": {"outside_study_area": 3}}, "outside_study_area"),
        ({"uploads": {"far_away": 3}}, "far_away"),
        ({"uploads": {"repeated_rows": 3}}, "repeated_rows"),
        ({"uploads": {"corrected": 3}}, "corrected_rows"),
        ({"uploads": {"implausible_years": {"1900": 3}}}, "implausible_years"),
        ({"twins": {"many": True, "n": 5, "sampled": 10}}, "twins"),
        ({"times": {"one_time": {"n": 9, "share": 0.9, "at": ["00:00"], "date_only": True}}}, "date_only"),
        ({"times": {"one_time": {"n": 9, "share": 0.9, "at": ["09:00"], "date_only": False}}},
         "one_time_of_day"),
        ({"times": {"resolution": "hour"}}, "full_hours"),
        ({"times": {"told": [HEAP]}}, "time_heaping"),
        ({"times": {"told": [{**HEAP, "times_expected": 8.0}]}}, "time_heaping_ratio"),
        ({"late_reports": {"median_hours": 3.0, "p90_hours": 30.0, "p99_hours": 300.0}}, "late_reports"),
        ({"places": {"decimals": 3, "step_m": 111.3}}, "rounded_coordinates"),
        ({"places": {"share_on_repeated": 0.9, "nearest_m": 41.0}}, "snapped_points"),
        ({"places": {"share_on_repeated": 0.9, "nearest_m": 39.0}}, "shared_points"),
        ({"kinds": {"renamed": [{"ended": ["a"], "began": ["b", "c"], "ended_on": "2026-01-01",
                                 "began_on": "2026-01-02"}]}}, "kind_renamed"),
        ({"kinds": {"spellings": [["a", "A"]]}}, "kind_spellings"),
        ({"kinds": {"rules": [{"category": "drugs", "learnt": False}]}}, "kinds_not_learnt"),
        ({"dated_early": {"n": 3, "before": "2020-01-01", "years": {"2001": 1, "2004": 2}}}, "dated_early"),
        ({"breaks": [{"month": "2026-02", "before_per_day": 9.0, "after_per_day": 3.0}]}, "volume_break"),
    ],
)  # fmt: skip
def test_each_fault_is_found_alone(changes, expected):
    assert codes(**changes) == [expected]


@pytest.mark.parametrize(
    ("reason", "default", "expected"),
    [
        ("city_mix", True, "default_geocode"),
        ("heaped_times", True, "default_geocode_times"),
        ("own_mix", False, "busy_place"),
        ("unclear", False, "unclear_place"),
        ("policy", True, "place_dropped"),
        ("policy", False, "place_kept"),
    ],
)
def test_full_places_are_named_up_to_a_number(reason, default, expected):
    place = {**PILE, "reason": reason, "default": default}
    assert codes(places={"full": [place]}) == [expected]
    many = codes(places={"full": [place] * (MAX_FULL_PLACES + 2)})
    assert many == [expected] * MAX_FULL_PLACES + ["more_default_geocodes"] * default


@pytest.mark.parametrize("table", [FINDINGS, VERDICTS])
def test_every_text_can_be_made_of_numbers(table):
    for code in table.templates:
        made = table.make(code, **dict.fromkeys(table.fields(code), 1))
        assert "{" not in made.message
