"""States over HTTP: what arrives moves the forecast, within the rules for readers, and says so."""

from datetime import timedelta
from threading import Thread

import numpy as np
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from app.core.db.locks import STATE_LOCK, transaction_lock
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.states import service
from app.states.service import assimilate
from tests.support.small_region import START, row, train

WEST, EAST = (10.0105, 50.0205), (10.0505, 50.0205)
AT = (START + timedelta(days=60)).isoformat()


def upload(place, n=40, day=31, where=EAST, minutes_apart=7, **more):
    at = START + timedelta(days=day)
    rows = [{**row(at + timedelta(minutes=minutes_apart * k), where), **more} for k in range(n)]
    reply = place("ingester", "POST", "/incidents", json=rows)
    assert reply.json()["accepted"] == n, reply.text
    return reply.json()


def density(place, role="reader", at=AT, **selector):
    reply = place(role, "GET", "/forecasts/density", params={"at": at, **selector})
    assert reply.status_code == 200, reply.text
    return reply


def share(reply, where=EAST):
    """The probability within half a kilometre of a place."""
    cells = reply.json()["cells"]
    near = np.hypot(
        (np.array(cells["longitude"]) - where[0]) * 71_500,
        (np.array(cells["latitude"]) - where[1]) * 111_300,
    )
    return float(np.array(cells["probability"])[near < 500].sum())


@pytest.fixture
def trained(engine, settings, place):
    version, _ = train(engine, settings, place, "trainer")
    return version


def refresh(place, role="trainer"):
    reply = place(role, "POST", "/state")
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_a_state_right_after_a_training_is_the_version_itself(place, trained):
    shown = refresh(place)
    assert shown == place("reader", "GET", "/state").json()
    assert (shown["version"], shown["state"]) == (trained, "frozen")
    assert (shown["assimilated_incidents"], shown["assimilated_at"]) == (0, None)
    reply = density(place)
    body = reply.json()
    assert body["state"] == reply.headers["X-Hotslot-State"] == "frozen"
    assert body["data_until"] == body["trained_until"] == shown["data_until"]
    assert body["lead_hours"] == pytest.approx(24 * 60 - 24 * 30, abs=24)


def test_what_arrives_moves_the_forecast_and_the_reply_says_so(place, trained):
    before = density(place)
    upload(place)
    shown = refresh(place)
    assert shown["version"] == trained
    assert shown["state"].isdigit()
    assert shown["assimilated_incidents"] == 40
    after = density(place)
    body = after.json()
    assert (body["state"], body["data_until"]) == (shown["state"], shown["data_until"])
    assert body["trained_until"] == before.json()["trained_until"]
    assert body["lead_hours"] == pytest.approx(24 * (60 - 32))
    assert after.headers["ETag"] != before.headers["ETag"]
    assert share(after) > 1.1 * share(before)
    assert sum(body["cells"]["probability"]) == pytest.approx(1.0, abs=1e-6)
    assert body["expected_total"] > before.json()["expected_total"]


def test_frozen_and_numbered_states_answer_bit_by_bit_what_they_did(place, trained):
    frozen = density(place)
    upload(place)
    first = refresh(place)["state"]
    then = density(place)
    upload(place, day=33, where=WEST)
    second = refresh(place)["state"]
    assert second != first
    cells = [r.json()["cells"] for r in (frozen, then, density(place))]
    assert density(place, state="frozen").json()["cells"] == cells[0]
    assert density(place, state=first).json()["cells"] == cells[1]
    assert density(place, state=second).json()["cells"] == cells[2] != cells[1]
    # A version asked for by its full name answers as trained, unless a state is given.
    assert density(place, model=trained).json()["cells"] == cells[0]
    assert density(place, model=trained, state=second).json()["cells"] == cells[2]
    unknown = place("reader", "GET", "/forecasts/density", params={"at": AT, "state": "999999"})
    assert (unknown.status_code, unknown.json()["field"]) == (404, "state")
    wrong = place("reader", "GET", "/forecasts/density", params={"at": AT, "state": "newest"})
    assert wrong.status_code == 422


def test_a_state_that_has_seen_the_slot_says_so(place, trained):
    upload(place)
    state = refresh(place)["state"]
    seen = (START + timedelta(days=31, hours=3)).isoformat()
    reply = density(place, at=seen, state=state).json()
    assert reply["lead_hours"] < 0
    assert "in_sample" in [w["code"] for w in reply["warnings"]]
    both = {"at": AT, "state": state, "as_of": AT}
    refused = place("reader", "GET", "/forecasts/density", params=both)
    assert (refused.status_code, refused.json()["field"]) == (422, "state")


def test_areas_are_summed_up_in_the_state_asked_for(place, trained):
    upload(place)
    state = refresh(place)["state"]
    point = {"type": "Point", "coordinates": list(EAST)}
    feature = {"type": "Feature", "properties": {}, "geometry": point}
    areas = {"type": "FeatureCollection", "features": [feature]}

    def asked(**more):
        body = {"areas": areas, "buffer_m": 300, "at": AT, **more}
        return place("reader", "POST", "/forecasts/areas", json=body).json()

    latest, frozen = asked(), asked(state="frozen")
    assert (latest["state"], frozen["state"]) == (state, "frozen")
    shares = [one["features"][0]["properties"]["probability"] for one in (latest, frozen)]
    assert shares[0] > shares[1]


def test_no_state_sees_past_the_slot_asked_for(place, trained):
    upload(place, day=31)
    first = refresh(place)
    upload(place, day=33)
    second = refresh(place)
    slots = {
        (START + timedelta(days=30, hours=20)).isoformat(): "frozen",
        (START + timedelta(days=32, hours=5)).isoformat(): first["state"],
        (START + timedelta(days=34, hours=5)).isoformat(): second["state"],
    }
    for at, state in slots.items():
        body = density(place, at=at).json()
        assert body["state"] == state
        assert body["data_until"] <= body["at"] or state == "frozen"


def test_as_of_gives_what_was_answered_then(place, engine, trained):
    upload(place)
    refresh(place)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE forecast_states SET created_at = :at"), {"at": START + timedelta(days=40)}
        )
    known = {"day 39": "frozen", "day 41": None}
    for day, state in known.items():
        as_of = (START + timedelta(days=int(day[4:]))).isoformat()
        body = density(place, as_of=as_of).json()
        assert (body["state"] == "frozen") == (state == "frozen")


def test_the_forecast_returns_to_the_version_as_the_slot_recedes(place, trained):
    upload(place)
    refresh(place)
    frozen = share(density(place, state="frozen"))
    shares = [
        share(density(place, at=(START + timedelta(days=32 + lead)).isoformat())) / frozen
        for lead in (0, 14, 28, 112)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 1 + 0.5 * (shares[0] - 1)


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
    waiting.join(10.0)
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


def test_the_command_line_says_what_was_made_or_why_nothing(
    engine, settings, place, trained, monkeypatch
):
    monkeypatch.setenv("HOTSLOT_HOME", str(settings.home))
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())

    def told():
        result = CliRunner().invoke(app, ["assimilate", "small"])
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    assert "serves as trained: fewer than 20 incidents" in told()
    upload(place)
    assert "40 incidents since its training" in told()
    place("admin", "PUT", "/learning-policy", json={"assimilate": "off"})
    assert "policy sets assimilate to off" in told()


def test_every_kind_of_reply_names_the_state(place, trained):
    upload(place)
    state = refresh(place)["state"]
    at, span = {"at": AT}, {"from": AT, "to": (START + timedelta(days=61)).isoformat()}
    asked = [
        ("density", {**at, "f": "json"}),
        ("density", {**at, "f": "geojson"}),
        ("density", {**at, "f": "csv"}),
        ("hotspots", {**at, "f": "geojson"}),
        ("series", span),
    ]
    for path, params in asked:
        reply = place("reader", "GET", f"/forecasts/{path}", params=params)
        assert reply.headers["X-Hotslot-State"] == state, path
        if params.get("f") != "csv":
            assert reply.json()["state"] == state, path
    url = place.client.get(
        "/v1/regions/small/tiles/tilejson.json", params={"at": AT}, headers=place.headers("reader")
    ).json()["tiles"][0]
    assert f"state={state}" in url


def test_a_series_with_cells_sums_up_to_the_range(place, trained):
    upload(place)
    refresh(place)
    params = {
        "from": (START + timedelta(days=33)).isoformat(),
        "to": (START + timedelta(days=38)).isoformat(),
    }
    by_slot = place("reader", "GET", "/forecasts/series", params={**params, "cells": "true"}).json()
    whole = place("reader", "GET", "/forecasts/density", params=params).json()
    np.testing.assert_allclose(
        np.array(by_slot["cells"]["expected_count"]).sum(axis=0),
        whole["cells"]["expected_count"],
        rtol=1e-3,
        atol=1e-6,
    )


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


def test_the_level_follows_what_arrives(place, trained):
    """Ten a day were known; twenty a day for four weeks bring the level most of the way."""
    frozen = density(place).json()["expected_total"]
    for day in range(31, 59):
        upload(place, n=20, day=day, minutes_apart=71)
    assert refresh(place)["assimilated_incidents"] == 28 * 20
    at = (START + timedelta(days=59)).isoformat()
    now = density(place, at=at).json()["expected_total"]
    usual = density(place, at=at, state="frozen").json()["expected_total"]
    assert 1.2 * usual < now < 2.2 * usual
    assert frozen > 0


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
