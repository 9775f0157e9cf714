"""Compressed replies hold the same bytes, and say how they are encoded."""

import gzip

import brotli
import pytest

from app.http.middleware.compression import (
    COMPRESS_FROM_BYTES,
    LARGE_FROM_BYTES,
    Compression,
    compressed,
    encoding_of,
)
from tests.support.services.asgi import answer, saying, scope_of

TEXT = b"cell,probability\n" * 100
JSON = {"content_type": "application/json"}


def asked(app, accept="br, gzip"):
    return answer(Compression(app), scope_of(headers={"accept-encoding": accept}))


@pytest.mark.parametrize(
    ("accepted", "media_type", "chosen"),
    [
        ("gzip, br", "text/csv", "br"),
        ("GZIP", "text/csv", "gzip"),
        ("br;q=0, gzip;q=0.5", "text/csv", "gzip"),
        ("br; q=0.000, gzip;q=0.0", "text/csv", None),
        ("br;q=0.001", "text/csv", "br"),
        ("deflate, identity", "text/csv", None),
        ("", "text/csv", None),
        ("br, gzip", "image/png", None),
        ("br, gzip", "application/vnd.apache.parquet", None),
        ("br, gzip", "image/svg+xml", "br"),
    ],
)
def test_the_best_encoding_that_the_client_accepts(accepted, media_type, chosen):
    assert encoding_of(accepted, media_type) == chosen


@pytest.mark.parametrize("size", [COMPRESS_FROM_BYTES, LARGE_FROM_BYTES + 1])
@pytest.mark.parametrize(("name", "unpack"), [("br", brotli.decompress), ("gzip", gzip.decompress)])
def test_bodies_come_back_whole_and_equal_ones_are_equal_bytes(name, unpack, size):
    body = (TEXT * (size // len(TEXT) + 1))[:size]
    small = compressed(body, name)
    assert unpack(small) == body
    assert len(small) < len(body) / 4
    assert compressed(body, name) == small


def test_a_long_reply_is_compressed_and_says_so():
    reply = asked(saying(TEXT, content_length=str(len(TEXT)), vary="Accept", **JSON))
    assert brotli.decompress(reply.body) == TEXT
    assert reply.headers["content-encoding"] == "br"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert reply.headers["vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    "app",
    [
        saying(TEXT[: COMPRESS_FROM_BYTES - 1], **JSON),
        saying(TEXT, content_type="image/png"),
        saying(TEXT, content_encoding="gzip", **JSON),
    ],
    ids=["short", "compressed by itself", "encoded already"],
)
def test_other_replies_pass_as_they_are(app):
    plain = answer(app, scope_of())
    assert asked(app).messages == plain.messages


def test_a_stream_is_not_held_back():
    async def stream(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": TEXT, "more_body": True})
        await send({"type": "http.response.body", "body": TEXT})

    reply = asked(stream)
    assert [message.get("body") for message in reply.messages] == [None, TEXT, TEXT]
    assert "content-encoding" not in reply.headers
