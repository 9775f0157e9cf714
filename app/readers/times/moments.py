"""Days and clocks of rows, and texts split into both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.readers.times.dates import NO_DAY, SERIAL_RANGE

OFFSET = r"(?:[Zz]|[+-]\d{2}:?\d{2})\s*$"
_SPLIT = (
    r"^\s*(?P<date>\S(?:.*?[^\s,])??)(?:[Tt]|[\s,]+(?:(?:at|à|a las?|às|um|om|alle|kl\.?)\s+)?)"
    r"(?P<clock>(?:(?:上午|下午|午前|午後|오전|오후)\s*)?\d{1,2}"
    r"(?::\d{2}|\.\d{2}\s*[hHuU]|\s*[hH]|\s*[uU]hr|\s*[時时點点시]|\s*[aApP]\.?\s?[mM]\b).*)$"
)
_COMPACT = (
    r"^\s*((?:19|20)\d\d)(\d\d)(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d))?|(\d\d)(\d\d)(\d\d))(\D.*)?$"
)


@dataclass(frozen=True)
class Moments:
    """Days and clocks of rows; `good` ones have both."""

    day: NDArray[np.datetime64]
    seconds: NDArray[np.float64]
    offset: NDArray[Any]
    lacks_clock: NDArray[np.bool_]
    hour_24: NDArray[np.bool_]

    @classmethod
    def none(cls, n: int) -> Moments:
        return cls(
            np.full(n, NO_DAY),
            np.full(n, np.nan),
            np.full(n, "", dtype=object),
            np.zeros(n, bool),
            np.zeros(n, bool),
        )

    @property
    def good(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = ~np.isnat(self.day) & np.isfinite(self.seconds)
        return found

    def texts(self) -> NDArray[Any]:
        """RFC 3339 texts of the good rows, anything for the others."""
        seconds = np.where(self.good, self.seconds, 0).astype("timedelta64[s]")
        moments = self.day.astype("datetime64[s]") + seconds
        found: NDArray[Any] = np.datetime_as_string(moments).astype(object) + self.offset
        return found


def serial_moments(texts: pd.Series[Any]) -> Moments:
    """Read a spreadsheet's days since 1899-12-30, to the minute."""
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
    inside = (numbers >= SERIAL_RANGE[0]) & (numbers < SERIAL_RANGE[1])
    seconds = np.where(inside, np.round(numbers * 1440, 1).round() * 60, np.nan)
    day = np.where(inside, np.floor(seconds / 86_400), 0).astype("timedelta64[D]")
    days = np.where(inside, np.datetime64("1899-12-30", "D") + day, NO_DAY)
    n = len(texts)
    none = np.zeros(n, bool)
    return Moments(days, seconds % 86_400, np.full(n, "", dtype=object), none, none)


def arrow_texts(values: Sequence[Any]) -> pa.Array | None:
    """Return texts as an Arrow array, or None if some value is no valid text."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, TypeError, UnicodeError):
        return None


def clean_texts(texts: Sequence[str | None]) -> list[str | None]:
    """Replace lone surrogates, which Arrow cannot hold."""
    return [t if t is None or t.isascii() else t.encode("utf-8", "replace").decode() for t in texts]


def without_offsets(given: pa.Array) -> list[Any]:
    """Return RFC 3339 texts without their offsets."""
    result: list[Any] = pc.replace_substring_regex(given, OFFSET, "").to_pylist()
    return result


def split_texts(texts: pd.Series[Any]) -> tuple[list[Any], list[Any]]:
    """Return dates and clocks; a text without a clock is all date."""
    given = pc.utf8_trim_whitespace(pa.array(texts.tolist(), pa.string()))
    given = pc.replace_substring_regex(given, _COMPACT, r"\1-\2-\3 \4\7:\5\8:\6\9")
    given = pc.replace_substring_regex(given, r"(\d:\d\d):$", r"\1")
    found = pc.extract_regex(given, _SPLIT)
    is_split = pc.is_valid(found)
    dates = pc.if_else(is_split, pc.struct_field(found, "date"), given).to_pylist()
    clocks = pc.if_else(is_split, pc.struct_field(found, "clock"), None).to_pylist()
    return dates, clocks


def without_same_day(dates: Sequence[Any], clocks: Sequence[Any]) -> list[Any]:
    """Reduce `2026-03-05T22:30` beside the date `2026-03-05` to its time."""
    if not any(c is not None and len(c) > 15 and c[4] == "-" for c in clocks):
        return list(clocks)
    return [
        c[11:] if c is not None and d is not None and len(c) > 15 and c[:10] == d[:10] else c
        for d, c in zip(dates, clocks, strict=True)
    ]


def hour_24(clocks: Sequence[Any]) -> NDArray[np.bool_]:
    """Return which clocks say 24:00."""
    pattern = re.compile(r"24(?:[:h.]?00)*(?:\.0+)?\s*(?:h|hs|hrs|uhr)?", re.IGNORECASE)
    return np.array([c is not None and bool(pattern.fullmatch(c)) for c in clocks], bool)


def mask_of(n: int, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask (n,) that is true at these places."""
    mask = np.zeros(n, bool)
    mask[places] = True
    return mask
