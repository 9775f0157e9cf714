"""Promotions and rollbacks beside what takes versions away: retention and erasures."""

from __future__ import annotations

import threading
import time
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.core.errors import Conflict, NotFound
from app.erasure.service import erase_within
from app.regions.store import get_region
from app.registry import champions as promotions
from app.registry import retention
from app.registry.champions import get_champion, promote
from app.registry.integrity import seal_version
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

HELD_S = 0.8


def trained(engine, settings, town, until=None) -> str:
    request = TrainingRequest("uniform", until=until, validate=False)
    run = run_now(engine, settings, town, request, lambda _share, _message: None)
    assert run.status == "succeeded", run.message
    return run.model_version


@pytest.fixture
def versions(engine, settings, town):
    """Two spare versions; the champion's data end later. And the region's key."""
    for_good = trained(engine, settings, town, datetime(2019, 12, 1, tzinfo=UTC))
    made = [trained(engine, settings, town, datetime(2019, m, 1, tzinfo=UTC)) for m in (8, 9)]
    with engine.begin() as connection:
        key = get_region(connection, town).key
        promote(connection, key, for_good, "test")
        # As if the spare ones had never been champion.
        connection.execute(text("DELETE FROM promotions WHERE version = ANY(:v)"), {"v": made})
        connection.execute(text("UPDATE promotions SET previous_version = NULL"))
        connection.execute(
            text(
                "UPDATE model_versions SET created_at = now() - interval '1 day' WHERE version = ANY(:v)"
            ),
            {"v": made},
        )
        for version in made:
            seal_version(connection, key, version)
    return made, key


def beside(engine, first, second):
    """What `second` gives while the transaction of `first` is open."""
    began = threading.Event()

    def hold() -> None:
        with engine.begin() as connection:
            first(connection)
            began.set()
            time.sleep(HELD_S)

    holding = threading.Thread(target=copy_context().run, args=(hold,))
    holding.start()
    assert began.wait(60)
    try:
        with engine.begin() as connection:
            return second(connection)
    finally:
        holding.join()


def drop(key):
    soon = datetime.now(UTC) + timedelta(days=2)
    return lambda connection: retention.drop_versions(connection, key, 1, 0, soon)


def test_a_version_that_is_being_collected_is_not_found_for_promotion(engine, versions):
    (spare, _), key = versions
    with pytest.raises(NotFound):
        beside(engine, drop(key), lambda c: promotions.promote_by_hand(c, key, spare))


def test_a_version_that_is_being_promoted_is_not_collected_and_stops_no_upkeep(engine, versions):
    (spare, other), key = versions
    dropped = beside(engine, lambda c: promotions.promote_by_hand(c, key, spare), drop(key))
    assert dropped == [other]
    with engine.connect() as connection:
        assert get_champion(connection, key).version == spare


@pytest.mark.slow
def test_no_way_back_leads_to_what_an_erasure_replaced(engine, settings, town):
    with engine.begin() as connection:
        key = get_region(connection, town).key
        connection.execute(text("DELETE FROM champions"))
        connection.execute(text("DELETE FROM promotions"))
        connection.execute(text("DELETE FROM model_versions"))
        connection.execute(
            text(
                "UPDATE incidents SET external_id = 'gone' WHERE id = "
                "(SELECT id FROM incidents ORDER BY occurred_at DESC LIMIT 1)"
            )
        )
    clean = trained(engine, settings, town, datetime(2019, 10, 1, tzinfo=UTC))
    learnt = trained(engine, settings, town)
    with engine.begin() as connection:
        promotions.promote_by_hand(connection, key, learnt)
        assert promotions.champion_history(connection, key)[-2].version == clean
        assert erase_within(connection, key, "gone").versions == [learnt]
        assert promotions.champion_history(connection, key)[-1].version == learnt, (
            "the champion is told"
        )
    replacement = trained(engine, settings, town)
    with engine.begin() as connection:
        assert get_champion(connection, key).version == replacement
        with pytest.raises(Conflict, match="erased"):
            promotions.promote_by_hand(connection, key, learnt)
        assert promotions.roll_back(connection, key, "test").version == clean


@pytest.mark.timeout(60)  # compared with each other they would take minutes
def test_centuries_of_promotions_are_gone_through_once():
    at = datetime(2024, 1, 1, tzinfo=UTC)
    made = [
        promotions.Promotion(str(n), None, "promoted", "", at, at + timedelta(hours=n))
        for n in range(100_000)
    ]
    held = promotions.promotions_in_force([*made, replace(made[75_000], action="rolled_back")])
    assert [promotion.version for promotion in held[-2:]] == ["74999", "75000"]
