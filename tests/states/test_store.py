"""States come back as they were stored; one that was altered is refused."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from app.registry.artifacts import ArtifactCorrupt
from app.states.schemas import StateReply
from app.states.store import NewState, add_state, find_state, last_number, latest_state
from models.densities.state import DensityState
from tests.support.simulated.small_region import train

UNTIL = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def made(engine, settings, place):
    """Two states of a version, of the last of February and the first of March."""
    version, _ = train(engine, settings, place, "trainer")
    found = []
    with engine.begin() as connection:
        key = connection.scalar(text("SELECT key FROM regions"))
        for day in (0, 1):
            density = DensityState(np.array([20.0, 100.0]), np.full((2, 5), day + 0.25, np.float32))
            until = UNTIL + timedelta(days=day)
            new = NewState(key, version, 3 + day, until, 40, {"level": 0.1 + day}, density)
            found.append(add_state(connection, new))
    return engine, key, version, found


def test_it_comes_back_as_it_was_stored(made):
    engine, key, version, (first, last) = made
    with engine.connect() as connection:
        again = find_state(connection, key, version, first.number)
        assert find_state(connection, key, version, last.number + 1) is None
        assert find_state(connection, key, "other", first.number) is None
        assert last_number(connection, key, version) == last.number > first.number
    assert {k: v for k, v in vars(again).items() if k != "density"} == {
        k: v for k, v in vars(first).items() if k != "density"
    }
    np.testing.assert_array_equal(again.density.ratio(3.0), first.density.ratio(3.0))


def test_the_last_one_by_what_it_knows_and_when_it_was_known(made):
    engine, key, version, (first, last) = made
    with engine.connect() as connection:

        def latest(**bounds):
            found = latest_state(connection, key, version, **bounds)
            return None if found is None else found.number

        assert latest() == last.number
        assert latest(data_until=UNTIL + timedelta(hours=5)) == first.number
        assert latest(data_until=UNTIL - timedelta(hours=5)) is None
        assert latest(known_at=first.created_at - timedelta(hours=1)) is None


@pytest.mark.parametrize(
    "change",
    [
        "n_incidents = 41",
        "release = release + 1",
        "data_until = data_until + interval '1 day'",
        "counts = '{\"level\": 9}'",
        "fields = fields || '\\x00'",
        "version = version",
    ],
)
def test_any_change_is_refused(made, change):
    engine, key, version, (first, _) = made
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE forecast_states SET {change}"))
        if change == "version = version":
            assert find_state(connection, key, version, first.number) is not None
            return
        with pytest.raises(ArtifactCorrupt, match=f"state {first.number}"):
            find_state(connection, key, version, first.number)


def test_the_reply_has_the_members_of_the_contract():
    assert set(StateReply.model_fields) == {
        "version",
        "state",
        "data_until",
        "assimilated_incidents",
        "assimilated_at",
    }
