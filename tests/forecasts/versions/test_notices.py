"""What is said of a version since its training, for readers and for those who list incidents."""

from datetime import timedelta

from app.core.roles import seeing_unreleased
from app.forecasts.service import ForecastService
from app.forecasts.versions.notices import news_of
from tests.support.simulated.small_region import START, place, row, train

__all__ = ["place"]


def codes(engine, settings, *, exact):
    with seeing_unreleased(exact):
        version = ForecastService(engine, settings).versions.read("small")
        return [(one.code, one.params.get("n")) for one in news_of(engine, version)]


def test_new_incidents_are_counted_as_the_caller_may_see_them(engine, settings, place):
    train(engine, settings, place, "trainer")
    assert codes(engine, settings, exact=True) == codes(engine, settings, exact=False) == []
    at = START + timedelta(days=31)
    rows = [row(at + timedelta(minutes=7 * k)) for k in range(7)]
    place("ingester", "POST", "/incidents", json=rows)
    assert codes(engine, settings, exact=True) == [("new_incidents", 7)]
    assert codes(engine, settings, exact=False) == []
