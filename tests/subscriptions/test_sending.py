"""Sent at least once: retried, given up, retried by hand, and made again after a kill, with the same id."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from app.core.roles import acting_as
from app.subscriptions.delivery_store import LEASE, claim, note_delivered, note_failure
from app.subscriptions.failures import FAILURES, PushFailed
from app.subscriptions.sending import Attempt, Sender
from app.subscriptions.service import forget_old_deliveries, request_test
from tests.support.services.receivers import verifies


def test_a_webhook_has_what_readers_are_served_and_verifies(office):
    office.subscribe()
    sent_id = office.test()
    assert office.send().delivered == 1
    (told,) = office.receiver.received
    assert told.id == sent_id
    assert verifies(office.secrets["hook"], told)
    assert not verifies(office.secrets["hook"], replace(told, body=told.body[:-1]))
    said = told.json()
    assert (said["id"], said["event"], said["region"]) == (sent_id, "test", "town")
    asked = {"from": said["from"], "to": said["to"]}
    shown = office.ask("reader", "GET", "/forecasts/zones", params=asked).json()
    for body in (shown, said["zones"]):
        body.pop("generated_at")
    assert said["zones"] == shown
    for name in ("model", "model_version", "state", "data_until", "warnings", "expected_total"):
        assert said[name] == shown[name], name
    assert said["utc_offset"] == "-05:00"
    assert {"code", "params", "message"} == set(said["warnings"][0])
    (listed,) = office.deliveries()
    assert (listed["state"], listed["attempts"], listed["failure"]) == ("delivered", 1, None)
    assert listed["forecast"]["model_version"] == said["model_version"]
    assert office.send().delivered == 0


@pytest.mark.slow
def test_a_receiver_that_is_down_is_tried_again_then_by_hand(office):
    office.subscribe()
    sent_id = office.test()
    office.receiver.faults.extend([503, 500, 404])
    for attempt in (1, 2):
        assert office.send(push_max_attempts=3, push_backoff_s=600.0).failed == 1
        (waiting,) = office.deliveries(state="waiting")
        assert (waiting["attempts"], waiting["id"]) == (attempt, sent_id)
        assert waiting["failure"]["code"] == "push_status"
        assert office.send(push_max_attempts=3).failed == 0  # its time has not come
        office.sql("UPDATE deliveries SET next_at = now()")
    assert office.send(push_max_attempts=3).failed == 1
    assert office.deliveries(state="waiting") == []
    (dead,) = office.deliveries(state="dead")
    assert (dead["failure"]["params"], dead["next_at"]) == ({"status": 404}, None)
    path = f"/subscriptions/hook/deliveries/{sent_id}/retry"
    assert office.ask("analyst", "POST", path).status_code == 403
    again = office.ask("admin", "POST", path)
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (
        200,
        "waiting",
        0,
    )
    assert office.send().delivered == 1
    assert {told.id for told in office.receiver.received} == {sent_id}
    assert len(office.receiver.received) == 4
    conflict = office.ask("admin", "POST", path)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "not_dead")
    headers = {"X-API-Key": office.keys["admin"]}
    log = office.client.get("/v1/audit?limit=50", headers=headers).json()["entries"]
    acts = [entry["action"] for entry in log]
    ours = [a for a in acts if a.startswith(("delivery", "subscription")) or a == "forecast.pushed"]
    assert ours[:5] == [
        "forecast.pushed", "delivery.retried", "delivery.dead", "subscription.tested", "subscription.added",
    ]  # fmt: skip


def test_the_same_forecast_is_sent_again(office):
    office.subscribe()
    office.test()
    office.receiver.faults.append(503)
    office.send(push_backoff_s=600.0)
    office.sql("UPDATE deliveries SET next_at = now()")
    office.send()
    first, second = (told.json() for told in office.receiver.received)
    for told in (first, second):
        told.pop("generated_at")
        told["zones"].pop("generated_at")
    assert first == second


def test_a_receiver_that_wants_no_more_is_believed(office):
    office.subscribe()
    office.test()
    office.receiver.faults.append(410)
    assert office.send().failed == 1
    assert [one["failure"]["code"] for one in office.deliveries(state="dead")] == ["push_gone"]


def test_a_redirect_is_not_followed(office):
    office.receiver.headers["location"] = office.receiver.url
    office.subscribe()
    office.test()
    office.receiver.faults.append(302)
    office.send(push_backoff_s=600.0)
    assert office.deliveries()[0]["failure"]["params"] == {"status": 302}
    assert len(office.receiver.received) == 1


def test_the_receiver_may_say_when_to_try_again(office):
    office.receiver.headers["retry-after"] = "7"
    office.subscribe()
    office.test()
    office.receiver.faults.append(429)
    office.send(push_backoff_s=600.0)
    (one,) = office.stored()
    assert 4 < (one.next_at - one.created_at).total_seconds() < 60


@pytest.mark.slow
def test_a_killed_worker_leaves_it_to_the_next_with_the_same_id(office):
    office.subscribe()
    sent_id = office.test()
    office.receiver.faults.append("hold")
    url = office.settings.database_url.get_secret_value()
    environment = {
        **os.environ,
        "HOTSLOT_DATABASE_URL": url,
        "HOTSLOT_HOME": str(office.settings.home),
        "HOTSLOT_PUSH_KEY": office.settings.push_key.get_secret_value(),
        "HOTSLOT_SYNC_ALLOW_LOOPBACK": "true",
    }
    command = [sys.executable, "-m", "app.worker.run_process", "push", "-"]
    with subprocess.Popen(command, env=environment) as process:
        assert office.receiver.held.wait(120)
        process.send_signal(signal.SIGKILL)
    office.receiver.release.set()
    (one,) = office.stored()
    assert (one.status, one.attempts) == ("waiting", 1)
    assert office.send().delivered == 0  # it may still be under way
    office.sql("UPDATE deliveries SET next_at = next_at - :lease", lease=LEASE)
    assert office.send().delivered == 1
    assert [told.id for told in office.receiver.received] == [sent_id, sent_id]


def test_what_kills_its_process_each_time_is_given_up(office):
    office.subscribe()
    office.test()
    for _ in range(2):
        with office.engine.begin() as connection:
            assert len(claim(connection, 4, 2)) == 1
            assert claim(connection, 4, 2) == []
        office.sql("UPDATE deliveries SET next_at = now()")
    assert office.send(push_max_attempts=2).failed == 0
    (one,) = office.deliveries(state="dead")
    assert one["failure"]["code"] == "push_process_died"
    assert office.receiver.received == []


def test_an_old_attempt_cannot_undo_a_later_one(office):
    office.subscribe()
    office.test()
    with office.engine.begin() as connection:
        (first,) = claim(connection, 1, 9)
    office.sql("UPDATE deliveries SET next_at = now()")
    fault = FAILURES.make("push_gone")
    with office.engine.begin() as connection:
        (second,) = claim(connection, 1, 9)
        assert not note_failure(connection, first, fault, None)
        note_delivered(connection, first)
        assert not note_failure(connection, second, fault, None)
    assert [one["state"] for one in office.deliveries()] == ["delivered"]


def test_a_receiver_that_never_ends_is_left(office):
    office.subscribe()
    office.test()
    office.receiver.faults.append("hold")
    assert office.send(push_timeout_s=0.5, push_backoff_s=600.0).failed == 1
    (one,) = office.deliveries()
    assert one["failure"]["code"] in ("push_too_slow", "push_no_answer")
    with pytest.raises(PushFailed, match=r"0\.05 s"):
        Attempt(lambda: time.sleep(1), 0.05).finish()


def test_one_slow_receiver_does_not_stop_the_others(office):
    for name in ("a", "b"):
        office.subscribe(name)
        office.test(name)
    office.receiver.faults.append("hold")
    sent = office.send(push_timeout_s=2.0, push_backoff_s=600.0)
    assert (sent.delivered, sent.failed) == (1, 1)


def test_one_process_claims_a_delivery(office):
    office.subscribe()
    made = request_test(office.engine, "town", "hook")
    with office.engine.begin() as one, office.engine.begin() as other:
        assert [d.id for d in claim(one, 4, 9)] == [made.id]
        assert claim(other, 4, 9) == []
        assert claim(other, 1, 9, made.id) == []
    Sender(office.engine, office.settings).send_one(made.id)
    assert office.receiver.received == []


def test_old_deliveries_are_forgotten(office, engine):
    office.subscribe()
    for _ in range(3):
        office.test()
    office.send()
    office.test()
    office.sql(
        "UPDATE deliveries SET ended_at = now() - interval '31 days' WHERE ended_at IS NOT NULL"
    )
    with engine.connect() as connection:
        from app.regions.store import get_region
        from app.runs.schedules import database_clock

        region, now = get_region(connection, "town"), database_clock(connection)
    with acting_as("upkeep"):
        assert forget_old_deliveries(engine, office.settings, region, now) == 3
        assert forget_old_deliveries(engine, office.settings, region, now) == 0
    assert [one["state"] for one in office.deliveries()] == ["waiting"]


@pytest.mark.slow
def test_the_command_line_sends_at_once(office, monkeypatch, capsys):
    from app.cli import main

    monkeypatch.setenv("HOTSLOT_HOME", str(office.settings.home))
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", office.settings.database_url.get_secret_value())
    monkeypatch.setenv("HOTSLOT_PUSH_KEY", "k" * 40)
    monkeypatch.setenv("HOTSLOT_SYNC_ALLOW_LOOPBACK", "true")

    def run(*arguments: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["hotslot", "subscription", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == status, told
        return told.out

    added = run("add", "town", "wall", office.receiver.url, "--on", "morning", "--at-hour", "5")
    assert "whsec_" in added
    assert office.subscription().owner == "local"
    assert "delivered" in run("test", "town", "wall")
    assert verifies(added.split()[-1], office.receiver.received[0])
    office.receiver.faults.append(410)
    assert "dead" in run("test", "town", "wall", status=1)
    assert "status 410" in run("deliveries", "town", "wall", "--state", "dead")
    (dead,) = json.loads(run("deliveries", "town", "wall", "--state", "dead", "--json"))
    assert "1 deliveries" in run("retry", "town", "wall", dead["id"])
    (shown,) = json.loads(run("list", "town", "--json"))
    assert (shown["name"], shown["deliveries"]["waiting"]) == ("wall", 1)
    assert "wall" in run("list", "town")
    assert "whsec_" in run("rotate", "town", "wall")
    run("add", "town", "bad", "not a target", "--on", "noon", status=2)
    run("remove", "town", "wall")
    assert run("list", "town", "--json").strip() == "[]"
