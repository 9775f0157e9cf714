"""How many of what is stored by a request there may be: runs, keys, regions, sources, mappings."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine, text

from app.access.service import NewKey, create_key, list_keys, revoke_key
from app.core.db.engine import open_engine
from app.core.errors import LimitExceeded
from app.core.roles import Role
from app.core.settings import Settings
from app.erasure.service import erase_incident
from app.incidents.mappings import save_mapping
from app.monitoring.schedules.service import ScheduleRequest, set_schedule, tick
from app.readers.columns.mapping import ColumnMapping
from app.runs.schedules import database_clock, failures_by_region
from app.sync.service import add_source
from app.sync.spec import SourceSpec
from app.worker.maintenance import maintain
from tests.support.simulated.incident_rows import row
from tests.support.simulated.town import own_database

LIMIT = 4
ASKED = {
    "training-runs": {"model": "uniform", "validate": False},
    "backtests": {"models": ["uniform"], "n_origins": 1},
}
TABLE = {"training-runs": "training_runs", "backtests": "backtests"}
SPEC = SourceSpec(
    "socrata",
    "https://example.org/resource/abcd-1234.json",
    columns={"occurred_at": "at", "longitude": "x", "latitude": "y", "category": "c"},
)


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    changed = {"max_unfinished_runs": LIMIT, "max_regions": 12, "retention_runs": 3}
    return settings.model_copy(update=changed)


def unfinished(engine: Engine, table: str, region: str) -> int:
    query = text(
        f"SELECT count(*) FROM {table} AS run JOIN regions ON regions.key = region_key"
        " WHERE regions.id = :region AND status IN ('queued', 'running')"
    )
    with engine.connect() as connection:
        return int(connection.scalar(query, {"region": region}) or 0)


@pytest.mark.parametrize("kind", list(ASKED))
def test_a_region_has_so_many_unfinished_runs_and_no_more(engine, address, client, add, kind):
    region, name = add(kind), kind
    other = add(f"other-{kind}")

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{address}{region}/{kind}", json=ASKED[kind], timeout=60)

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(ask, range(3 * LIMIT)))
    assert sorted(t.status_code for t in told) == [202] * LIMIT + [429] * 2 * LIMIT
    assert unfinished(engine, TABLE[kind], name) == LIMIT
    refused = next(t for t in told if t.status_code == 429)
    problem = refused.json()
    assert (problem["code"], problem["limit"], problem["asked"]) == ("too_many_runs", 4, 5)
    assert "queued or running" in problem["detail"]
    assert "cancel" in problem["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    # Another region is not held up, and room is made by cancelling.
    assert client.post(f"{other}/{kind}", json=ASKED[kind]).status_code == 202
    accepted = next(t for t in told if t.status_code == 202).json()
    assert client.delete(f"{region}/{kind}/{accepted['id']}").status_code == 200
    assert ask(0).status_code == 202
    assert ask(0).status_code == 429


def test_a_full_queue_stops_neither_schedules_nor_erasures(engine, client, add, send):
    region = add("full")
    send(region, [row(1, "theft", "a"), row(2, "theft", "b")])
    for _ in range(LIMIT):
        told = client.post(f"{region}/training-runs", json=ASKED["training-runs"])
        assert told.status_code == 202
    with engine.connect() as connection:
        now = database_clock(connection)
    set_schedule(engine, "full", ScheduleRequest("uniform", "* * * * *"), now)
    for minutes in range(1, 10):
        tick(engine, now + timedelta(minutes=minutes))
    with engine.connect() as connection:
        assert failures_by_region(connection) == {}
    assert unfinished(engine, "training_runs", "full") == LIMIT + 1, "ticks share a run that waits"
    with engine.begin() as connection:  # an erasure trains again where a training has read it
        connection.execute(
            text(
                "UPDATE training_runs SET status = 'running', started_at = now() WHERE id ="
                " (SELECT run.id FROM training_runs AS run JOIN regions ON regions.key = region_key"
                "  WHERE regions.id = 'full' AND status = 'queued' LIMIT 1)"
            )
        )
    for external_id in "ab":
        erase_incident(engine, "full", external_id)
    assert unfinished(engine, "training_runs", "full") == LIMIT + 2


def test_old_finished_runs_are_forgotten(engine, settings, client, add):
    region = add("old")
    for kind, asked in ASKED.items():
        for _ in range(8):
            told = client.post(f"{region}/{kind}", json=asked)
            assert told.status_code == 202
            assert client.delete(f"{region}/{kind}/{told.json()['id']}").status_code == 200
        last = client.post(f"{region}/{kind}", json=asked).json()["id"]
        maintain(engine, settings, datetime.now(UTC))
        left = client.get(f"{region}/{kind}").json()[kind.replace("-", "_")]
        assert [run["id"] for run in left][:1] == [last]
        assert len(left) == settings.retention_runs


def test_sources_and_mappings_have_a_number_also_when_added_at_once(engine, settings, client, add):
    region = add("fed")

    def source(i: int) -> bool:
        try:
            add_source(engine, settings, "fed", f"s{i}", SPEC)
        except LimitExceeded as error:
            assert (error.limit, error.asked) == (50, 51)  # noqa: PT017
            return False
        return True

    def mapping(i: int) -> bool:
        try:
            save_mapping(engine, "fed", f"m{i}", ColumnMapping({"category": "OFFENSE"}))
        except LimitExceeded:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(source, range(60))) == 50
        assert sum(pool.map(mapping, range(30))) == 20
    for _ in range(3):  # a source has one unfinished run
        assert client.post(f"{region}/sync-runs", json={}).status_code == 202
    assert unfinished(engine, "sync_runs", "fed") == 50


def test_a_region_too_many_is_refused_and_an_equal_one_is_not(client, engine):
    with engine.connect() as connection:
        n = connection.scalar(text("SELECT count(*) FROM regions"))
    bodies = [{"id": f"r{i}", "timezone": "UTC"} for i in range(n, 14)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda body: client.post("/v1/regions", json=body), bodies))
    refused = [t for t in told if t.status_code == 422]
    assert len(refused) == len(bodies) - (12 - n)
    assert (refused[0].json()["code"], refused[0].json()["limit"]) == ("limit_exceeded", 12)
    made = next(t for t in told if t.status_code == 201).json()["id"]
    assert client.post("/v1/regions", json={"id": made, "timezone": "UTC"}).status_code == 201


@pytest.fixture
def apart(server_url, tmp_path) -> Iterator[Engine]:
    """A database of its own: a key closes it to others."""
    with own_database(server_url, tmp_path) as settings:
        opened = open_engine(settings)
        yield opened
        opened.dispose()


def test_keys_have_a_number_and_ended_ones_make_room(apart):
    def make(i: int) -> bool:
        try:
            create_key(apart, NewKey(f"k{i}", (Role.READER,)), 5)
        except LimitExceeded as error:
            assert "revoke" in error.message  # noqa: PT017
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(make, range(9))) == 5
    first, second, *_ = list_keys(apart)
    revoke_key(apart, second.id)
    revoke_key(apart, first.id)
    assert make(10)
    names = [key.id for key in list_keys(apart)]
    assert second.id not in names, "the one that ended first went first"
    assert first.id in names
    with apart.connect() as connection:
        told = connection.scalar(
            text("SELECT details FROM audit_log WHERE action = 'key.created' ORDER BY seq DESC")
        )
    assert second.id in told
    assert make(11)
    assert not make(12)
