"""Decode an upload's bytes: content encodings, character encodings, lines."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterator

from app.core.errors import InvalidInput, LimitExceeded
from app.core.texts import shortened
from app.readers.limits import EXPANSION_FLOOR_BYTES, implausible

READ_BYTES = 1 << 18
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
"""Only line feeds and carriage returns end lines; other breaks (U+2028, form feed) are text."""


def decoded(
    chunks: Iterator[bytes], encoding: str | None, limit_bytes: int, max_expansion: int
) -> Iterator[bytes]:
    """Yield the body without its Content-Encoding, up to a limit.

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
        raise InvalidInput(
            f"Content-Encoding {shortened(encoding)} is not supported; use gzip", code="encoding"
        )


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
                    raise implausible(max_expansion)
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


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that are not UTF-8 as Windows-1252, and what that leaves undefined as Latin-1."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(_WINDOWS_1252.get(byte, chr(byte)) for byte in wrong), error.end


_WINDOWS_1252 = {b: bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(128, 256)}
codecs.register_error("windows-1252", _windows_1252)


def _encoding_of(first: bytes) -> str:
    """Detect the encoding by the byte-order mark or by UTF-16's zero bytes."""
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(first) >= 4 and first[0] and first[2] and not (first[1] or first[3]):
        return "utf-16-le"
    if len(first) >= 4 and first[1] and first[3] and not (first[0] or first[2]):
        return "utf-16-be"
    return "utf-8-sig"


def _gathered(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Join chunks to at least `READ_BYTES`, since text across chunks is scanned again for each."""
    held, n_bytes = [], 0
    for chunk in chunks:
        held.append(chunk)
        n_bytes += len(chunk)
        if n_bytes >= READ_BYTES:
            yield b"".join(held)
            held, n_bytes = [], 0
    if held:
        yield b"".join(held)


def text_of(chunks: Iterator[bytes]) -> Iterator[str]:
    """Decode UTF-8 (invalid bytes as Windows-1252) or UTF-16."""
    chunks = _gathered(chunks)
    first = next(chunks, b"")
    name = _encoding_of(first)
    errors = "windows-1252" if name == "utf-8-sig" else "strict"
    decoder = codecs.getincrementaldecoder(name)(errors)
    try:
        yield decoder.decode(first)
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"text is not valid {name}: {error.reason}", code="encoding") from error


def lines_of(texts: Iterator[str], limit_chars: int) -> Iterator[str]:
    """Yield lines with their ends, none longer than a row may be.

    Raises:
        InvalidInput: a longer one, with its number.
    """
    rest = ""
    n_lines = 0
    for text in texts:
        parts = _LINE.findall(rest + text)
        rest = ""
        # A carriage return at the end may have its line feed in the next chunk.
        if parts and not parts[-1].endswith("\n"):
            rest = parts.pop()
        n_lines += len(parts)
        if len(rest) > limit_chars:
            raise InvalidInput(
                f"line {n_lines + 1} is longer than {limit_chars} characters", code="too_long"
            )
        yield from parts
    if rest:
        yield rest
