"""Times that are refused: the rows, the reason and the advice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.readers.times.clocks import Clocks
from app.readers.times.half_converted import SLASHED
from app.readers.times.moments import Moments

NO_END_TIME = "no_end_time"
WHY = {
    "no_time": "a date without a time gives no hour of the day; send the time too, or "
    "date_only=interval to read such dates as intervals of a whole day",
    NO_END_TIME: "a date without a time is no end of an interval; send the time too, date_only=interval "
    "to read it to the end of that day, or columns=occurred_to= to read the start only",
    "clock": "no time of day; write 22:30 or 10:30 PM, or give time_format",
    "day_24": "no time of day: 24:00 may belong to this day or the next; write 00:00 of the day meant",
    "hours_from_1": "the hours of this column run from 1 to 24, so 1 may be 00:00 or 01:00; send 0 to 23, or "
    "give time_format with %H if they are right but for 24",
    "decimals": "a number with decimals is no time of day; send it as hh:mm",
    "two_clocks": "a clock of 12 hours beside a date that has a time already; give time_format, such "
    "as %Y-%m-%dT%H:%M:%S %I:%M %p",
    "format": "does not fit time_format {format}; correct the value or time_format",
    "portal": "does not fit {format}, the format of {portal}, whose columns these are; give time_format",
    "unreadable": "not an RFC 3339 date and time, nor another form that is clear without time_format; "
    "give one, such as %d/%m/%Y %H:%M",
}
"""{why a time is refused: advice}."""


@dataclass(frozen=True)
class RefusedTimes:
    """Rows (a mask) whose times are refused, each with its value."""

    rows: NDArray[np.bool_]
    code: str
    values: Sequence[Any]
    why: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TimeColumn:
    """RFC 3339 texts of a block; values that are neither read nor refused stay as written."""

    values: Sequence[Any]
    refused: tuple[RefusedTimes, ...] = ()


class Refusals:
    """Names the reasons of a table's refused times.

    Args:
        form: the format given or presumed.
        portal: the known portal whose format is presumed.
    """

    def __init__(self, form: str | None, portal: str | None) -> None:
        self.params = {"format": form} if portal is None else {"format": form, "portal": portal}
        self.why = None if form is None else "format" if portal is None else "portal"

    def of_whole(self, moments: Moments, texts: pd.Series[Any]) -> Iterator[RefusedTimes]:
        """Yield the refused rows of times in one column, the most telling reason first."""
        bad = ~moments.good
        has_day = ~np.isnat(moments.day)
        shown = texts.tolist()
        no_time = RefusedTimes(bad & moments.lacks_clock & has_day, "bad_time", shown, "no_time")
        if self.why is not None:
            yield no_time
            yield RefusedTimes(bad, "bad_time", shown, self.why, self.params)
            return
        number = texts.str.fullmatch(r"[+-]?\d+(\.\d+)?").fillna(False).to_numpy(bool)
        slashed = texts.str.match(SLASHED).fillna(False).to_numpy(bool)
        yield RefusedTimes(bad & number, "epoch_not_accepted", shown)
        yield no_time
        yield RefusedTimes(bad & slashed & ~has_day, "ambiguous_date", shown)
        yield RefusedTimes(bad & moments.hour_24, "bad_time", shown, "day_24")
        yield RefusedTimes(bad, "bad_time", shown, "unreadable")

    def of_split(
        self,
        moments: Moments,
        read: Clocks,
        two: NDArray[np.bool_],
        whole: Sequence[str | None],
        clocks: Sequence[str | None],
    ) -> Iterator[RefusedTimes]:
        """Yield the refused rows of a date beside a clock, the most telling reason first.

        Args:
            two: rows whose date has a time too.
            whole: date and clock as written.
        """
        bad = ~moments.good & np.array([text is not None for text in whole], bool)
        has_day = ~np.isnat(moments.day)
        slashed = np.array([bool(re.match(SLASHED, text or "")) for text in whole], bool)
        decimals = np.array([bool(re.search(r"\d[.,]\d", clock or "")) for clock in clocks], bool)
        if read.kind == "hours_from_1":
            yield RefusedTimes(bad & read.number, "bad_time", whole, "hours_from_1")
        yield RefusedTimes(bad & moments.hour_24, "bad_time", whole, "day_24")
        if self.why is not None:
            yield RefusedTimes(bad, "bad_time", whole, self.why, self.params)
            return
        yield RefusedTimes(bad & two, "bad_time", whole, "two_clocks")
        yield RefusedTimes(bad & moments.lacks_clock, "bad_time", whole, "no_time")
        yield RefusedTimes(bad & has_day & read.number & decimals, "bad_time", whole, "decimals")
        yield RefusedTimes(bad & read.number & (read.kind == "unclear"), "unclear_clock", clocks)
        yield RefusedTimes(bad & ~has_day & slashed, "ambiguous_date", whole)
        yield RefusedTimes(bad & has_day, "bad_time", whole, "clock")
        yield RefusedTimes(bad, "bad_time", whole, "unreadable")
