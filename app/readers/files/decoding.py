"""Decode an upload's bytes: content encodings, character encodings, lines."""

from __future__ import annotations

import codecs
import re
import unicodedata
import zlib
from collections.abc import Iterator
from itertools import chain

from app.core.errors import InvalidInput, LimitExceeded
from app.core.messages import Message
from app.core.texts import shortened
from app.readers.limits import EXPANSION_FLOOR_BYTES, implausible
from app.readers.reading import ASSUMPTIONS

READ_BYTES = 1 << 18
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
"""Only line feeds and carriage returns end lines; other breaks (U+2028, form feed) are text."""
CANDIDATES = {
    "cp932": ("HIRAGANA", "KATAKANA", "CJK", "IDEOGRAPHIC", "FULLWIDTH"), "gb18030": ("CJK",),
    "big5": ("CJK",), "cp949": ("HANGUL",), "euc_jp": ("HIRAGANA", "KATAKANA", "CJK"),
    "windows-1251": ("CYRILLIC",), "koi8-r": ("CYRILLIC",), "windows-1255": ("HEBREW",),
    "windows-1256": ("ARABIC",), "windows-1253": ("GREEK",), "windows-1250": ("LATIN",),
    "windows-1254": ("LATIN",), "cp437": ("LATIN",), "mac_roman": ("LATIN",), "windows-1252": ("LATIN",),
}  # fmt: skip
"""{encoding: how Unicode calls its letters}: a refusal names those whose letters the text would have."""
_OWN_LETTERS = 0.9
_BEYOND_ASCII = re.compile(r"[^\s,;|\"()]*[^\x00-\x7f][^\s,;|\"()]*")
_LETTER = "[A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\xff\u0160\u0161\u017d\u017e\u0152\u0153\u0178]"
_SYMBOL = (
    "[\xa2-\xa6\xa8\xac\xaf\xb1\xb5\xb6\xb8\xb9\xbc-\xbe\xd7\xf7"
    "\u0192\u02c6\u2020\u2021\u2030\u2039\u203a\u02dc]"
)
_MARK = "[\xa1\xbf\xaa\xba\xab\xbb\xb2\xb3\u2013\u2014\u201a\u201c\u201d\u201e\u2022\u2026]"
_NOT_WESTERN = re.compile(
    f"[^\x00-\x7f]{{3}}|[\x80-\x9f\xd0\xdd\xde\xf0\xfd\xfe]|{_SYMBOL}{_LETTER}|{_LETTER}{_SYMBOL}|"
    f"{_LETTER}{_MARK}{_LETTER}|[a-z][\xc0-\xde\u0160\u017d\u0152\u0178][a-z]"
)
"""In text read as Windows-1252: what words of Western Europe do not have."""


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
    if first.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
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


class Text:
    """Decode a body's text: UTF-8, UTF-16, as the caller says, or else Windows-1252.

    Bytes that are not UTF-8 are read as Windows-1252 if that gives words of Western Europe, which is said
    under `assumptions`; their bytes do not distinguish other encodings, which must be named.

    Args:
        encoding: that the caller names.
    """

    def __init__(self, chunks: Iterator[bytes], encoding: str | None = None) -> None:
        self._chunks = _gathered(chunks)
        self._first = next(self._chunks, b"")
        self._codec = (
            _encoding_of(self._first) if encoding is None else codecs.lookup(encoding).name
        )
        self._codec = "utf-8-sig" if self._codec == "utf-8" else self._codec
        self._is_given = encoding is not None
        self.encoding = self._codec.removesuffix("-sig")
        self.assumptions: list[Message] = []

    def parts(self) -> Iterator[str]:
        """Yield the text.

        Raises:
            InvalidInput: it is of another encoding.
        """
        decoder = codecs.getincrementaldecoder(self._codec)("strict")
        for chunk in chain((self._first,), self._chunks, (b"",)):
            state = decoder.getstate()
            try:
                yield decoder.decode(chunk, final=not chunk)
                continue
            except UnicodeDecodeError as error:
                if self._is_given or self._codec != "utf-8-sig":
                    raise _not_valid(self.encoding, error, is_given=self._is_given) from error
            self._assume_western(state[0] + chunk)
            decoder = codecs.getincrementaldecoder("utf-8-sig")("windows-1252")
            decoder.setstate(state)
            yield decoder.decode(chunk, final=not chunk)

    def _assume_western(self, raw: bytes) -> None:
        if not is_western(raw):
            names = _candidates(raw)
            known = f": its bytes would be letters in {', '.join(names)}" if names else ""
            raise InvalidInput(
                f"the text is not UTF-8, and hardly of Western Europe{known}; name its encoding by encoding=",
                field="encoding",
                code="encoding",
                params={"encodings": names},
            )
        self.encoding = "windows-1252"
        self.assumptions = [ASSUMPTIONS.make("not_utf8")]


def _not_valid(name: str, error: UnicodeDecodeError, *, is_given: bool) -> InvalidInput:
    shown = error.object[error.start : error.start + 4].hex(" ")
    remedy = "name another by encoding=" if is_given else "name its encoding by encoding="
    return InvalidInput(
        f"text is not valid {name}: {error.reason} ({shown}); {remedy}",
        field="encoding",
        code="encoding",
    )


def text_of(chunks: Iterator[bytes]) -> Iterator[str]:
    """Decode UTF-8, UTF-16 or Windows-1252; see `Text`."""
    return Text(chunks).parts()


def is_western(raw: bytes) -> bool:
    """Return whether bytes that are not UTF-8 may be Windows-1252.

    Letters beyond ASCII stand alone or in pairs in Western Europe's languages; runs of three, symbols
    within words, and letters of Iceland and Turkey show another encoding. A text that is mostly UTF-8 may
    hold some rows of Windows-1252.
    """
    n_valid = sum(not one.isascii() for one in raw.decode("utf-8", "ignore"))
    n_invalid = raw.decode("utf-8", "replace").count("\ufffd")
    text = raw.decode("utf-8", "windows-1252")
    return n_valid > n_invalid or not any(
        _NOT_WESTERN.search(w) for w in _BEYOND_ASCII.findall(text)
    )


def _candidates(raw: bytes) -> list[str]:
    """Return the encodings in which most characters beyond ASCII are the encoding's own letters."""
    found = []
    for name, scripts in CANDIDATES.items():
        try:
            text = codecs.getincrementaldecoder(name)().decode(raw)
        except UnicodeDecodeError:
            continue
        beyond = [c for c in text if not c.isascii()]
        own = sum(unicodedata.name(c, "").startswith(scripts) for c in beyond)
        if beyond and own >= _OWN_LETTERS * len(beyond):
            found.append(name)
    return found


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
