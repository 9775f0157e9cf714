"""What says nothing of what it may see sees what readers see."""

import threading
from contextvars import Context
from datetime import timedelta

from sqlalchemy import event

from app.core.roles import seeing_unreleased
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.visibility import served, served_of_all
from tests.support.simulated.small_region import START, row, train


def test_who_does_not_say_what_it_may_see_sees_no_withheld_version(engine, settings, place):
    """A thread, a task or a route of its own making: the default is the least."""
    shown, _ = train(engine, settings, place, "trainer")
    place("ingester", "POST", "/incidents", json=[row(START + timedelta(days=40))])
    withheld, _ = train(engine, settings, place, "admin")

    def look():
        with engine.connect() as connection:
            key = get_region(connection, "small").key
            names = {one.version for one in registry.list_versions(connection, key)}
            version = served(connection, key)
            assert served_of_all(connection) == {key: version}
            return names, version

    assert Context().run(look) == ({shown}, shown)
    found = []
    thread = threading.Thread(target=lambda: found.append(look()))
    thread.start()
    thread.join()
    assert found == [({shown}, shown)]
    with seeing_unreleased(True):
        assert look()[0] == {shown, withheld}


def test_a_request_does_not_inherit_the_sight_of_what_serves_it(engine, settings, place):
    """The command line may see everything, and so may the process that serves requests."""
    shown, _ = train(engine, settings, place, "trainer")
    place("ingester", "POST", "/incidents", json=[row(START + timedelta(days=40))])
    withheld, _ = train(engine, settings, place, "admin")
    with seeing_unreleased(True):
        for role, known in (
            ("reader", {shown}),
            ("trainer", {shown}),
            ("analyst", {shown, withheld}),
        ):
            listed = place(role, "GET", "/models").json()["models"]
            assert {one["version"] for one in listed} == known


def test_the_champions_of_all_regions_are_one_query(engine, settings, place):
    shown, _ = train(engine, settings, place, "trainer")
    statements = []
    with engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda *a: statements.append(a[2]))
        assert list(served_of_all(connection).values()) == [shown]
    assert len(statements) == 1
