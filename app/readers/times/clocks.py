"""Read times of day: 24 and 12 hours, HHMM numbers, a spreadsheet's fractions of a day.

Each distinct text of a block is parsed once. What a bare number means is decided by the whole column,
never by one value: 5 may be 05:00 or 00:05.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAY_S = 86_400
NumberKind = Literal["hours", "hours_from_1", "hhmm", "hhmmss", "fraction", "unclear"]
FORMAT_KINDS: dict[str, NumberKind] = {"%H": "hours", "%H%M": "hhmm", "%H%M%S": "hhmmss"}
"""{clock's format: what it says of numbers}."""
_MORNING = frozenset(
    "a am vorm vormittags 上午 午前 오전 πμ öö sa delamañana delamadrugada damanhã dumatin".split()  # noqa: SIM905
)
_EVENING = frozenset(
    "p pm nachm nachmittags abends 下午 午後 오후 μμ ös ch delatarde delanoche datarde danoite dusoir".split()  # noqa: SIM905
)
_NOON = frozenset(("m", "noon", "mediodía", "midi"))
_UNITS = frozenset(("h", "hs", "hr", "hrs", "uhr", "uur", "hours", "horas", "heures", "ore", "kl"))
_UNIT = r"(?:hrs|hr|hs|hours|horas|heures|uhr|uur|ore|h|時|时|點|点|시)"
TIME_WORDS = _MORNING | _EVENING | _NOON | _UNITS
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(.*)")
_WITH_UNIT = re.compile(rf"(\d{{1,2}})\s*{_UNIT}\.?\s*(?:(\d{{2}})\s*(?:m|min|mn|分|분)?\.?)?()()")
_UNIT_AFTER = re.compile(rf"(\d{{1,2}})\.(\d{{2}})()\s*({_UNIT})\.?")
_MILITARY = re.compile(rf"(\d{{2}})(\d{{2}})()\s*({_UNIT})\.?")
_HOUR_MARK = re.compile(r"(\d{1,2})()()\s*([^\d\s:].*)")
_OFFSET = re.compile(r"(?:gmt|utc)?\s*([+-])(\d{2}):?(\d{2})?|z|gmt|utc")
_LEADING_MARK = re.compile(r"(上午|下午|午前|午後|오전|오후)\s*(.+)")
_PLACEHOLDER_DAY = re.compile(r"(?:1899-12-3[01]|1900-01-0[01]|1970-01-01|0?001-01-01)[t ]+(.+)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_TOLERATED = 0.01


def hours_text(duration: timedelta) -> str:
    """Write a duration as hours, minutes and seconds.

    >>> hours_text(timedelta(hours=26, minutes=30))
    '26:30:00'
    """
    seconds = round(duration.total_seconds())
    sign = "-" if seconds < 0 else ""
    hours, rest = divmod(abs(seconds), 3600)
    return f"{sign}{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"


@dataclass(frozen=True)
class Clocks:
    """Times of day of a block's rows.

    Args:
        seconds: (n,) of the day; NaN where unreadable.
        offset: (n,) `+05:00`, or empty.
        twelve: (n,) whether the clock has twelve hours.
        number: (n,) whether the value is a bare number.
    """

    seconds: NDArray[np.float64]
    offset: NDArray[Any]
    twelve: NDArray[np.bool_]
    number: NDArray[np.bool_]
    kind: NumberKind | None


def clock_texts(values: Sequence[Any]) -> list[str | None]:
    """Return values as texts, without blanks around or a spreadsheet's trailing `.0`."""
    return [v.strip().removesuffix(".0") or None if type(v) is str else _written(v) for v in values]


def _written(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None or value != value:
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value) if isinstance(value, int) else "?"


def read_clocks(
    texts: Sequence[str | None], known: NumberKind | None, *, are_hours: bool
) -> Clocks:
    """Read a block's times of day.

    Args:
        texts: see `clock_texts`.
        known: what numbers of this column mean, if earlier rows or a format decided it.
        are_hours: whether the column's name says that it holds hours.
    """
    codes, uniques = pd.factorize(np.array(texts, dtype=object))
    parsed = [parse_clock(text) for text in uniques]
    is_number = np.array([bool(_NUMBER.fullmatch(text)) for text in uniques], bool)
    kind = known
    if kind is None and is_number.any():
        counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
        numbers = [uniques[i] for i in np.flatnonzero(is_number)]
        kind = number_kind(numbers, counts[is_number], are_hours=are_hours)
    seconds = np.full(len(uniques) + 1, np.nan)
    offset = np.full(len(uniques) + 1, "", dtype=object)
    for i, (text, found) in enumerate(zip(uniques, parsed, strict=True)):
        if is_number[i]:
            seconds[i] = _number_seconds(text, kind)
        elif found is not None:
            seconds[i], offset[i] = found
    twelve = np.array([*(_is_twelve(text) for text in uniques), False], bool)
    numeric = np.append(is_number, False)
    return Clocks(seconds[codes], offset[codes], twelve[codes], numeric[codes], kind)


def parse_clock(text: str) -> tuple[int, str] | None:
    """Return seconds of the day and offset (or empty) of a text that is no bare number.

    >>> [parse_clock(text) for text in ("22:30", "10:15 p. m.", "22h30", "12:05 AM", "24:00", "9")]
    [(81000, ''), (80100, ''), (81000, ''), (300, ''), None, None]
    """
    text = unicodedata.normalize("NFKC", text).casefold().strip()
    if marked := _LEADING_MARK.fullmatch(text):
        text = f"{marked[2]} {marked[1]}"
    if placed := _PLACEHOLDER_DAY.fullmatch(text):
        text = placed[1]
    for pattern in (_CLOCK, _WITH_UNIT, _UNIT_AFTER, _MILITARY, _HOUR_MARK):
        if found := pattern.fullmatch(text):
            hour, minute, second, tail = found.groups()
            tail = tail or ""
            if second is None and tail.startswith("-"):
                return None  # 22:00-02:00 is more likely a range than an offset
            return _seconds(int(hour), int(minute or 0), int(second or 0), tail)
    return None


def _seconds(hour: int, minute: int, second: int, tail: str) -> tuple[int, str] | None:
    mark, offset = re.sub(r"[.\s]", "", tail), ""
    if mark in _MORNING or mark in _EVENING:
        if not (1 <= hour <= 12 or (hour == 0 and mark in _MORNING)):
            return None
        hour = hour % 12 + 12 * (mark in _EVENING)
    elif mark in _NOON:
        if hour != 12:
            return None
    elif mark and mark not in _UNITS:
        zone = _OFFSET.fullmatch(tail.strip())
        if zone is None:
            return None
        sign, hours, minutes = zone.groups()
        if sign and int(hours) > 14:
            return None
        offset = f"{sign}{hours}:{minutes or '00'}" if sign else "Z"
    if hour > 23 or minute > 59 or second > 59:
        return None
    return hour * 3600 + minute * 60 + second, offset


def _is_twelve(text: str) -> bool:
    words = re.sub(r"[\d:.\s]", "", unicodedata.normalize("NFKC", text).casefold())
    return words in _MORNING or words in _EVENING


def number_kind(texts: Sequence[str], counts: NDArray[np.int64], *, are_hours: bool) -> NumberKind:
    """Return what a column's bare numbers prove to be.

    Args:
        texts, counts: the distinct numbers and how many rows have each.

    >>> few = np.ones(4, int)
    >>> [number_kind(["5", "45", "930", b], few, are_hours=False) for b in ("2130", "2400", "975")]
    ['hhmm', 'hhmm', 'unclear']
    >>> [number_kind(["5", "7", "9", "23"], few, are_hours=named) for named in (True, False)]
    ['hours', 'unclear']
    >>> [number_kind(["1", "2", b, "24"], few, are_hours=True) for b in ("3", "0")]
    ['hours_from_1', 'hours']
    """
    numbers = np.array([float(text.replace(",", ".")) for text in texts])
    share = counts / counts.sum()
    whole = numbers % 1 == 0
    if not whole.all():
        is_fraction = (numbers < 1).all() and (not are_hours or len(numbers) > 2)
        if is_fraction:
            return "fraction"
        if not are_hours:
            return "unclear"
    if _is_hhmm(numbers, share, texts, least_over=0.5 if are_hours else 0.2):
        return "hhmm"
    is_hhmmss = (numbers % 100 < 60) & (numbers // 100 % 100 < 60) & (numbers <= 240_000)
    if share[is_hhmmss & whole].sum() >= 1 - _TOLERATED and share[numbers > 2400].sum() >= 0.5:
        return "hhmmss"
    padded = all(len(text) == 2 for text in texts) and any(text[0] == "0" for text in texts)
    if are_hours or (padded and (numbers <= 24).all()):
        from_1 = {1.0, 24.0} <= set(numbers) and 0.0 not in numbers
        return "hours_from_1" if from_1 else "hours"
    return "unclear"


def _is_hhmm(
    numbers: NDArray[np.float64],
    share: NDArray[np.float64],
    texts: Sequence[str],
    least_over: float,
) -> bool:
    """Return whether numbers are HHMM: some are no hours, and (nearly) all are valid."""
    valid = (numbers % 100 < 60) & (numbers <= 2400) & (numbers % 1 == 0)
    if share[~valid].sum() > _TOLERATED:
        return False
    padded = all(len(text) == 4 for text in texts) and any(text[0] == "0" for text in texts)
    return padded or float(share[numbers > 24].sum()) >= least_over


def _number_seconds(text: str, kind: NumberKind | None) -> float:
    """Return the second of the day of a number, or NaN."""
    number = float(text.replace(",", "."))
    if kind == "fraction":
        return _fraction_seconds(number) if number < 1 else np.nan
    if number % 1 or kind in (None, "unclear", "hours_from_1"):
        return np.nan
    whole = int(number)
    if kind == "hours":
        parts = (whole, 0, 0) if len(text) <= 2 else (24, 0, 0)
    elif kind == "hhmm":
        parts = (whole // 100, whole % 100, 0)
    else:
        parts = (whole // 10_000, whole // 100 % 100, whole % 100)
    hour, minute, second = parts
    return hour * 3600 + minute * 60 + second if hour < 24 and max(minute, second) < 60 else np.nan


def _fraction_seconds(number: float) -> float:
    """Return the second of a fraction of a day; one rounded too far to have a minute has none."""
    minutes = number * 1440
    if abs(minutes - round(minutes)) <= 0.1:
        seconds = 60 * round(minutes)
    elif abs(number * 1e4 - round(number * 1e4)) > 1e-6:
        seconds = round(number * DAY_S)
    else:
        return np.nan
    return seconds if seconds < DAY_S else np.nan
