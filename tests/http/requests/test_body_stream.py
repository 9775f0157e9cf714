"""Uploads that stand still keep nobody from reading."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx

HEAD = "POST /v1/regions/town/incidents HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n"
START = b"1b\r\noccurred_at,longitude,latit\r\n"


def test_readers_are_answered_while_every_place_for_uploads_stands_still(address, settings):
    place = urlsplit(address)
    n = max(settings.max_concurrent_uploads, settings.request_threads)
    with ExitStack() as held:
        lines = []
        for _ in range(n):
            line = held.enter_context(socket.create_connection((place.hostname, place.port)))
            line.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + START)
            lines.append(line)
        for _ in range(5):
            assert httpx.get(f"{address}/v1/regions/town", timeout=10).status_code == 200
        for line in lines:
            line.setblocking(False)
            try:
                answer = line.recv(400)
            except BlockingIOError:
                continue
            raise AssertionError(f"an upload was answered before it ended: {answer!r}")
