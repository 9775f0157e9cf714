"""Find the array of rows in a JSON text, and decode its items one at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.core.errors import InvalidInput
from app.core.texts import cut
from app.readers.blocks import MAX_ROW_CHARS
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import plan_columns
from app.readers.limits import TOO_MANY_VALUES, Refused, has_too_many_values

MAX_DIGITS = 400
FEATURES = "features"
USUAL_NAMES = ("data", "results", "rows", "records", "incidents", "crimes", "items", "value")
TAIL_CHARS = 1 << 16
_GAP = re.compile(r"[ \t\r\n,]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]]')
_GOES_ON = re.compile(r"(?:\.|[eE][+-]?)?\Z")
"""At the end of a text, behind a number that may have more digits in the next one."""
_MAX_DEPTH = 3


@dataclass(frozen=True)
class FoundArray:
    """The array of rows.

    Args:
        name: path of the member that holds it; empty if the text is the array.
        head: the text before it.
        rest: what is read of the text after its opening bracket.
    """

    name: str
    head: str
    rest: str

    @property
    def is_features(self) -> bool:
        """Whether it is that of GeoJSON or Esri JSON."""
        return self.name == FEATURES


def array_of(head: str, texts: Iterator[str], mapping: ColumnMapping) -> FoundArray:
    """Find the array of rows: the text itself, `features`, a usual name, or one of rows with time and place.

    Raises:
        InvalidInput: there is none within the first characters.
    """
    text = head.lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        return FoundArray("", "", text[1:])
    if not text.startswith("{"):
        raise InvalidInput(
            "the body must be a JSON array of incidents, or an object with such an array",
            code="bad_json",
        )
    while True:
        found, others = _found(text, mapping)
        if found is not None:
            return found
        more = next(texts, None)
        if more is None or len(text) > MAX_ROW_CHARS:
            named = f": it has {cut(', '.join(others), 200)}" if others else ""
            raise InvalidInput(
                "the body must be a JSON array of incidents; the object has no array of them "
                f"({FEATURES}, {', '.join(USUAL_NAMES)}){named}",
                code="bad_json",
            )
        text += more


def _found(text: str, mapping: ColumnMapping) -> tuple[FoundArray | None, list[str]]:
    """Return the array of rows that this beginning shows, and the names of other arrays."""
    others: list[str] = []
    for name, start in _arrays(text):
        found = FoundArray(name, text[:start], text[start:])
        last = name.rpartition(".")[2].lower()
        if name == FEATURES or (last in USUAL_NAMES and _first(found.rest) in ("{", "]")):
            return found, others
        if _first(found.rest) == "{" and _is_table(found.rest, mapping):
            return found, others
        others.append(name)
    return None, others


def _first(rest: str) -> str:
    return rest.lstrip()[:1]


def _is_table(rest: str, mapping: ColumnMapping) -> bool:
    """Return whether the first object of an array names time and place."""
    try:
        value, _ = json.JSONDecoder().raw_decode(rest.lstrip())
        header = list(value)
        plan_columns(header, mapping).require_all(header)
    except (ValueError, RecursionError, InvalidInput):
        return False
    return True


def _arrays(text: str) -> Iterator[tuple[str, int]]:
    """Yield path and position of each array within objects, not of those within arrays."""
    opened: list[tuple[str, str | None]] = []
    key: str | None = None
    for token in _TOKEN.finditer(text):
        sign = token[0][0]
        if sign == '"':
            key = token[0][1:-1]
        elif sign in "}]":
            if opened:
                opened.pop()
        else:
            if sign == "[" and len(opened) <= _MAX_DEPTH and not any(s == "[" for s, _ in opened):
                yield ".".join(str(k) for k in [*(k for _, k in opened[1:]), key]), token.end()
            opened.append((sign, key))


class ArrayItems:
    """The items of a JSON array, decoded one at a time, each with its number of characters.

    Args:
        texts: what follows the array's opening bracket.
    """

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._rest = ""

    def tail(self) -> str:
        """Return the beginning of what follows the array."""
        while len(self._rest) < TAIL_CHARS and (more := next(self._texts, None)) is not None:
            self._rest += more
        return self._rest[:TAIL_CHARS]

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        decoder = json.JSONDecoder(parse_constant=_no_constant, parse_int=_whole_number)
        buffer = ""
        for text in self._texts:
            buffer += text
            position = 0
            while True:
                position = _after_gap(buffer, position)
                if position >= len(buffer):
                    break
                if buffer[position] == "]":
                    self._rest = buffer[position + 1 :]
                    return
                try:
                    value, end = decoder.raw_decode(buffer, position)
                except json.JSONDecodeError:
                    break
                if _GOES_ON.match(buffer, end):
                    break
                item = buffer[position:end]
                if "\\ud" in item.lower():
                    _check_surrogates(value)
                yield Refused(TOO_MANY_VALUES) if has_too_many_values(item) else value, len(item)
                position = end
            buffer = buffer[position:]
            if len(buffer) > MAX_ROW_CHARS:
                raise InvalidInput("a JSON value is too long or not valid", code="bad_json")
        raise InvalidInput("the JSON array is not closed or not valid", code="bad_json")


def _no_constant(name: str) -> Any:
    raise InvalidInput(f"{name} is not JSON", code="bad_json")


def _whole_number(digits: str) -> int | str:
    """Parse an integer; one too long for Python stays a text, to be rejected later."""
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("a text holds half of a surrogate pair", code="bad_text") from error


def _after_gap(buffer: str, position: int) -> int:
    gap = _GAP.match(buffer, position)
    return position if gap is None else gap.end()
