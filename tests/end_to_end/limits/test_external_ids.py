"""Incidents are erased over HTTP by any id that an upload may give."""

from __future__ import annotations

import socket
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import text

from tests.support.simulated.incident_rows import row

IDS = (
    "2025/00001", "a/b/c", "/first", "last/", "//", "a?b=c", "a#b", "50%", "%2F", "%252F", "a b", "a+b",
    "año-日本-🚓", ".", "..", "../x", "a/../b", "a/..", "a;b", "a&b=c", "a\\b", "a:b", "~", "x/events",
    "'", "a,b" , "[1]",
)  # fmt: skip


def erase(address: str, path: str) -> int:
    """The status of a DELETE whose path is sent as it stands: clients take dots out of theirs."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=20) as line:
        line.sendall(
            f"DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        )
        return int(line.makefile("rb").readline().split()[1])


@pytest.fixture(scope="module")
def region(client) -> str:
    for name in ("ids", "other"):
        assert client.post("/v1/regions", json={"id": name, "timezone": "UTC"}).status_code == 201
    return "/v1/regions/ids"


@pytest.mark.parametrize("given", IDS)
def test_an_id_with_any_character_is_erased(given, region, address, engine, send):
    quoted = '"' + given.replace('"', '""') + '"'
    assert send(region, [row(1, "theft", quoted), row(2, "theft", "stays")])["rejected"] == 0
    assert erase(address, f"{region}/incidents/{quote(given, safe='')}") == 204
    with engine.connect() as connection:
        left = text("SELECT count(*) FROM incidents WHERE external_id = :given")
        assert connection.scalar(left, {"given": given}) == 0
        assert connection.scalar(left, {"given": "stays"}) == 1
    assert erase(address, f"{region}/incidents/{quote(given, safe='')}") == 404


def test_an_id_is_decoded_once_and_never_leads_elsewhere(region, address, engine, send):
    send(region, [row(1, "theft", "a/b")])
    send("/v1/regions/other", [row(1, "theft", "z")])
    for path in (
        f"{region}/incidents/a%252Fb",
        f"{region}/incidents/a%2Fb/",
        f"{region}/incidents/",
        f"{region}/incidents/x/../../../other/incidents/z",
        f"{region}/incidents/..%2F..%2Fother%2Fincidents%2Fz",
    ):
        assert erase(address, path) == 404, path
    with engine.connect() as connection:
        found = connection.scalars(text("SELECT external_id FROM incidents"))
        assert {"a/b", "z"} <= set(found)
    assert erase(address, f"{region}/incidents/a/b") == 204
