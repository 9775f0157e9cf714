"""What the first block of a table proves holds for all of its blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.blocks import ReadOptions
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import plan_columns
from app.readers.files.tables import Table
from app.readers.reading import ASSUMPTIONS, LeftAside

LON, LAT = (
    st.floats(low, high).map(lambda one: round(one, 5)) for low, high in ((-180, 180), (-90, 90))
)
PLACES = st.lists(st.tuples(LON, LAT), min_size=1, max_size=8)


def table(**columns):
    return Table(ReadOptions(mapping=ColumnMapping(columns)), {"format": "csv"})


def block(one, columns, broken=None):
    n_rows = len(next(iter(columns.values())))
    plan = plan_columns(list(columns), one.options.mapping)
    held = {field: columns[column] for field, column in plan.names.items()}
    return one.block(plan, held, n_rows, broken or {})


def located(one, texts):
    return block(one, {"occurred_at": [""] * len(texts), "location": texts}).columns


@given(PLACES, st.integers(1, 8))
def test_an_order_proven_by_the_first_block_holds_for_all(places, cut):
    texts = ["-100.5, 39.1", *(f"{lon}, {lat}" for lon, lat in places)]
    one = table()
    found = [located(one, part) for part in (texts[:cut], texts[cut:]) if part]
    read = [pair for c in found for pair in zip(c["longitude"], c["latitude"], strict=True)]
    assert read == [(-100.5, 39.1), *places]
    assert [m.params["order"] for m in one.assumptions] == ["longitude, latitude"]


@given(PLACES)
def test_pairs_have_the_latitude_first_if_nothing_proves_else(places):
    found = located(table(), [f"({lat}, {lon})" for lon, lat in places])
    assert list(zip(found["longitude"], found["latitude"], strict=True)) == places
    lonlat = table(lonlat="location")
    found = located(lonlat, [f"{lon} {lat}" for lon, lat in places])
    assert list(zip(found["longitude"], found["latitude"], strict=True)) == places


def test_a_location_without_a_place_is_named_by_row():
    one = table()
    found = block(
        one, {"occurred_at": [""] * 3, "location": ["POINT (1 2)", "", "Main St"]}, {1: "broken"}
    )
    assert found.columns["longitude"] == [1.0, None, None]
    assert found.no_place == {2: "no place: the location is 'Main St'"}


def test_a_column_of_addresses_is_refused_with_a_sample():
    with pytest.raises(InvalidInput, match="'1 Main St'") as caught:
        located(table(), ["", "1 Main St", "2 Main St"])
    assert (caught.value.code, caught.value.params) == ("missing_column", {"column": "location"})


@pytest.mark.parametrize(("sources", "is_ours"), [(["reported", ""], True), (["", None], True),
                                                  (["phone", "web"], False)])  # fmt: skip
def test_a_source_that_is_not_ours_is_left_aside_in_all_blocks(sources, is_ours):
    one, names = table(), ("occurred_at", "longitude", "latitude")
    blocks = [
        block(one, {**{n: [""] * 2 for n in names}, "source": s})
        for s in (sources, ["reported", "x"])
    ]
    assert [("source" in b.columns, "source" in b.plan.reading.columns) for b in blocks] == [
        (is_ours,) * 2
    ] * 2
    aside = LeftAside("column", "source", "other_meaning")
    assert (aside in blocks[1].plan.reading.not_read) != is_ours
    mapped = table(source="source")
    assert "source" in block(mapped, {**{n: [""] * 2 for n in names}, "source": sources}).columns


@given(st.lists(LON, min_size=1))
def test_decimal_commas_of_degrees_are_points(lons):
    columns = {
        "occurred_at": [""] * len(lons),
        "latitude": lons,
        "longitude": [f"{v:f}".replace(".", ",") for v in lons],
    }
    found = block(table(), columns).columns
    assert found["longitude"] == [f"{v:f}" for v in lons]
    assert found["latitude"] == lons


def test_an_assumption_is_said_once():
    one = table()
    for n in (1, 2):
        one.assume(ASSUMPTIONS.make("geometry_taken", n=n))
    found = block(one, {"occurred_at": [""], "longitude": [1], "latitude": [2]})
    assert [m.code for m in found.plan.reading.assumptions] == ["geometry_taken", "no_kind"]
