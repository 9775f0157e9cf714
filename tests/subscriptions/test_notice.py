"""What a delivery says, and that a later attempt says the same unless that forecast is gone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.forecasts.service import ForecastService
from app.regions.store import get_region
from app.subscriptions.delivery_store import find_delivery
from app.subscriptions.failures import PushFailed
from app.subscriptions.notice import notice_of
from app.subscriptions.schemas import DeliveryReply


@pytest.fixture
def delivery(office):
    """A waiting delivery, its subscription and its region."""

    def make(**more):
        office.subscribe("files", "folder", **more)
        made_id = office.test("files")
        with office.engine.connect() as connection:
            one = office.subscription()
            return find_delivery(connection, one.key, made_id), one, get_region(connection, "town")

    return make


def test_what_the_readers_of_a_shift_are_told(office, delivery):
    made, one, region = delivery(n=3, max_km2=1.0)
    service = ForecastService(office.engine, office.settings)
    late = replace(made, occasion="shift:2020-01-15/late")
    notice = notice_of(service, one, late, region)
    said = json.loads(notice.json())
    assert (said["event"], said["shift"]) == ("shift", "late")
    assert (said["from"], said["to"]) == ("2020-01-15T14:00:00-05:00", "2020-01-15T22:00:00-05:00")
    asked = {"shift": "late", "date": "2020-01-15", "n": 3, "max_km2": 1.0}
    shown = office.ask("reader", "GET", "/forecasts/zones", params=asked).json()
    assert [f["properties"] for f in said["zones"]["features"]] == [
        f["properties"] for f in shown["features"]
    ]
    assert notice.title() == "Late shift, Wednesday 15 January 2020"
    letter = notice.letter()
    assert "14:00 to 22:00" in letter
    assert len([line for line in letter.splitlines() if line[:2] in ("1.", "2.", "3.")]) == len(
        shown["features"]
    )
    DeliveryReply.of(replace(made, forecast=notice.pinned()))


def test_a_forecast_that_is_gone_is_replaced_by_what_serves_now(office, delivery):
    made, one, region = delivery()
    service = ForecastService(office.engine, office.settings)
    first = notice_of(service, one, made, region)
    same = notice_of(service, one, replace(made, forecast=first.pinned()), region)
    assert same.pinned() == first.pinned()
    gone = {**first.pinned(), "model_version": "truth-erased"}
    other = notice_of(service, one, replace(made, forecast=gone), region)
    assert other.pinned() == first.pinned()


def test_what_cannot_be_forecast_is_told(office, delivery):
    made, one, region = delivery(max_km2=900.0)
    service = ForecastService(office.engine, office.settings)
    with pytest.raises(PushFailed, match="no such forecast") as failed:
        notice_of(service, one, made, region)
    assert failed.value.final
    lost = replace(made, occasion="state:none/1")
    with pytest.raises(PushFailed, match="no such forecast") as failed:
        notice_of(service, one, lost, region)
    assert not failed.value.final
