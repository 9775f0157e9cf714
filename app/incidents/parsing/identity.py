"""What identifies incidents: ids, where a file has them, and keys (128 bits) of content.

A column whose name only suggests ids is one only if its values prove to be; see `IdColumn`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.core.messages import Message
from app.incidents.parsing.rules import ParsedBlock
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.portals import normalised_name
from app.readers.reading import ASSUMPTIONS, FEATURE_ID, Reading

GuessedIds = Literal["ids", "references", "dropped"]
_PLAIN = re.compile(r"0|[1-9]\d{0,17}")


def _mixed(state: NDArray[np.uint64], word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply one step of splitmix64's finaliser to state ^ word (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = (state ^ word) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def content_keys(block: ParsedBlock) -> NDArray[np.bytes_]:
    """Return (n,) keys of 32 hex digits of time or interval, place to 1e-7 degrees and category.

    Two lanes of 64 bits, mixed word by word, so a billion rows collide with a probability below 1e-20.
    """
    kinds = block.category if block.hashed is None else block.hashed
    names, inverse = np.unique(kinds.astype(str), return_inverse=True)
    digests = [hashlib.blake2b(n.encode(), digest_size=16).digest() for n in names]
    named = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)[inverse]
    words = (
        block.time_s.astype(np.uint64),
        np.round(block.longitude * 1e7).astype(np.int64).astype(np.uint64),
        np.round(block.latitude * 1e7).astype(np.int64).astype(np.uint64),
    )
    lasting = block.lasting()
    lanes = np.empty((len(block.row), 2), ">u8")
    for lane, seed in enumerate((0x686F74736C6F7431, 0x686F74736C6F7432)):
        state = np.full(len(block.row), seed, np.uint64)
        for word in (*words, named[:, lane]):
            state = _mixed(state, word)
        if block.end_s is not None and len(lasting):
            # Only of intervals, so that instants have the keys that they always had.
            state[lasting] = _mixed(state[lasting], block.end_s[lasting].astype(np.uint64))
        lanes[:, lane] = state
    return np.frombuffer(lanes.tobytes().hex().encode(), "S32").copy()


def id_key(external_id: str, feed: str | None) -> str:
    """Return the key of an id in its feed; without a feed it is that of earlier releases."""
    given = external_id if not feed else f"{feed}\x00{external_id}"
    return hashlib.blake2b(f"external\x00{given}".encode(), digest_size=16).hexdigest()


def id_keys(block: ParsedBlock) -> NDArray[Any] | None:
    """Return (n,) keys of 32 hex digits of the rows' ids in their feeds; None: no id, or no row has one."""
    rows = np.flatnonzero(block.external_id != np.array(None))
    if not len(rows):
        return None
    keys = np.full(len(block.row), None, object)
    feeds = block.feed
    for row in rows:
        keys[row] = id_key(block.external_id[row], None if feeds is None else feeds[row])
    return keys


def dedup_keys(block: ParsedBlock) -> NDArray[Any]:
    """Return (n,) keys of 32 hex digits; rows with equal keys are the same incident.

    With an external id, that id in its feed; otherwise the content.
    """
    keys: NDArray[Any] = content_keys(block).astype(str)
    ids = id_keys(block)
    return keys if ids is None else np.where(ids == np.array(None), keys, ids)


@dataclass
class _Numbers:
    """Whether a table's values are the numbers of its rows: all integers from 0 or 1, each once."""

    n: int = 0
    low: int = 0
    high: int = 0
    plain: bool = True

    def note(self, values: Sequence[Any]) -> None:
        if not self.plain:
            return
        texts = [str(v).strip().removesuffix(".0") for v in values if v not in (None, "")]
        if not texts:
            return
        # The first values decide for nearly all files.
        some = texts[:10]
        self.plain = all(map(_PLAIN.fullmatch, some)) and all(map(_PLAIN.fullmatch, texts))
        if self.plain:
            numbers = pd.to_numeric(pd.Series(texts)).to_numpy(np.int64)
            low, high = int(numbers.min()), int(numbers.max())
            self.low, self.high = (
                (min(self.low, low), max(self.high, high)) if self.n else (low, high)
            )
            self.n += len(texts)

    @property
    def are_row_numbers(self) -> bool:
        return self.plain and self.n > 0 and self.low in (0, 1) and self._is_whole

    @property
    def _is_whole(self) -> bool:
        return self.high - self.low + 1 == self.n


@dataclass
class IdColumn:
    """What an upload's column of ids turned out to be.

    It is declared if it is named `external_id`, or by the caller, or belongs to a known portal. A column
    with another name that suggests ids is guessed: it holds ids only if no value repeats in rows that
    differ (which the merge decides), and not if it numbers the rows or has lost digits.
    """

    mapping: ColumnMapping
    column: str | None = None
    has_feature_ids: bool = False
    n_lost: int = 0
    n_decimal: int = 0
    _tables: dict[str | None, _Numbers] = field(default_factory=dict)

    def is_declared(self, reading: Reading) -> bool:
        """Return whether a table's ids need no proof."""
        column = reading.columns.get("external_id", "")
        given = bool(self.mapping.columns.get("external_id"))
        portal = reading.preset is not None
        return given or portal or normalised_name(column) == "external_id"

    def note(self, reading: Reading, columns: Mapping[str, Sequence[Any]]) -> bool:
        """Note a block's ids; return whether they are guessed."""
        aside = any(part.name == FEATURE_ID for part in reading.not_read)
        self.has_feature_ids |= aside and "external_id" not in reading.columns
        values = columns.get("external_id")
        if values is None or self.is_declared(reading):
            return False
        self.column = self.column or reading.columns.get("external_id", "external_id")
        self._tables.setdefault(reading.file, _Numbers()).note(values)
        return True

    def note_ids(self, external_id: NDArray[Any]) -> None:
        """Count guessed ids that have lost digits or are decimals."""
        texts = pa.array(external_id, pa.string())
        self.n_lost += int(has_lost_digits(texts).sum())
        self.n_decimal += int(is_decimal(texts).sum())

    def taken_as(self) -> tuple[GuessedIds, str] | None:
        """Return what guessed ids are taken for, as far as the file alone says, and why; None: no such."""
        if self.column is None:
            return None
        if self._tables and all(table.are_row_numbers for table in self._tables.values()):
            return "dropped", "row_numbers"
        if self.n_lost:
            return "references", "ids_rounded"
        if self.n_decimal:
            return "references", "ids_decimal"
        return "ids", "ids_unique"

    def described(self, readings: Sequence[Reading], code: str | None) -> list[Reading]:
        """Return how tables were read, with what their ids were taken for.

        Args:
            code: why the merge did not take guessed ids as ids, if so.
        """
        taken = self.taken_as()
        said: list[Message] = []
        if taken is not None:
            code = code or taken[1]
            said.append(self._assumption(code))
        if self.has_feature_ids:
            said.append(ASSUMPTIONS.make("feature_ids"))
        if taken is None or code == "ids_unique":
            name = "external_id"
        else:
            name = "" if code == "row_numbers" else "reference"
        return [self._renamed(reading, name, said) for reading in readings]

    def _renamed(self, reading: Reading, name: str, said: Sequence[Message]) -> Reading:
        columns = dict(reading.columns)
        if "external_id" in columns and not self.is_declared(reading):
            column = columns.pop("external_id")
            columns |= {name: column} if name else {}
        return replace(reading, columns=columns, assumptions=(*reading.assumptions, *said))

    def _assumption(self, code: str) -> Message:
        """Describe what the guessed column was taken for."""
        params: dict[str, Any] = {"column": self.column}
        if code == "row_numbers":
            params["first"] = min(table.low for table in self._tables.values())
            params["last"] = max(table.high for table in self._tables.values())
        return ASSUMPTIONS.make(code, **params)


def has_lost_digits(ids: pa.Array) -> NDArray[np.bool_]:
    """Return which texts are in a spreadsheet's scientific notation."""
    return _matching(ids, r"^[+-]?(\d[.,]\d+[eE]\+?|\d[eE]\+)\d{1,3}$")


def is_decimal(ids: pa.Array) -> NDArray[np.bool_]:
    """Return which texts are whole numbers written as decimals, such as 12.0."""
    return _matching(ids, r"^[+-]?\d+\.0$")


def _matching(ids: pa.Array, pattern: str) -> NDArray[np.bool_]:
    found = pc.fill_null(pc.match_substring_regex(ids, pattern), False)
    result: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False).astype(bool)
    return result


def whole_ids(ids: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return declared ids without a spreadsheet's `.0`, and which of them have lost their digits."""
    texts = pa.array(ids, pa.string())
    decimal = np.flatnonzero(is_decimal(texts))
    if len(decimal):
        ids = ids.copy()
        ids[decimal] = [str(value).removesuffix(".0") for value in ids[decimal]]
    return ids, has_lost_digits(texts)
