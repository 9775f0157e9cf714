"""An answer before the end of a long body ends the connection."""

import asyncio
import socket
from urllib.parse import urlsplit

import pytest

from app.http.middleware.early_response import SHORT_BYTES, EarlyResponse


def _answer(headers, read_first):
    """Headers of the answer to a POST whose route reads so many of the body's three pieces."""
    sent = []
    pieces = [{"type": "http.request", "body": b"x", "more_body": more} for more in (1, 1, 0)]

    async def route(scope, receive, send):
        for _ in range(read_first):
            await receive()
        await send({"type": "http.response.start", "status": 413, "headers": [(b"a", b"b")]})

    async def receive():
        return pieces.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "headers": headers}
    asyncio.run(EarlyResponse(route)(scope, receive, send))
    return dict(sent[0]["headers"])


ENDLESS = [(b"transfer-encoding", b"chunked")]
LARGE = [(b"content-length", str(SHORT_BYTES + 1).encode())]
SMALL = [(b"content-length", b"3")]


@pytest.mark.parametrize(
    ("headers", "read_first", "closes"),
    [
        (ENDLESS, 0, True),
        (ENDLESS, 2, True),
        (ENDLESS, 3, False),
        (LARGE, 1, True),
        (LARGE, 3, False),
        (SMALL, 0, False),
    ],
)
def test_only_a_long_body_that_is_not_read_ends_the_connection(headers, read_first, closes):
    answer = _answer(headers, read_first)
    assert (answer.get(b"connection") == b"close") is closes
    assert answer[b"a"] == b"b"


def test_a_server_takes_no_endless_upload_after_its_answer(address):
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=30) as line:
        head = "POST /v1/regions/nowhere/incidents HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += "Content-Type: text/csv\r\n"
        line.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            line.sendall(4_000 * piece)
