"""Which deliveries are stored: one an occasion, of what readers are served, while the owner may."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app.access.service import NewKey, create_key, revoke_key
from app.core.roles import acting_as
from app.regions.store import get_region
from app.registry.visibility import withhold
from app.states.service import assimilate
from app.subscriptions.delivery_store import MAX_WAITING, list_deliveries
from app.subscriptions.planning import owner_may, queue_deliveries, queue_due, state_occasion
from app.subscriptions.sending import Sender
from app.subscriptions.service import add_subscription, request_test
from app.subscriptions.spec import SubscriptionSpec
from app.subscriptions.store import list_subscriptions
from tests.support.simulated.small_region import START, place, row, train

__all__ = ["place"]


@pytest.fixture
def small(engine, settings, place, tmp_path):
    settings.push_folder = tmp_path
    train(engine, settings, place, "trainer")
    return place


def subscribe(engine, settings, occasion, **more):
    spec = SubscriptionSpec(occasion, "folder", "desk", formats=("json",), **more)
    add_subscription(engine, settings, "small", occasion, spec)


def occasions(engine) -> list[str]:
    with engine.connect() as connection:
        return [
            delivery.occasion
            for one in list_subscriptions(connection)
            for delivery in list_deliveries(connection, one.key, None, 1000)
        ]


def queued_at(engine, now: str) -> list[str]:
    with engine.begin() as connection:
        (one,) = list_subscriptions(connection)
        return queue_due(connection, one, datetime.fromisoformat(now))


def since(engine, moment: str) -> None:
    """Let subscriptions have been added then."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE subscriptions SET created_at = :at"), {"at": moment})


def more_incidents(place, n=40):
    """Send so many that another release, and so another state, is due."""
    rows = [row(START + timedelta(days=31, minutes=37 * k), category="theft") for k in range(n)]
    assert place("ingester", "POST", "/incidents", json=rows).json()["accepted"] == n


def test_each_new_state_once_and_not_the_one_that_was_there(engine, settings, small, tmp_path):
    subscribe(engine, settings, "state")
    assert queue_deliveries(engine) is False
    assert occasions(engine) == []
    more_incidents(small)
    version, state = assimilate(engine, "small")
    assert state is not None
    for _ in range(2):
        assert queue_deliveries(engine) is True
        assert occasions(engine) == [f"state:{version.version}/{state.number}"]
    assert Sender(engine, settings).send_due().delivered == 1
    assert queue_deliveries(engine) is False
    (file,) = (tmp_path / "desk").iterdir()
    assert f'"state":"{state.number}"' in file.read_text()
    another = train(engine, settings, small, "trainer", model="uniform")[0]
    assert small("trainer", "POST", f"/models/{another}/promote").status_code == 200
    assert queue_deliveries(engine) is True
    assert f"state:{another}/frozen" in occasions(engine)


def test_mornings_and_shifts_once_and_not_before_they_were_asked_for(engine, settings, small):
    subscribe(engine, settings, "morning", at_hour=6)
    since(engine, "2026-01-10T05:00Z")
    assert queued_at(engine, "2026-01-10T05:59+00:00") == []
    for wanted in (["morning:2026-01-10"], []):
        assert queued_at(engine, "2026-01-10T06:00+00:00") == wanted
    assert queued_at(engine, "2026-01-11T09:00+00:00") == ["morning:2026-01-11"]
    since(engine, "2026-01-12T07:00Z")
    assert queued_at(engine, "2026-01-12T08:00+00:00") == []


def test_a_shift_follows_the_regions_own_times(engine, settings, small):
    subscribe(engine, settings, "shift", shifts=("late",), lead_minutes=15)
    since(engine, "2026-01-10T05:00Z")
    with engine.begin() as connection:
        times = '{"plan": {"shifts": {"late": {"start": "15:00", "end": "23:00"}}}}'
        connection.execute(text("UPDATE regions SET settings = :times"), {"times": times})
    assert queued_at(engine, "2026-01-10T14:44+00:00") == []
    assert queued_at(engine, "2026-01-10T14:45+00:00") == ["shift:2026-01-10/late"]
    assert queued_at(engine, "2026-01-10T22:00+00:00") == []


@pytest.mark.slow
def test_what_is_withheld_from_readers_is_not_sent(engine, settings, small, tmp_path):
    shown = small("reader", "GET", "/models").json()["champion"]
    subscribe(engine, settings, "state")
    hidden = train(engine, settings, small, "admin", model="uniform")[0]
    with engine.begin() as connection:
        region = get_region(connection, "small")
        withhold(connection, region.key, hidden)
        connection.execute(text("UPDATE champions SET version = :v"), {"v": hidden})
        assert state_occasion(connection, region).startswith(f"state:{shown}/")
    assert queue_deliveries(engine) is False
    request_test(engine, "small", "state")
    assert Sender(engine, settings).send_due().delivered == 1
    (file,) = (tmp_path / "desk").iterdir()
    assert f'"model_version":"{shown}"' in file.read_text()
    assert hidden not in file.read_text()


def test_a_region_without_a_version_sends_nothing(engine, settings, place, tmp_path):
    settings.push_folder = tmp_path
    subscribe(engine, settings, "state")
    subscribe(engine, settings, "shift")
    since(engine, "2020-01-01")
    assert queue_deliveries(engine) is False
    assert occasions(engine) == []


def test_nothing_is_stored_for_an_owner_whose_key_has_ended(engine, settings, small):
    key = create_key(engine, NewKey("t", ("admin",), regions=["small"])).key
    with acting_as(key.id):
        subscribe(engine, settings, "morning", at_hour=0)
    since(engine, "2026-01-10T00:00Z")
    revoke_key(engine, key.id)
    assert queued_at(engine, "2026-01-11T00:00+00:00") == []


def test_a_fault_of_one_does_not_stop_the_others(engine, settings, small):
    for occasion in ("morning", "shift"):
        subscribe(engine, settings, occasion, at_hour=0, shifts=())
    since(engine, "2026-01-01")
    with engine.begin() as connection:
        broken = (
            """UPDATE subscriptions SET spec = spec || '{"at_hour": 99}' WHERE name = 'morning'"""
        )
        connection.execute(text(broken))
    assert queue_deliveries(engine) is True
    found = occasions(engine)
    assert found
    assert all(occasion.startswith("shift:") for occasion in found)


def test_owners(engine, settings, small):
    made = {
        "admin": NewKey("t", ("admin",)),
        "here": NewKey("t", ("admin",), regions=["small"]),
        "analyst": NewKey("t", ("analyst",)),
    }
    ids = {name: create_key(engine, new).key.id for name, new in made.items()}
    ids |= {"line": "local", "token": "oidc:somebody", "gone": "0" * 12}
    with engine.connect() as connection:
        region = get_region(connection, "small")
        may = {name for name, owner in ids.items() if owner_may(connection, owner, region)}
        connection.execute(text("UPDATE api_keys SET expires_at = now() - interval '1 s'"))
        assert not owner_may(connection, ids["admin"], region)
        connection.rollback()
    assert may == {"admin", "here", "line", "token"}


@pytest.mark.slow
def test_too_many_waiting_end(engine, settings, small):
    subscribe(engine, settings, "state")
    for _ in range(MAX_WAITING + 2):
        request_test(engine, "small", "state")
    with engine.connect() as connection:
        (one,) = list_subscriptions(connection)
        found = list_deliveries(connection, one.key, None, 1000)
        dead = [each for each in found if each.status == "dead"]
        assert len(dead) == 2
        assert {each.failure.code for each in dead} == {"push_too_many"}
        assert {each.id for each in dead} == {each.id for each in found[-2:]}
