"""Subscriptions over HTTP: administrators decide, analysts look, readers do not; what is wrong is named."""

from __future__ import annotations

import pytest

from app.core.bounds import MAX_SUBSCRIPTIONS
from app.subscriptions.schemas import DeliveryReply, NewSubscriptionReply, SubscriptionList
from app.subscriptions.service import MAX_STORED
from app.subscriptions.spec import SubscriptionSpec

BODY = {"name": "desk", "occasion": "shift", "target": "folder", "address": "desk"}


def test_who_may(office):
    new = {"json": BODY}
    for role in ("reader", "trainer", "analyst"):
        assert office.ask(role, "POST", "/subscriptions", **new).status_code == 403
    made = office.ask("admin", "POST", "/subscriptions", **new)
    assert (made.status_code, made.json()["secret"]) == (201, None)
    assert made.headers["cache-control"] == "no-store"
    NewSubscriptionReply.model_validate(made.json())
    for role, status in (("reader", 403), ("trainer", 403), ("analyst", 200), ("admin", 200)):
        assert office.ask(role, "GET", "/subscriptions").status_code == status
        assert office.ask(role, "GET", "/subscriptions/desk").status_code == status
        assert office.ask(role, "GET", "/subscriptions/desk/deliveries").status_code == status
    assert office.ask("analyst", "DELETE", "/subscriptions/desk").status_code == 403
    assert office.ask("admin", "DELETE", "/subscriptions/desk").status_code == 204
    assert office.ask("admin", "DELETE", "/subscriptions/desk").status_code == 404


def test_what_was_asked_for_is_shown(office):
    more = {
        "at_hour": 5, "shifts": ["night"], "lead_minutes": 60, "n": 3, "max_km2": 0.5, "lang": "es",
        "paper": "letter", "formats": ["gpx"],
    }  # fmt: skip
    office.subscribe("desk", "folder", occasion="shift", **more)
    listed = office.ask("analyst", "GET", "/subscriptions").json()
    (shown,) = SubscriptionList.model_validate(listed).subscriptions
    assert shown.model_dump(include=set(more)) == {
        **more, "shifts": ["night"], "formats": ["gpx"],
    }  # fmt: skip
    assert (shown.active, shown.signed, shown.owner) == (True, False, office.subscription().owner)
    again = office.ask("admin", "POST", "/subscriptions", json=BODY)
    assert (again.status_code, again.json()["code"]) == (409, "subscription_exists")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Desk 1"}, "name"),
        ({"occasion": "weekly"}, "occasion"),
        ({"address": "../desk"}, "address"),
        ({"at_hour": 24}, "at_hour"),
        ({"formats": []}, "formats"),
        ({"target": "webhook", "address": "http://example.org/"}, "url"),
        ({"target": "webhook", "address": "https://10.0.0.1/"}, "address"),
        ({"target": "email", "address": "desk"}, "address"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_what_is_wrong_is_named(office, change, field):
    told = office.ask("admin", "POST", "/subscriptions", json={**BODY, **change})
    assert told.status_code == 422, told.text
    assert field in str(told.json().get("field") or told.json()), told.text
    assert office.stored() == []


@pytest.mark.parametrize(
    ("target", "setting", "code"),
    [
        ("folder", "push_folder", "no_push_folder"),
        ("email", "smtp_host", "no_mail_server"),
        ("webhook", "push_key", "no_push_key"),
    ],
)
def test_a_target_that_is_not_set_up_is_refused(office, settings, target, setting, code):
    before = getattr(settings, setting)
    setattr(settings, setting, None)
    try:
        address = {"folder": "desk", "email": "a@example.org", "webhook": office.receiver.url}
        body = {**BODY, "target": target, "address": address[target]}
        told = office.ask("admin", "POST", "/subscriptions", json=body)
    finally:
        setattr(settings, setting, before)
    assert (told.status_code, told.json()["code"]) == (422, code)


@pytest.mark.slow
def test_a_region_has_so_many(office):
    for n in range(MAX_SUBSCRIPTIONS):
        office.subscribe(f"desk-{n}", "folder")
    told = office.ask("admin", "POST", "/subscriptions", json=BODY)
    assert (told.status_code, told.json()["limit"]) == (422, MAX_SUBSCRIPTIONS)


def test_deliveries_by_state(office):
    office.subscribe("desk", "folder")
    ids = {office.test("desk") for _ in range(3)}
    listed = office.deliveries("desk")
    assert {one["id"] for one in listed} == ids
    assert all(DeliveryReply.model_validate(one).state == "waiting" for one in listed)
    assert office.deliveries("desk", state="dead") == []
    assert len(office.deliveries("desk", limit=2)) == 2
    for query in ({"state": "lost"}, {"limit": MAX_STORED + 1}):
        told = office.ask("analyst", "GET", "/subscriptions/desk/deliveries", params=query)
        assert told.status_code == 422
    other = "00000000-0000-0000-0000-000000000000"
    told = office.ask("admin", "POST", f"/subscriptions/desk/deliveries/{other}/retry")
    assert told.status_code == 404


def test_only_webhooks_have_a_secret(office):
    office.subscribe("desk", "folder")
    told = office.ask("admin", "POST", "/subscriptions/desk/rotate", json={})
    assert (told.status_code, told.json()["code"]) == (409, "no_secret")
    told = office.ask("admin", "POST", "/subscriptions/desk/rotate", json={"grace_hours": -1})
    assert told.status_code == 422


def test_defaults_are_those_of_the_command_line():
    spec = SubscriptionSpec("shift", "folder", "desk")
    assert (spec.formats, spec.shifts, spec.at_hour) == (("pdf", "json"), (), 6)
