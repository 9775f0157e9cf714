"""Digests of stored forecasts: the database and Python agree, and every part counts."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.registry.integrity import forecasts_sha256, row_digest

ONE = st.tuples(
    st.integers(1, 2**31),
    st.text(st.characters(codec="ascii", exclude_characters="\x00:"), min_size=1, max_size=30),
    st.integers(-1, 2**31 - 1),
    st.integers(0, 167),
    st.binary(max_size=200),
)
IN_SQL = text(
    "SELECT sha256(convert_to(concat_ws(':', CAST(:region AS bigint), CAST(:version AS text),"
    " CAST(:code AS int), CAST(:window AS smallint), ''), 'UTF8') || :cells)"
)


@given(ONE)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_database_works_out_the_same_digest(engine, row):
    names = ("region", "version", "code", "window", "cells")
    with engine.connect() as connection:
        found = connection.scalar(IN_SQL, dict(zip(names, row, strict=True)))
    assert bytes(found) == row_digest(*row)


@given(ONE, ONE)
def test_rows_that_differ_in_any_part_have_other_digests(one, other):
    assert (row_digest(*one) == row_digest(*other)) == (one == other)


ROWS = st.lists(
    st.tuples(st.integers(-1, 9), st.integers(0, 167), st.binary(min_size=32, max_size=32)),
    unique_by=lambda row: row[:2],
    min_size=1,
)


@given(ROWS, st.randoms())
def test_one_digest_of_all_rows_knows_no_order_and_misses_none(rows, rng):
    whole = forecasts_sha256(rows)
    shuffled = rng.sample(rows, len(rows))
    assert forecasts_sha256(shuffled) == whole
    assert forecasts_sha256(rows[1:]) != whole
    (code, window, digest), *rest = rows
    changed = bytes([digest[0] ^ 1]) + digest[1:]
    assert forecasts_sha256([(code, window, changed), *rest]) != whole
