"""Numbers with separated thousands and decimal commas are read if their column proves the style."""

import pandas as pd
import pytest

from app.readers.columns.numbers import plain_numbers


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["1,234,567.8", "987,654"], ["1234567.8", "987654"]),
        (["1.234.567,8", "512.345"], ["1234567.8", "512345"]),
        (["1'234'567.8", "-12'345"], ["1234567.8", "-12345"]),
        (["1 234 567,8", "12 345"], ["1234567.8", "12345"]),
        (["1\u202f234\u202f567,25", ""], ["1234567.25", ""]),
        (["512345,80", "98,765"], ["512345.80", "98.765"]),
        (["512,345"], ["512,345"]),
        (["1,234,567", "12,34"], ["1,234,567", "12,34"]),
        (["-84.51", "39.1"], ["-84.51", "39.1"]),
        (["1,234,567", "unknown"], ["1,234,567", "unknown"]),
    ],
)
def test_a_column_is_read_by_what_it_proves(written, expected):
    assert plain_numbers(pd.Series(written, dtype=object)).tolist() == expected


def test_numbers_and_gaps_stay():
    values = pd.Series([1.5, None, "1,234,567.5"], dtype=object)
    assert plain_numbers(values).tolist() == [1.5, None, "1234567.5"]
