"""Columns are chosen by what their names mean; two of one meaning are never chosen between."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.columns import portals
from app.readers.columns.choosing import choose
from app.readers.columns.fields import ALL_FIELDS
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.names import FIXED, fixed_tier, is_known_name, kind_rank, time_name
from app.readers.columns.plan import plan_columns
from app.readers.columns.portals import PORTALS, normalised_name

USUAL = ("occurred_at", "longitude", "latitude", "category", "id", "modified")
OTHERS = st.lists(
    st.sampled_from(["beat", "ward", "exported_at", "report date", "victim_age", "x1"])
)
WORDS = st.sampled_from(
    [
        "date",
        "time",
        "hour",
        "occurred",
        "offense",
        "type",
        "id",
        "end",
        "x",
        "lat",
        "lon",
        "year",
        "y",
    ]
)
NAMES = st.lists(
    st.one_of(st.lists(WORDS, min_size=1, max_size=3).map("_".join), st.text(max_size=8))
)


@given(NAMES, st.sets(st.sampled_from(ALL_FIELDS)), st.sets(st.sampled_from(ALL_FIELDS)))
def test_only_what_is_lacking_is_chosen_and_only_from_the_header(names, own, absent):
    try:
        found = choose(names, own, absent)
    except InvalidInput as error:
        found = {}
        assert error.code == "ambiguous_column"  # noqa: PT017
    assert set(found.values()) <= set(names)
    assert not set(found) & (own | absent)
    assert set(found) <= set(ALL_FIELDS)


@given(OTHERS, st.permutations(USUAL))
def test_neither_order_nor_columns_of_other_things_matter(others, usual):
    found = choose([*others, *usual])
    assert found == {
        "occurred_at": "occurred_at",
        "longitude": "longitude",
        "latitude": "latitude",
        "category": "category",
        "external_id": "id",
        "updated_at": "modified",
    }


@given(st.sampled_from([(f, tier) for f in ("longitude", "latitude", "external_id", "updated_at")
                        for tier in FIXED[f] if len(tier) > 1]))  # fmt: skip
def test_two_names_of_one_meaning_are_refused_with_both(found):
    field, tier = found
    with pytest.raises(InvalidInput) as caught:
        choose(tier[:2])
    assert caught.value.params == {"field": field, "columns": list(tier[:2])}
    assert f"columns={field}=" in str(caught.value)


def test_two_names_that_differ_in_writing_only_must_be_renamed():
    with pytest.raises(InvalidInput, match="rename one"):
        choose(["Latitude", "LATITUDE"])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["date", "time"], {"date": "date", "time": "time"}),
        (["date", "hour"], {"date": "date", "hour": "hour"}),
        (["date"], {"occurred_at": "date"}),
        (["Date Only", "Occurred Date", "Occurred Time"],
         {"date": "Occurred Date", "time": "Occurred Time"}),
        (["reported_at", "occurred"], {"occurred_at": "occurred"}),
        (["start date", "end date", "start time", "end time"],
         {"date": "start date", "time": "start time", "end_date": "end date", "end_time": "end time"}),
        (["occurred_at", "occurred_from", "occurred_to"],
         {n: n for n in ("occurred_at", "occurred_from", "occurred_to")}),
        (["occurred_at", "occurred_to"], {"occurred_at": "occurred_at", "occurred_to": "occurred_to"}),
        (["From", "To", "start", "end"], {}),
        (["start_date", "end_date"], {"occurred_from": "start_date", "occurred_to": "end_date"}),
        (["Start Date/Time", "End Date"], {"occurred_at": "Start Date/Time"}),
        (["Date From", "Time From", "Date To"], {"date": "Date From", "time": "Time From"}),
        (["start_date", "end_date", "End Date"], {"occurred_at": "start_date"}),
        (["date_occurred", "start_date", "end_date"], {"occurred_at": "date_occurred"}),
        (["timestamp", "date occurred"], {"occurred_at": "date occurred"}),
        (["year", "month", "day", "hora"], {"year": "year", "month": "month", "day": "day", "hour": "hora"}),
        (["year", "month"], {"year": "year", "month": "month"}),
        (["reported_at"], {}),
    ],
)  # fmt: skip
def test_the_best_way_of_a_time_is_chosen(names, expected):
    assert choose(names) == expected


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (["time"], {"date": "date"}),
        (["date"], {"time": "time"}),
        (["year", "month", "day"], {"hour": "hour"}),
        (["occurred_at"], {}),
    ],
)
def test_parts_that_the_caller_names_are_completed(given_, expected):
    assert choose(["date", "time", "hour"], given_) == expected


def test_degrees_are_preferred_to_metres_and_these_to_a_location():
    assert choose(["x", "y", "lat", "lon"]).keys() == {"x", "y", "longitude", "latitude"}
    assert choose(["the_geom", "lat"]) == {"location": "the_geom"}
    assert choose(["the_geom", "easting", "northing"]).keys() == {"x", "y"}
    assert choose(["the_geom", "lat", "lon"], ["lonlat"]) == {}


@given(st.text(max_size=15))
def test_no_name_fails(name):
    known = [time_name(name) is not None, kind_rank(name) is not None]
    known += [fixed_tier(field, name) is not None for field in FIXED]
    assert not is_known_name(name) or any(known)


@given(st.sampled_from([n for tiers in FIXED.values() for tier in tiers for n in tier]))
def test_writing_does_not_change_a_name(name):
    for written in (name.upper(), f"\ufeff{name} ", name.replace("_", " "), name.replace("_", "-")):
        assert normalised_name(written) == normalised_name(name)


@pytest.mark.parametrize("portal", PORTALS, ids=lambda one: one.name)
def test_a_portals_columns_are_fields_and_its_signature_finds_it(portal):
    assert set(portal.columns) <= set(ALL_FIELDS)
    assert {*portal.signature} == {normalised_name(name) for name in portal.signature}
    header = list(dict.fromkeys([*portal.signature, *portal.columns.values()]))
    first = next(p for p in PORTALS if set(p.signature) <= set(header))
    assert plan_columns([name.upper() for name in header], ColumnMapping()).portal == first.name


def test_every_portal_of_the_file_is_known():
    stored = tomllib.loads(Path(portals.__file__).with_suffix(".toml").read_text())["portal"]
    assert [one["name"] for one in stored] == [one.name for one in PORTALS]
    assert len({one.name for one in PORTALS}) == len(PORTALS)
