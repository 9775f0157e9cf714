"""A digest of incidents changes with any of them, and says nothing without the key."""

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text

from app.incidents.column_store import IncidentColumns
from app.incidents.fingerprints import _plain_hash, data_hash, keyed


def columns(n=5):
    """Columns of instants."""
    rng = np.random.default_rng(1)
    return IncidentColumns(
        x_m=rng.random(n).astype(np.float32), y_m=rng.random(n).astype(np.float32),
        time_s=np.arange(n), end_s=np.arange(n), window=np.arange(n, dtype=np.int16),
        category=rng.integers(0, 2, n).astype(np.int32), category_names=["theft", "arson"],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["x_m", "y_m", "time_s", "end_s", "window", "category"])
def test_any_changed_value_gives_another_digest(name):
    known = columns()
    changed = getattr(known, name).copy()
    changed[-1] += 1
    assert _plain_hash(replace(known, **{name: changed})) != _plain_hash(known)


def test_names_of_categories_count_and_their_borders_too():
    known = columns()
    digests = {
        _plain_hash(replace(known, category_names=names))
        for names in (
            ["theft", "arson"],
            ["arson", "theft"],
            ["theftarson", ""],
            ["thef", "tarson"],
        )
    }
    assert len(digests) == 4


def test_the_memory_layout_and_the_arrival_do_not_count():
    known = columns()
    spread = replace(known, x_m=np.repeat(known.x_m, 2)[::2], arrived_s=np.arange(5))
    assert _plain_hash(spread) == _plain_hash(known)


def test_codes_that_need_four_bytes_are_not_cut_to_two():
    many = replace(columns(), category_names=[str(k) for k in range(40_000)])
    high = many.category.copy()
    high[0] += 1 << 16
    assert _plain_hash(replace(many, category=high)) != _plain_hash(many)


def test_the_key_is_the_installations(engine):
    known = columns()
    with engine.connect() as connection:
        first = data_hash(connection, known)
        assert data_hash(connection, columns()) == first
        connection.execute(
            text("UPDATE secrets SET value = '\\x01'::bytea WHERE name = 'data_hash'")
        )
        assert data_hash(connection, known) == keyed(b"\x01", _plain_hash(known)) != first
        connection.rollback()
    assert _plain_hash(known) not in first
