"""A key is checked, and read by one upload at a time in a process."""

import pytest

from app.core.errors import Conflict, InvalidInput
from app.incidents.uploads.idempotency import checked_key, reserved
from app.regions.service import add_region
from app.regions.store import get_region


@pytest.mark.parametrize("key", [None, "a", "k" * 255, "día 1"])
def test_printable_keys_are_taken(key):
    assert checked_key(key) == key


@pytest.mark.parametrize("key", ["", "k" * 256, "a\nb", "\x00"])
def test_other_keys_are_refused(key):
    with pytest.raises(InvalidInput, match="1-255 printable"):
        checked_key(key)


@pytest.fixture
def region(engine):
    add_region(engine, "keyed", timezone="UTC")
    with engine.connect() as connection:
        return get_region(connection, "keyed")


def test_a_key_is_free_again_however_its_upload_ends(engine, region):
    with reserved(engine, region, "one"):
        with reserved(engine, region, "other"), reserved(engine, region, None):
            pass
        with pytest.raises(Conflict, match="in progress"), reserved(engine, region, "one"):
            pass
        # The refused one has not freed what the first holds.
        with pytest.raises(Conflict), reserved(engine, region, "one"):
            pass
    with pytest.raises(ZeroDivisionError), reserved(engine, region, "one"):
        _ = 1 / 0
    with reserved(engine, region, "one"):
        pass
