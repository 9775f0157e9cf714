"""Which version answers: found without the database once read, and read again once forgotten."""

import pytest

from app.core.errors import NotReady
from app.core.roles import seeing_unreleased
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.versions.version_reader import VersionReader
from app.regions.store import get_region
from app.registry.visibility import withhold
from tests.support.simulated.small_region import place, train

__all__ = ["place"]


@pytest.fixture
def reader(engine, settings, place) -> VersionReader:
    return ForecastService(engine, settings).versions


def test_a_region_without_versions_is_not_ready(reader):
    assert reader.cached("small", Selector()) is None
    with pytest.raises(NotReady):
        reader.read("small")


def test_what_was_read_answers_without_the_database(engine, settings, place, reader):
    train(engine, settings, place, "trainer")
    champion = reader.read("small")
    assert reader.cached("small", Selector()) is champion
    reader.forget_champion("small")
    assert reader.cached("small", Selector()) is None
    by_name = Selector(model=champion.record.version)
    assert reader.cached("small", by_name) is champion, "only who the champion is was forgotten"
    assert reader.read("small") is champion
    reader.forget("small")
    assert reader.cached("small", by_name) is None
    assert reader.read("small").record == champion.record


@pytest.mark.slow
def test_readers_do_not_get_a_withheld_version_that_others_have_read(
    engine, settings, place, reader
):
    train(engine, settings, place, "trainer")
    with seeing_unreleased(True), engine.begin() as connection:
        key = get_region(connection, "small").key
        withhold(connection, key, reader.read("small").record.version)
    reader.forget("small")
    with seeing_unreleased(True):
        withheld = reader.read("small")
        assert withheld.withheld
        assert reader.cached("small", Selector()) is withheld
    with seeing_unreleased(False):
        assert reader.cached("small", Selector()) is None
        assert reader.cached("small", Selector(model=withheld.record.version)) is None
        with pytest.raises(NotReady):
            reader.read("small")
