"""A webhook's receiver and the served product: each new state arrives once, signed; a receiver that is away
gets it when it is back."""

from __future__ import annotations

import json

import pytest

from tests.ecosystem.pictures import keep_text
from tests.support.services.pushing import asked, pushing, send_incidents, until
from tests.support.services.receivers import receiving, verifies

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def running(receiver):
    allowed = {"HOTSLOT_SYNC_ALLOW_LOOPBACK": "true", "HOTSLOT_PUSH_BACKOFF_S": "0.5"}
    with pushing(**allowed) as started:
        yield started


def test_a_new_state_arrives_signed_and_once(running, receiver):
    new = {"name": "hook", "occasion": "state", "target": "webhook", "address": receiver.url}
    secret = asked(running, "POST", "/subscriptions", json=new)["secret"]
    assert (running.home / "push.key").stat().st_mode & 0o777 == 0o600
    receiver.faults.extend([503, 500])
    send_incidents(running, 31, 60)
    until(lambda: len(receiver.received) >= 3)
    until(lambda: asked(running, "GET", "/subscriptions/hook")["deliveries"]["delivered"])
    first, *others = receiver.received
    assert {told.id for told in others} == {first.id}
    assert all(verifies(secret, told) for told in receiver.received)
    state = asked(running, "GET", "/state")
    said = others[-1].json()
    assert (said["event"], said["region"]) == ("state", "pushed")
    assert (said["model_version"], said["state"]) == (state["version"], state["state"])
    assert said["zones"]["features"]
    shown = asked(
        running, "GET", "/forecasts/zones", params={"from": said["from"], "to": said["to"]}
    )
    assert [f["properties"] for f in shown["features"]] == [
        f["properties"] for f in said["zones"]["features"]
    ]
    keep_text(_shown(others[-1]), "webhook.png")


def _shown(told):
    """The request as its receiver sees it, shortened."""
    said = told.json()
    said["zones"] = f"... a GeoJSON of {len(said['zones']['features'])} zones"
    said["warnings"] = [said["warnings"][0], f"... {len(said['warnings'])} warnings"]
    head = [
        f"{n}: {v}"
        for n, v in told.headers.items()
        if n.lower().startswith(("webhook", "content-t"))
    ]
    return "\n".join(["POST", *head, "", *json.dumps(said, indent=1).splitlines()])


def test_one_that_was_given_up_is_listed_and_retried(running, receiver):
    receiver.faults.append(410)
    sent_id = asked(running, "POST", "/subscriptions/hook/test")["id"]
    path = "/subscriptions/hook/deliveries"
    (dead,) = until(lambda: asked(running, "GET", path, params={"state": "dead"})["deliveries"])
    assert (dead["id"], dead["failure"]["code"]) == (sent_id, "push_gone")
    asked(running, "POST", f"{path}/{sent_id}/retry")
    until(lambda: receiver.received[-2].id == receiver.received[-1].id == sent_id)
