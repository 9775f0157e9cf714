"""Who is sent anything: addresses that are allowed, owners whose keys still count, secrets that match."""

import pytest

from app.subscriptions.webhook import check_receiver
from tests.support.services.receivers import verifies


def test_a_subscription_ends_with_the_key_of_its_owner(office):
    office.subscribe()
    owner = office.subscription().owner
    office.test()
    office.sql("UPDATE api_keys SET revoked_at = now() WHERE id = :id", id=owner)
    assert office.send().failed == 1
    assert office.receiver.received == []
    (shown,) = office.ask("analyst", "GET", "/subscriptions").json()["subscriptions"]
    assert (shown["active"], shown["deliveries"]["dead"]) == (False, 1)
    (dead,) = office.deliveries(state="dead")
    assert (dead["failure"]["code"], dead["attempts"]) == ("push_owner_ended", 1)


def test_private_addresses_are_refused_even_later(office, monkeypatch):
    """A name that led to a public address when it was added may lead elsewhere now."""
    office.subscribe()
    office.test()
    assert office.send(sync_allow_loopback=False, push_backoff_s=600.0).failed == 1
    assert office.receiver.received == []
    office.sql('UPDATE subscriptions SET spec = spec || \'{"address": "https://127.0.0.1:9/x"}\'')
    office.sql("UPDATE deliveries SET next_at = now()")
    assert office.send(sync_allow_loopback=False).failed == 1
    (dead,) = office.deliveries(state="dead")
    assert dead["failure"]["code"] == "push_address"


def test_another_push_key_is_noticed_and_a_rotation_helps(office):
    office.subscribe()
    office.test()
    changed = type(office.settings.push_key)("z" * 40)
    assert office.send(push_key=changed, push_backoff_s=600.0).failed == 1
    assert office.deliveries()[0]["failure"]["code"] == "push_secret_lost"
    office.sql("UPDATE deliveries SET next_at = now()")
    done = office.ask("admin", "POST", "/subscriptions/hook/rotate", json={"grace_hours": 1})
    assert (done.status_code, done.headers["cache-control"]) == (200, "no-store")
    assert office.send().delivered == 1
    (told,) = office.receiver.received
    assert done.json()["secret"] != office.secrets["hook"]
    assert verifies(done.json()["secret"], told)
    assert verifies(office.secrets["hook"], told)
    office.sql("UPDATE subscriptions SET previous_until = now() - interval '1 second'")
    office.test()
    office.send()
    told = office.receiver.received[-1]
    assert not verifies(office.secrets["hook"], told)
    assert verifies(done.json()["secret"], told)


def test_a_dump_does_not_betray_the_secret(office):
    office.subscribe()
    secret = office.secrets["hook"].removeprefix("whsec_")
    with office.engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT subscriptions::text FROM subscriptions"
        ).scalar_one()
    assert secret not in row
    assert "secret" not in office.ask("admin", "GET", "/subscriptions/hook").json()


def test_the_form_of_an_address(settings):
    check_receiver("http://127.0.0.1:9/x", settings)
    for url in ("http://example.org/x", "https://user:pw@example.org/", "ftp://example.org/"):
        with pytest.raises(Exception, match=r"URL|https"):
            check_receiver(url, settings)
    strict = settings.model_copy(update={"sync_allow_loopback": False})
    with pytest.raises(Exception, match="HOTSLOT_SOURCE"):
        check_receiver("https://10.1.2.3/x", strict)
