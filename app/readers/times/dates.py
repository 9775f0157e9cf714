"""Read calendar dates; whether 03/04 is in March or April is decided by the column, or not at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.readers.times.month_names import is_weekday, month_number

Order = Literal["day_first", "month_first"]
NO_DAY = np.datetime64("NaT", "D")
_SERIAL_START = np.datetime64("1899-12-30", "D")
SERIAL_RANGE = (36_526, 73_050)
"""Days since 1899-12-30 that are taken for a spreadsheet's: the years 2000 to 2099."""
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_CHARACTERS = re.compile(r"(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})\s*[日일]")
_COMPACT = re.compile(r"(19\d\d|20\d\d)(\d\d)(\d\d)")
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?")
_NUMERIC = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})")
_SHORT = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2}")
_GAP = r"[\s./,-]+"
_NAME = r"([^\W\d_]+)"
_DAY = r"(\d{1,2})(?:st|nd|rd|th|er|e|º|ª|°|o)?"
_DMY = re.compile(
    rf"{_DAY}{_GAP}(?:de{_GAP}|of{_GAP})?{_NAME}{_GAP}(?:del?{_GAP})?(\d{{4}}|\d{{2}})"
)
_MDY = re.compile(rf"{_NAME}{_GAP}{_DAY}{_GAP}(?:de{_GAP})?(\d{{4}})")
_YMD = re.compile(rf"(\d{{4}}){_GAP}{_NAME}{_GAP}(\d{{1,2}})")
_WEEKDAY = re.compile(r"([^\W\d_]+(?:-feira)?)[.,\s]+(?=\S)(.*)")


@dataclass(frozen=True)
class Dates:
    """Dates of a block's rows.

    Args:
        day: (n,) datetime64[D]; NaT where unreadable, or while the order is open.
        first, second, year: (n,) of `03/04/2026`; 0 elsewhere.
        short: (n,) whether such a date has a year of two digits.
        serial: (n,) whether it is a spreadsheet's number.
    """

    day: NDArray[np.datetime64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    year: NDArray[np.int64]
    short: NDArray[np.bool_]
    serial: NDArray[np.bool_]
    named: bool

    @property
    def open(self) -> NDArray[np.bool_]:
        """Rows whose day and month have no order."""
        found: NDArray[np.bool_] = self.year > 0
        return found

    def order(self) -> Order | None:
        """Return the order that the rows prove: a number over 12 is a day.

        >>> read_dates(["13/04/2026", "03/04/2026"]).order()
        'day_first'
        >>> [read_dates(["03/04/2026", b]).order() for b in ("5/6/2026", "13/14/2026")]
        [None, None]
        """
        first, second = (self.first > 12).any(), (self.second > 12).any()
        if first == second:
            return None
        return "day_first" if first else "month_first"

    def has_both(self) -> bool:
        """Return whether some rows prove one order and some the other."""
        return bool((self.first > 12).any() and (self.second > 12).any())

    def ordered(self, order: Order) -> NDArray[np.datetime64]:
        """Return the days with open ones read in this order."""
        day, month = (
            (self.first, self.second) if order == "day_first" else (self.second, self.first)
        )
        result = self.day.copy()
        whole = pd.DataFrame({"year": self.year, "month": month, "day": day})[self.open]
        result[self.open] = pd.to_datetime(whole, errors="coerce").to_numpy("datetime64[D]")
        return result

    def against(self, order: Order) -> NDArray[np.bool_]:
        """Return the rows that contradict an order."""
        return (self.second if order == "day_first" else self.first) > 12


def read_dates(texts: Sequence[str | None]) -> Dates:
    """Read a block's dates, each distinct text once."""
    codes, uniques = pd.factorize(np.array(texts, dtype=object))
    days = np.full(len(uniques) + 1, NO_DAY)
    parts = np.zeros((len(uniques) + 1, 3), np.int64)
    short, serial = (np.zeros(len(uniques) + 1, bool) for _ in range(2))
    named = False
    for i, text in enumerate(uniques):
        found = parse_date(text)
        if isinstance(found, tuple):
            parts[i] = found
        elif found is not None:
            days[i] = found
            serial[i] = bool(_SERIAL.fullmatch(text))
            named = named or any(c.isalpha() for c in text)
        short[i] = bool(_SHORT.fullmatch(text))
    first, second, year = parts[codes].T
    return Dates(days[codes], first, second, year, short[codes], serial[codes], named)


def parse_date(text: str) -> np.datetime64 | tuple[int, int, int] | None:
    """Return a day, or the three numbers of a date whose order is open.

    >>> [str(parse_date(t)) for t in ("05 de marzo de 2026", "Thu, 5 Mar 2026", "05-ene-26")]
    ['2026-03-05', '2026-03-05', '2026-01-05']
    >>> parse_date("03/04/2026"), parse_date("yesterday")
    ((3, 4, 2026), None)
    """
    text = unicodedata.normalize("NFKC", text).casefold().strip(" ,")
    if found := _ISO.fullmatch(text) or _COMPACT.fullmatch(text) or _CHARACTERS.fullmatch(text):
        return _day(*map(int, found.groups()))
    if found := _NUMERIC.fullmatch(text):
        first, second, year = map(int, found.groups())
        return (first, second, year)
    if _SERIAL.fullmatch(text):
        number = int(float(text))
        inside = SERIAL_RANGE[0] <= number < SERIAL_RANGE[1]
        return _SERIAL_START + np.timedelta64(number, "D") if inside else None
    return _named(text)


def _named(text: str) -> np.datetime64 | tuple[int, int, int] | None:
    for pattern, (y, m, d) in ((_DMY, (3, 2, 1)), (_MDY, (3, 1, 2)), (_YMD, (1, 2, 3))):
        found = pattern.fullmatch(text)
        month = None if found is None else month_number(found[m])
        if found is not None and month is not None:
            year = int(found[y])
            if len(found[y]) == 2:
                year += 2000 if year < 70 else 1900
            return _day(year, month, int(found[d]))
    weekday = _WEEKDAY.fullmatch(text)
    if weekday is not None and is_weekday(weekday[1]):
        return parse_date(weekday[2])
    return None


def _day(year: int, month: int, day: int) -> np.datetime64:
    try:
        return np.datetime64(date(year, month, day))
    except ValueError:
        return NO_DAY
