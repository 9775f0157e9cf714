"""The command line says how a file was read: every fact, what was left aside, and what was assumed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.incidents import REASONS, reading_lines
from app.readers.reading import ASSUMPTIONS, LeftAside, Reading, Readings

OTHER_FACTS = {
    "sheet": st.just("Sheet 1"),
    "encoding": st.just("cp1252"),
    "delimiter": st.sampled_from([";", "\t"]),
    "header_row": st.integers(1, 30),
    "preset": st.just("Chicago, crimes"),
    "zone": st.just("UTC"),
    "crs": st.just("EPSG:25832"),
}
FACTS = st.fixed_dictionaries({"format": st.just("csv")}, optional=OTHER_FACTS)


def lines(*readings):
    found = Readings()
    for reading in readings:
        found.add(reading)
    return list(reading_lines(found.to_json()))


@given(FACTS)
def test_every_fact_is_said_and_no_other(facts):
    first, columns = lines(Reading(**facts, columns={"category": "Kind"}))
    shown = {name: "tab" if value == "\t" else value for name, value in facts.items()}
    said = first.removeprefix("read as ")
    assert all(f"{name} {value}" in said for name, value in shown.items())
    assert said.count(", ") == len(facts) - 1 + ("preset" in facts)
    assert columns == "  columns: category = Kind"


@given(st.integers(0, 30))
def test_many_columns_left_aside_are_counted(n):
    aside = tuple(LeftAside("column", f"c{i}", "personal") for i in range(n))
    said = lines(Reading(not_read=aside))[2:]
    if not n:
        assert said == []
        return
    assert said[0].count("(about persons)") == min(n, 12)
    assert said[0].endswith(f", and {n - 12} more") == (n > 12)


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_said_in_words(reason):
    (said,) = lines(Reading(not_read=(LeftAside("sheet", "Notes", reason),)))[2:]
    assert said == f"  not read: sheet Notes ({REASONS[reason]})"


def test_assumptions_and_further_tables_are_said():
    one = Reading(sheet="a", assumptions=(ASSUMPTIONS.make("esri_utc"),))
    assert lines(one, Reading(sheet="b"), Reading(layer="c"))[2:] == [
        "  assumed: dates of Esri JSON are instants of UTC", "  also read: b, c"
    ]  # fmt: skip


def test_no_reading_has_no_lines():
    assert lines() == []
