"""Which states there are, and what none may hold: rules for readers, erasures, policies, bursts."""

from datetime import timedelta
from threading import Thread

import numpy as np
import pytest
from sqlalchemy import text

from app.core.db.locks import STATE_LOCK, transaction_lock
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.states import service
from app.states.service import assimilate
from tests.support.services.state_requests import AT, WEST, density, refresh, upload
from tests.support.simulated.small_region import START, row, train


def test_fewer_than_twenty_incidents_make_no_state(place, trained):
    upload(place, n=19)
    assert refresh(place)["state"] == "frozen"
    upload(place, n=25, day=33)
    assert refresh(place)["assimilated_incidents"] >= 20


def test_states_are_the_same_for_everybody_and_however_often_one_asks(place, trained):
    upload(place)
    one = refresh(place)
    assert refresh(place, "admin") == one
    assert density(place, "analyst").json()["state"] == density(place).json()["state"]
    assert place("reader", "POST", "/state").status_code == 403


def test_an_erased_incident_is_in_no_state(place, engine, trained):
    upload(place, id=None)
    rows = [{**row(START + timedelta(days=33, minutes=k)), "id": f"e/{k}"} for k in range(30)]
    place("ingester", "POST", "/incidents", json=rows)
    assert refresh(place)["state"] != "frozen"
    before = density(place).json()["cells"]
    assert place("admin", "DELETE", "/incidents/e%2F4").status_code == 204
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM forecast_states")) == 0
    # Nothing that could be compared with the states before, until enough has arrived again.
    assert refresh(place)["state"] == "frozen"
    upload(place, n=30, day=36)
    again = refresh(place)
    assert again["state"] != "frozen"
    assert density(place).json()["cells"] != before


def test_an_erasure_waits_for_an_assimilation_that_may_have_read_the_incident(
    place, engine, trained
):
    upload(place, id=None)
    with engine.begin() as connection:
        key = connection.scalar(text("SELECT key FROM regions"))
        transaction_lock(connection, STATE_LOCK, key)
        waiting = Thread(target=lambda: place("admin", "DELETE", "/incidents/nothing"))
        waiting.start()
        waiting.join(1.0)
        assert waiting.is_alive()
    waiting.join(60.0)
    assert not waiting.is_alive()


def test_a_policy_can_switch_states_off(place, trained):
    upload(place)
    made = refresh(place)
    policy = place("admin", "GET", "/learning-policy").json()
    policy = {k: v for k, v in policy.items() if k != "categories"}
    assert policy["assimilate"] == "on"
    assert (
        place("admin", "PUT", "/learning-policy", json={**policy, "assimilate": "off"}).status_code
        == 200
    )
    assert refresh(place)["state"] == "frozen"
    assert density(place).json()["state"] == "frozen"
    assert place("reader", "GET", "/state").json()["state"] == "frozen"
    assert made["state"] != "frozen"


def test_a_version_trained_up_to_a_moment_has_no_states(engine, settings, place):
    until = (START + timedelta(days=25)).isoformat()
    train(engine, settings, place, "admin", until=until)
    upload(place)
    assert refresh(place, "admin")["state"] == "frozen"


def test_an_altered_state_is_refused_and_the_version_serves(place, engine, settings, trained):
    upload(place)
    state = refresh(place)
    with engine.begin() as connection:
        connection.execute(text("UPDATE forecast_states SET n_incidents = n_incidents + 1"))
    forecasts = ForecastService(engine, settings)
    forecast = forecasts.forecast("small", Selector(at=START + timedelta(days=60)))
    assert forecast.version.state_id == "frozen"
    assert "state_damaged" in [w.code for w in forecast.warnings]
    assert state["state"] != "frozen"


def test_what_patrols_discovered_is_in_no_state_unless_it_is_learnt_from(place, trained):
    upload(place, source="discovered")
    assert refresh(place)["state"] == "frozen"
    upload(place, day=33)
    assert refresh(place)["assimilated_incidents"] == 40


def test_cells_that_share_a_density_share_it_in_every_state(engine, settings, place):
    policy = {"minimum_count": 3}
    assert place("admin", "PUT", "/learning-policy", json=policy).status_code == 200
    train(engine, settings, place, "trainer")

    def pooled(reply):
        """The density per km2 that most cells have, and how many do."""
        density = np.round(np.log(reply.json()["cells"]["density_per_km2"]), 4)
        values, counts = np.unique(density, return_counts=True)
        return float(values[counts.argmax()]), int(counts.max())

    before, n_before = pooled(density(place))
    assert n_before > 50
    upload(place, where=(10.0331, 50.0391))
    assert refresh(place)["state"] != "frozen"
    after, n_after = pooled(density(place))
    assert n_after == n_before
    assert after != before


@pytest.mark.slow
def test_a_burst_moves_the_map_no_further_than_allowed_and_raises_an_alarm(
    place, trained, monkeypatch
):
    monkeypatch.setattr(service, "MAX_DISTANCE", 0.03)
    frozen = density(place, at=(START + timedelta(days=32)).isoformat(), state="frozen")
    for day in range(31, 61):
        upload(place, n=200, day=day, where=(10.0011, 50.0011))
    refresh(place)
    moved = density(place, at=(START + timedelta(days=61)).isoformat())
    assert moved.json()["state"] != "frozen"
    one, other = (np.array(r.json()["cells"]["probability"]) for r in (frozen, moved))
    assert 0.025 < np.abs(one - other).sum() / 2 < 0.035
    kinds = [a["kind"] for a in place("admin", "GET", "/alarms").json()["alarms"]]
    assert "swing" in kinds


def test_many_at_once_make_one_state(place, engine, trained):
    from concurrent.futures import ThreadPoolExecutor

    upload(place)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: assimilate(engine, "small")[1].number, range(4)))
    assert len(set(made)) == 1
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM forecast_states")) == 1


def test_hotspots_say_what_changed_since_the_state_before(place, trained):
    def listed(**more):
        params = {"at": AT, "n_cells": 12, **more}
        return place("reader", "GET", "/forecasts/hotspots", params=params).json()

    def ids(reply):
        return [feature["id"] for feature in reply["features"]]

    assert "as trained" in listed(compare="previous")["changes"]["reason"]
    upload(place, n=200)
    first = refresh(place)["state"]
    assert listed(compare="previous")["changes"]["against"]["state"] == "frozen"
    upload(place, n=200, day=34, where=WEST)
    assert refresh(place)["state"] != first
    found, before = listed(compare="previous"), listed(state=first)
    changes, now, then = found["changes"], ids(found), ids(before)
    assert changes["against"]["state"] == first
    assert changes["entered"] == [one for one in now if one not in then]
    assert changes["remained"] == [one for one in now if one in then]
    assert changes["left"] == [one for one in then if one not in now]
    assert changes["kept"] == len(changes["remained"]) > 0
    assert changes["entered"]
    week = listed(compare="true")["changes"]["against"]
    assert week["at"] == (START + timedelta(days=53)).isoformat()
    assert "changes" not in listed(compare="false")
