"""Notes that a version was found intact: they keep its band exactly, for a day, and end when told."""

from types import SimpleNamespace

import numpy as np
import pytest

from app.core.caching.file_cache import FileCache
from app.forecasts.versions import prepared as module
from app.forecasts.versions.prepared import Prepared
from models.bands import Band

EPOCH = SimpleNamespace(owner="1-1")
RECORD = SimpleNamespace(seal=b"seal of a version")
OTHER = SimpleNamespace(seal=b"seal of another")


@pytest.fixture
def prepared(tmp_path):
    return Prepared(FileCache(tmp_path / "notes", 1 << 20, 0))


def test_the_band_comes_back_bit_for_bit(prepared):
    rng = np.random.default_rng(0)
    band = Band(rng.normal(size=(7, 3)), rng.random((7, 2)) + 0.1)
    prepared.write(RECORD, EPOCH, band)
    (found,) = prepared.read(RECORD, EPOCH)
    np.testing.assert_array_equal(found.loading, band.loading)
    np.testing.assert_array_equal(found.variance, band.variance)
    assert prepared.read(OTHER, EPOCH) is None, "another version was never checked"


def test_a_version_without_a_band_is_noted_too(prepared):
    assert prepared.read(RECORD, EPOCH) is None
    prepared.write(RECORD, EPOCH, None)
    assert prepared.read(RECORD, EPOCH) == (None,)


def test_after_a_day_it_is_checked_again(prepared, monkeypatch):
    prepared.write(RECORD, EPOCH, None)
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + module.CHECK_AGAIN_S + 1)
    assert prepared.read(RECORD, EPOCH) is None


def test_a_damaged_row_ends_the_note(prepared):
    prepared.write(RECORD, EPOCH, None)
    prepared.discard(SimpleNamespace(record=RECORD, epoch=EPOCH))
    assert prepared.read(RECORD, EPOCH) is None
