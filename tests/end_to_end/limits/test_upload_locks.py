"""While an upload is being sent, nothing of its region is locked: not a row, not an advisory lock."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from tests.support.simulated.incident_rows import HEAD, row

LOCKED = text(
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND (locktype IN ('advisory', 'tuple') OR mode = 'RowExclusiveLock' AND relation IN"
    " (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')))"
)


@pytest.fixture
def slow(address, engine):
    """Starts an upload of 41,000 rows whose end does not come before it is asked for."""
    lines = []

    def started(region: str) -> socket.socket:
        place = urlsplit(address)
        line = socket.create_connection((place.hostname, place.port), timeout=60)
        lines.append(line)
        line.sendall(
            f"POST {region}/incidents HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n"
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        rows = HEAD + "".join(row(i % 1440, "theft", f"s{i}") + "\n" for i in range(41_000))
        chunk(line, rows)
        time.sleep(2.0)
        return line

    yield started
    for line in lines:
        line.close()


def chunk(line: socket.socket, content: str) -> None:
    line.sendall(f"{len(content):x}\r\n{content}\r\n".encode())


def test_a_region_without_a_boundary_is_not_locked_by_a_slow_upload(
    client, engine, add, send, slow
):
    region = add("slow")
    line = slow(region)
    with engine.connect() as connection:
        assert connection.scalar(LOCKED) == 0
    started = time.monotonic()
    told = client.put(f"{region}/learning-policy", json={"minimum_count": 5})
    assert told.status_code == 200, told.text
    assert send(region, [row(3, "arson", "quick")])["accepted"] == 1
    assert time.monotonic() - started < 30
    chunk(line, row(5, "theft", "last") + "\n")
    line.sendall(b"0\r\n\r\n")
    assert b" 200 " in line.makefile("rb").readline()
    known = client.get(region).json()
    assert known["incidents"] == 41_002
    assert known["crs"] == "EPSG:32618"


def test_of_two_first_uploads_from_two_zones_the_later_is_to_be_sent_again(
    client, engine, add, send, slow
):
    region = add("zones")
    line = slow(region)
    elsewhere = "2024-01-05T10:00:00Z,2.35,48.85,theft,paris"
    assert send(region, [elsewhere])["accepted"] == 1
    line.sendall(b"0\r\n\r\n")
    answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 409 ")
    assert b"region_placed" in answer
    assert client.get(region).json()["incidents"] == 1
