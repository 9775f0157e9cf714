"""Times in a `strptime` format, with names of months and marks of halves of the day in any language."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.readers.times.clocks import FORMAT_KINDS, NumberKind
from app.readers.times.dates import Order
from app.readers.times.month_names import in_english, is_weekday

MAX_OFFSETS = 60
"""Offsets from UTC of one block; in use are under 40."""
_OFFSET = r"^(?:.*([+-]\d{2}:?\d{2})|.*\b([A-Za-z]{1,5})\b)"
_CLOCK_START = re.compile(r"%[HIkTRXc]")
_MARK = re.compile(r"\b([ap])\.?\s?m\b\.?", re.IGNORECASE)
_WEEKDAY = re.compile(r"%[aA][.,]?\s*")
_FIRST_WORD = re.compile(r"([^\W\d_]+)[.,]*\s*")


class TimeFormat:
    """A format, and its parts where date and clock are in two columns.

    Args:
        is_part: of a date alone or a clock alone.

    Raises:
        InvalidInput: it cannot be used, or has hours up to 12 without %p.
    """

    def __init__(self, text: str, *, is_part: bool = False) -> None:
        self.text = text
        if not is_part:
            check_format(text)

    @property
    def date(self) -> str:
        """The part of the date."""
        start = _CLOCK_START.search(self.text)
        return self.text[: start.start()].rstrip(" ,T") if start else self.text.strip()

    @property
    def clock(self) -> str:
        """The part of the clock; empty if it has none."""
        start = _CLOCK_START.search(self.text)
        return self.text[start.start() :].strip() if start else ""

    @property
    def order(self) -> Order | None:
        """Order of day and month that a format without a clock states."""
        if self.clock:
            return None
        day, month = self.text.find("%d"), self.text.find("%m")
        return None if min(day, month) < 0 else "day_first" if day < month else "month_first"

    @property
    def number_kind(self) -> NumberKind | None:
        """What the format says of a clock of digits only."""
        return FORMAT_KINDS.get(self.clock)

    @property
    def allows_others(self) -> bool:
        """Whether ISO dates are clear beside it: not if it puts year, day, month in this order."""
        return not re.match(r"%[Yy].*%d.*%[mbB]", self.text)

    def date_words(self, dates: pd.Series[Any]) -> pd.Series[Any]:
        """Return as many words of each date as the date's format has."""
        n = max(len(self.date.split()), 1)
        return dates.str.extract(rf"^\s*(\S+(?:\s+\S+){{{n - 1}}})")[0]


def check_format(text: str) -> None:
    """Raise unless a format can be used, and says which half of the day it means.

    Raises:
        InvalidInput: it has an unknown directive, hours up to 12 without %p, or days without a year.
    """
    if "%d" in text and not re.search("%[yYGcx]", text):
        raise InvalidInput(
            f"time_format {text} has a day without a year: add %Y, or %y", field="time_format"
        )
    if "%I" in text and "%p" not in text:
        raise InvalidInput(
            f"time_format {text} has %I without %p: morning or evening? Add %p, or use %H",
            field="time_format",
        )
    _read(pd.Series(["0"], dtype=object), text)


def parsed_by(texts: pd.Series[Any], form: TimeFormat) -> pd.Series[Any]:
    """Return RFC 3339 texts, with None where a text does not fit the format.

    Raises:
        InvalidInput: the format is none, or the texts have many different offsets.
    """
    moments = _read(texts, form.text)
    left = moments.isna() & texts.notna()
    if left.any() and re.search("%[bBpaA]", form.text):
        plain = _WEEKDAY.sub("", form.text)
        changed = texts[left].map(lambda text: _english(text, form.text))
        again = _read(changed, plain)
        moments = moments.where(~left, again.reindex(moments.index))
    return moments


def _read(texts: pd.Series[Any], form: str) -> pd.Series[Any]:
    """Return RFC 3339 texts; those of each offset are read apart, as pandas reads one in a column."""
    try:
        if not re.search("%[zZ]", form):
            return _iso(pd.to_datetime(texts, format=form, errors="coerce"))
        found = texts.astype(object).str.extract(_OFFSET)
        offsets = found[0].fillna(found[1]).fillna("")
        if offsets.nunique() > MAX_OFFSETS:
            raise InvalidInput(
                f"the times have over {MAX_OFFSETS} different offsets: is time_format right?",
                field="time_format",
            )
        read = [
            _iso(pd.to_datetime(group, format=form, errors="coerce"))
            for _, group in texts.groupby(offsets, sort=False)
        ]
    except (ValueError, re.error) as error:
        raise InvalidInput(
            f"time_format {form} cannot be used: {shortened(str(error))}", field="time_format"
        ) from error
    return pd.concat(read).reindex(texts.index) if read else texts


def _english(text: str, form: str) -> str:
    if _WEEKDAY.search(form):
        first = _FIRST_WORD.match(text)
        if first and is_weekday(first[1]):
            text = text[first.end() :]
    if "%b" in form or "%B" in form:
        text = in_english(text, full="%B" in form)
    return _MARK.sub(r"\1m", text)


def _iso(moments: pd.Series[Any]) -> pd.Series[Any]:
    """Format moments as RFC 3339, with None where there is no moment."""
    aware = getattr(moments.dt, "tz", None) is not None
    text: pd.Series[Any] = moments.dt.strftime("%Y-%m-%dT%H:%M:%S" + ("%z" if aware else ""))
    return text.astype(object).where(moments.notna(), None)
