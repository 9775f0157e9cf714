"""What a client is waited for holds nothing of the database, and no body is waited for without end."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import pytest
import uvicorn
from sqlalchemy import text

from app.main import create_app
from app.regions.service import add_region

PATIENCE_S = 30.0
HEAD = b"occurred_at,longitude,latitude,category\n"
ROW = b"2024-01-01T10:00:00Z,-74.05,4.65,theft\n"
NDJSON_ROW = b'{"occurred_at":"2024-01-01T10:00:00Z","longitude":-74.05,"latitude":4.65}\n'
MIB = 1 << 20


@pytest.fixture(scope="module")
def region(engine) -> str:
    return add_region(engine, "waiting", timezone="UTC").id


@pytest.fixture(scope="module")
def port(engine, settings, region) -> Iterator[int]:
    brief = settings.model_copy(update={"body_idle_timeout_s": 3.0})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chosen = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(create_app(brief, engine), port=chosen, log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert until(lambda: server.started)
        yield chosen
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


def until(condition) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@contextmanager
def begun(port: int, method: str, path: str, kind: str, sent: bytes, **headers: str):
    """A request of which only the beginning of the body is sent, and more is announced."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}"]
    lines += [f"Content-Length: {len(sent) + 100}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + sent)
        yield connection


def held(engine) -> list[str]:
    """What other sessions of this database hold: transactions that are open, locks on rows and more."""
    asked = text(
        """
        SELECT a.state || ': ' || a.query FROM pg_stat_activity AS a
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
          AND a.backend_type = 'client backend' AND a.xact_start IS NOT NULL
        UNION ALL
        SELECT l.locktype || ' ' || l.mode FROM pg_locks AS l
        WHERE l.pid <> pg_backend_pid() AND l.database =
            (SELECT oid FROM pg_database WHERE datname = current_database())
        """
    )
    with engine.connect() as connection:
        return list(connection.scalars(asked))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("text/csv", HEAD + ROW * (6 * MIB // len(ROW))),
        ("application/x-ndjson", NDJSON_ROW * (6 * MIB // len(NDJSON_ROW))),
        ("application/vnd.apache.parquet", b"PAR1" + bytes(MIB)),
        ("text/csv", HEAD + ROW),
    ],
    ids=["csv", "ndjson", "parquet", "one row"],
)
def test_an_upload_that_stops_holds_no_transaction_and_no_lock(engine, port, kind, sent):
    path = "/v1/regions/waiting/incidents"
    with begun(port, "POST", path, kind, sent, Idempotency_Key=f"k{len(sent)}") as connection:
        time.sleep(1.5)  # what is here of it is read
        seen = []  # more than once: the service also looks for new versions now and then
        while [] not in seen and len(seen) < 10:
            seen.append(held(engine))
            time.sleep(0.05)
        assert [] in seen, seen
        told = connection.recv(65536)
        assert told.startswith(b"HTTP/1.1 408"), told[:300]
    assert until(lambda: held(engine) == [])


def test_a_key_is_in_use_while_its_first_body_is_read(engine, port):
    url = f"http://127.0.0.1:{port}/v1/regions/waiting/incidents"
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "shared"}
    path = "/v1/regions/waiting/incidents"
    with begun(port, "POST", path, "text/csv", HEAD, Idempotency_Key="shared"):
        time.sleep(0.5)
        second = httpx.post(url, content=HEAD + ROW, headers=headers)
        assert (second.status_code, second.json()["code"]) == (409, "key_in_use")
    # The first went away: its key is free again.
    assert until(lambda: httpx.post(url, content=HEAD + ROW, headers=headers).status_code == 200)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/regions/waiting/incidents", "text/csv"),
        ("PUT", "/v1/regions/waiting/population", "text/csv"),
        ("PUT", "/v1/regions/waiting/population", "application/geo+json"),
        ("PUT", "/v1/regions/waiting/mappings/m", "application/json"),
        ("POST", "/v1/regions", "application/json"),
    ],
)
def test_every_body_that_stands_still_is_given_up(port, method, path, kind):
    with begun(port, method, path, kind, b"name,") as connection:
        told = connection.recv(65536)
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408"), told[:300]
    assert json.loads(body)["code"] == "timeout"
