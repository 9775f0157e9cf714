"""The time zone's place says whether coordinates are exchanged."""

import pytest

from app.geo.zone_places import Place, _places, is_near_meridian, place_of_zone, standing


@pytest.mark.parametrize(
    ("longitude", "latitude", "timezone", "expected"),
    [
        (13.4, 52.5, "Europe/Berlin", "near"),
        (52.5, 13.4, "Europe/Berlin", "swapped"),
        (39.1, -84.5, "America/New_York", "swapped"),
        (34.0, -118.2, "America/Los_Angeles", "swapped"),
        (-37.8, 144.9, "Australia/Melbourne", "swapped"),
        (31.2, 30.0, "Africa/Cairo", "near"),
        (30.0, 31.2, "Africa/Cairo", "near"),
        (75.9, 39.5, "Asia/Shanghai", "far"),
        (1.0, 1.0, "America/New_York", "far"),
        (13.4, 52.5, "Etc/UTC", None),
        (-155.1, 19.7, "Pacific/Honolulu", "near"),
    ],
)
def test_a_place_is_judged_by_its_zone(longitude, latitude, timezone, expected):
    assert standing(Place(longitude, latitude), timezone) == expected


def test_no_zone_takes_its_own_place_for_exchanged():
    assert len(_places()) > 500
    for name, place in _places().items():
        assert standing(place, name) == "near", name


def test_links_have_places_and_clocks_without_a_country_have_none():
    assert place_of_zone("US/Eastern") == place_of_zone("America/New_York")
    assert place_of_zone("EST") is None
    assert is_near_meridian("Pacific/Auckland")
