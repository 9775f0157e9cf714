"""From an upload's bytes to its text: content encodings, character encodings, lines."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator

from app.domain.errors import InvalidInput, LimitExceeded

READ_BYTES = 1 << 18
EXPANSION_FLOOR_BYTES = 4 << 20
"""A small body may expand to this whatever its ratio."""


def decoded(
    chunks: Iterator[bytes], encoding: str | None, limit_bytes: int, max_expansion: int
) -> Iterator[bytes]:
    """The body without its Content-Encoding, capped.

    Args:
        limit_bytes: decoded bytes allowed.
        max_expansion: decoded bytes allowed per compressed one, past `EXPANSION_FLOOR_BYTES`.

    Raises:
        InvalidInput: unknown encoding, damaged data.
        LimitExceeded: more decoded bytes than allowed, or a bomb.
    """
    if encoding in (None, "", "identity"):
        yield from _capped(chunks, limit_bytes)
    elif encoding in ("gzip", "x-gzip"):
        yield from _capped(_gunzipped(chunks, max_expansion), limit_bytes)
    else:
        raise InvalidInput(f"Content-Encoding {encoding!r} is not known; use gzip", code="encoding")


def _capped(chunks: Iterator[bytes], limit_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit_bytes:
            raise LimitExceeded(f"over {limit_bytes} bytes", code="too_large")
        yield chunk


def _gunzipped(chunks: Iterator[bytes], max_expansion: int) -> Iterator[bytes]:
    engine = zlib.decompressobj(31)
    n_in = n_out = 0
    try:
        for chunk in chunks:
            data = chunk
            while data:
                out = engine.decompress(data, READ_BYTES)
                n_in += len(data) - len(engine.unconsumed_tail)
                n_out += len(out)
                if n_out > max(EXPANSION_FLOOR_BYTES, max_expansion * n_in):
                    raise LimitExceeded(
                        f"expands more than {max_expansion} times: not plausible for incidents",
                        code="too_large",
                    )
                if out:
                    yield out
                data = engine.unconsumed_tail
                if engine.eof:
                    data = engine.unused_data
                    if data:
                        engine = zlib.decompressobj(31)
    except zlib.error as error:
        raise InvalidInput(f"damaged gzip data: {error}", code="damaged") from error
    if not engine.eof:
        raise InvalidInput("gzip data ends too early", code="damaged")


def text_of(chunks: Iterator[bytes]) -> Iterator[str]:
    """UTF-8 (with or without mark) or UTF-16 by its mark; Windows-1252 when the start is no UTF-8."""
    first = next(chunks, b"")
    while len(first) < 4 and (more := next(chunks, None)) is not None:
        first += more
    name = "utf-8-sig"
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-16"
    else:
        try:
            codecs.getincrementaldecoder(name)().decode(first)
        except UnicodeDecodeError:
            name = "cp1252"
    decoder = codecs.getincrementaldecoder(name)()
    try:
        yield decoder.decode(first)
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"text is not valid {name}: {error.reason}", code="encoding") from error


def lines_of(texts: Iterator[str], limit_chars: int) -> Iterator[str]:
    """Lines with their ends, never longer than a row may be."""
    rest = ""
    for text in texts:
        parts = (rest + text).splitlines(keepends=True)
        rest = ""
        if parts and not parts[-1].endswith(("\n", "\r")):
            rest = parts.pop()
        if len(rest) > limit_chars:
            raise InvalidInput(f"a line is longer than {limit_chars} characters", code="too_long")
        yield from parts
    if rest:
        yield rest
