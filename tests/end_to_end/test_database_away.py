"""D5: the line to the database slows, goes quiet or breaks while requests are answered."""

import threading
import time

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from app.core.db.deadlines import answered_within
from app.core.db.engine import long_statements, open_engine
from app.core.errors import Unavailable
from app.main import create_app
from tests.support.databases.database_proxy import proxied

DEADLINE_S = 2.0


@pytest.fixture
def behind_proxy(settings):
    with proxied(settings.database_url.get_secret_value()) as (proxy, url):
        through = settings.model_copy(
            update={"database_url": SecretStr(url), "database_timeout_s": DEADLINE_S}
        )
        engine = open_engine(through)
        with TestClient(create_app(through, engine)) as client:
            yield proxy, client, engine
        proxy.switch("pass")
        engine.dispose()


def _wait_until_all_are_back(engine, in_background=0):
    """Keys are read anew in the background, one read at a time, over a connection of the pool too."""
    until = time.monotonic() + 5
    while engine.pool.checkedout() > in_background and time.monotonic() < until:
        time.sleep(0.05)
    assert engine.pool.checkedout() <= in_background


@pytest.mark.parametrize("mode", ["silent", "cut", "slow"])
def test_a_line_that_fails_gives_503_and_no_connection_is_lost(behind_proxy, mode):
    proxy, client, engine = behind_proxy
    assert client.get("/v1/regions").status_code == 200
    proxy.delay_s = 10.0
    proxy.switch(mode)
    replies = []
    threads = [
        threading.Thread(target=lambda: replies.append(client.get("/v1/regions"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert client.get("/healthz").status_code == 200
    for thread in threads:
        thread.join(60)
    assert [reply.status_code for reply in replies] == [503] * 4
    assert all("retry-after" in reply.headers for reply in replies)
    _wait_until_all_are_back(engine, in_background=1)
    proxy.switch("pass")
    assert client.get("/v1/regions").status_code == 200
    _wait_until_all_are_back(engine)


def test_connections_that_ended_while_idle_cost_no_request(behind_proxy, engine):
    """As after a restart of the database that nobody asked anything of."""
    _, client, pooled = behind_proxy
    with pooled.connect() as one, pooled.connect() as other:
        pids = [c.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() for c in (one, other)]
    with engine.connect() as connection:
        ended = text("SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM unnest(:pids) AS pid")
        assert connection.scalar(ended, {"pids": pids})
    assert [client.get(path).status_code for path in ("/readyz", "/v1/regions")] == [200, 200]


def test_a_request_is_bounded_as_a_whole_and_long_work_is_not(behind_proxy):
    _, _, engine = behind_proxy
    with (
        engine.connect() as connection,
        answered_within(0.2),
        pytest.raises(Unavailable, match="reached"),
    ):
        connection.exec_driver_sql("SELECT pg_sleep(1)")
    with engine.begin() as connection:
        long_statements(connection, 60.0)
        with answered_within(0.0):
            assert connection.exec_driver_sql("SELECT pg_sleep(0.3), 1").one()[1] == 1
    started = time.monotonic()
    with engine.connect() as connection, pytest.raises(Unavailable, match="in time"):
        connection.exec_driver_sql(f"SELECT pg_sleep({10 * DEADLINE_S})")
    assert time.monotonic() - started < 10 * DEADLINE_S
