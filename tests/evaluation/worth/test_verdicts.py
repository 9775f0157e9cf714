"""Gains are said in plain words, by their bounds."""

import pytest

from app.evaluation.worth.verdicts import VERDICTS_OF_WORTH, verdicts
from models.evaluation.worth import TYPICAL_GAINS


def gain(mean, lo, hi):
    return {"mean": mean, "lo": lo, "hi": hi}


UP, FLAT, DOWN = gain(0.0123, 0.004, 0.02), gain(0.001, -0.002, 0.004), gain(-0.01, -0.02, -0.001)


def test_a_city_where_only_the_hour_is_worth_something():
    found = verdicts({"places_hits": FLAT, "hour_hits": UP, "nats": UP, "hour_nats": FLAT})
    assert [one.code for one in found] == [
        "worth_places_same",
        "worth_hour_more",
        "worth_map_more",
    ]
    places, hour, whole = (one.message for one in found)
    assert "no more than a list of last year's places" in places
    assert "+1.0 of 1,000 incidents (-2.0 to +4.0)" in places
    assert "catches 12.3 more of 1,000 incidents" in hour
    assert "1.2 % denser" in whole
    assert "the hour is +0.1 %" in whole


MIXED = {**UP, "lowest": -0.003, "highest": 0.05}


@pytest.mark.parametrize(
    ("given", "said"), [(UP, "more"), (FLAT, "same"), (DOWN, "fewer"), (MIXED, "mixed")]
)
def test_every_outcome_has_its_sentence(given, said):
    gains = dict.fromkeys(TYPICAL_GAINS, given)
    codes = [one.code for one in verdicts(gains)]
    topics = ("places", "all_years", "hour", "map")
    assert codes == [f"worth_{topic}_{said}" for topic in topics]
    assert set(codes) <= VERDICTS_OF_WORTH.templates.keys()


def test_cities_that_differ_are_named():
    (found,) = verdicts({"places_hits": MIXED})
    assert found.message.endswith("(+4.0 to +20.0), but cities differ (-3.0 to +50.0)")


def test_what_was_not_tested_is_not_said():
    assert verdicts({}) == []
    (only,) = verdicts({"hour_hits": UP, "hour_nats": UP})
    assert only.code == "worth_hour_more"
