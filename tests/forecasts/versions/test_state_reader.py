"""Which state answers is found without the database once it has been read, and never too late a one."""

from datetime import UTC, datetime, timedelta

import pytest

from app.core.errors import NotFound
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.versions.state_reader import StateReader
from app.states.service import assimilate
from app.states.store import FROZEN
from tests.support.simulated.small_region import START, place, row, train

__all__ = ["place"]
LATER = START + timedelta(days=40)


@pytest.fixture
def version(engine, settings, place):
    """The champion as trained; a state of day 31 exists."""
    train(engine, settings, place, "trainer")
    at = START + timedelta(days=31)
    rows = [row(at + timedelta(minutes=7 * k), (10.0505, 50.0205)) for k in range(30)]
    place("ingester", "POST", "/incidents", json=rows)
    assimilate(engine, "small")
    return ForecastService(engine, settings).versions.read("small")


@pytest.fixture
def reader(engine, settings) -> StateReader:
    return ForecastService(engine, settings).states


def test_what_was_read_answers_without_the_database(reader, version):
    assert reader.cached(version, Selector(), LATER) is None
    read = reader.read(version, Selector(), LATER)
    assert read.state_id != FROZEN
    assert read.counts.cutoff_s > version.counts.cutoff_s
    again = reader.cached(version, Selector(), LATER)
    assert again is not None
    assert again.state is read.state
    reader.forget("small")
    assert reader.cached(version, Selector(), LATER) is None
    by_number = Selector(state=read.state_id)
    assert reader.cached(version, by_number, LATER) is not None


def test_slots_before_the_end_of_its_data_are_not_answered_by_it(reader, version):
    reader.read(version, Selector(), LATER)
    assert reader.cached(version, Selector(), START) is None, "an older state may exist"
    assert reader.read(version, Selector(), START).state_id == FROZEN


def test_frozen_and_full_names_need_no_database(reader, version):
    for selector in (Selector(state=FROZEN), Selector(model=version.record.version)):
        assert reader.cached(version, selector, LATER) is version


def test_as_of_is_read_each_time(reader, version):
    selector = Selector(as_of=datetime.now(UTC) + timedelta(hours=1))
    assert reader.cached(version, selector, LATER) is None
    assert reader.read(version, selector, LATER).state_id != FROZEN
    before = Selector(as_of=(START + timedelta(days=35)).replace(tzinfo=None))
    assert reader.read(version, before, LATER).state_id == FROZEN, "it was made later"


def test_an_unknown_number_is_refused_by_its_name(reader, version):
    with pytest.raises(NotFound) as refused:
        reader.read(version, Selector(state="123456789"), LATER)
    assert refused.value.field == "state"
