"""States over HTTP: what arrives moves the forecast, and the reply says so."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app
from tests.support.services.state_requests import AT, EAST, WEST, density, refresh, share, upload
from tests.support.simulated.small_region import START


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


@pytest.mark.slow
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
