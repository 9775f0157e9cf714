"""Workers find what is behind after uploads have come to rest, and assimilate it in a child."""

import asyncio
from datetime import timedelta

import pytest

from app.states.store import last_number
from app.worker.children import run_child
from app.worker.states import StateWatch
from tests.support.small_region import START, place, row, train

__all__ = ["place"]


def upload(place, day, n=30):
    at = START + timedelta(days=day)
    rows = [row(at + timedelta(minutes=7 * k), (10.0505, 50.0205)) for k in range(n)]
    assert place("ingester", "POST", "/incidents", json=rows).json()["accepted"] == n


@pytest.fixture
def trained(engine, settings, place):
    version, _ = train(engine, settings, place, "trainer")
    return version


def test_a_region_is_due_once_after_its_uploads_have_come_to_rest(engine, settings, place, trained):
    hasty = StateWatch(engine, settings.model_copy(update={"state_quiet_s": 0.0}))
    patient = StateWatch(engine, settings.model_copy(update={"state_quiet_s": 3600.0}))
    assert hasty.due() == patient.due() == []
    upload(place, 31)
    assert patient.due() == [], "the upload may be the first of many"
    assert hasty.due() == ["small"]
    assert hasty.due() == [], "nothing new since"
    upload(place, 33)
    assert hasty.due() == ["small"]


def test_after_a_failure_the_region_is_due_again(engine, settings, place, trained):
    watch = StateWatch(engine, settings.model_copy(update={"state_quiet_s": 0.0}))
    upload(place, 31)
    assert watch.due() == ["small"]
    watch.look_again()
    assert watch.due() == ["small"]


@pytest.mark.slow
def test_the_child_makes_the_state_that_the_next_look_finds(engine, settings, place, trained):
    upload(place, 31)
    status = asyncio.run(run_child(settings, "assimilate", "small,unknown"))
    assert status == 0
    with engine.connect() as connection:
        key = connection.exec_driver_sql("SELECT key FROM regions").scalar_one()
        assert last_number(connection, key, trained) is not None
    assert StateWatch(engine, settings).due() == []
