"""Turn a table's time columns into RFC 3339 texts.

What the first rows prove of a column (the order of day and month, what bare numbers are) holds for the
whole table; a later row that contradicts it refuses the table, since earlier rows were read wrongly then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.readers.columns.fields import TIME_PARTS
from app.readers.columns.plan import ColumnPlan
from app.readers.columns.portals import PORTALS
from app.readers.reading import Assumed
from app.readers.times.clock_column import ClockColumn
from app.readers.times.clocks import clock_texts, read_clocks
from app.readers.times.dates import NO_DAY, SERIAL_RANGE, read_dates
from app.readers.times.day_order import DayOrder
from app.readers.times.formats import TimeFormat, parsed_by
from app.readers.times.half_converted import HalfConversions
from app.readers.times.midnights import Midnights
from app.readers.times.moments import (
    OFFSET,
    Moments,
    arrow_texts,
    clean_texts,
    hour_24,
    mask_of,
    serial_moments,
    split_texts,
    without_offsets,
    without_same_day,
)
from app.readers.times.month_names import month_number
from app.readers.times.refused import Refusals, RefusedTimes, TimeColumn
from app.readers.times.utc_days import DayRule

Raw = Mapping[str, Sequence[Any]]
TIME_PATTERN = (
    r"^(?P<base>\d{4}-\d{2}-\d{2}[Tt ](?:[01]\d|2[0-3]):\d{2}(?::\d{2}(?:\.\d{1,9})?)?)"
    r"(?P<offset>[Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$"
)
_ENDING_UTC = r"(?:[Zz]|[+-]00:?(?:00)?)\s*$"
_SERIAL = r"^\d{5}(?:\.\d+)?$"


class TimeReader:
    """Reads the times of one table, block by block.

    Args:
        timezone: the region's.
        beside: the reader of another time in the same rows; what it proves of days holds here too.
        columns: {part: column of the file}, if not those of the plan.
        date_only: return a date without a time as `YYYY-MM-DD`.
    """

    def __init__(
        self,
        plan: ColumnPlan,
        timezone: str,
        *,
        beside: TimeReader | None = None,
        columns: Mapping[str, str] | None = None,
        date_only: bool = False,
    ) -> None:
        self.zone = plan.reading.zone
        self.columns = plan.reading.columns if columns is None else columns
        self.date_only = date_only
        self.format = None if plan.time_format is None else TimeFormat(plan.time_format)
        portal = next((p for p in PORTALS if p.name == plan.portal), None)
        self.presumed = portal is not None and portal.time_format == plan.time_format
        self.assumed: Assumed = Assumed() if beside is None else beside.assumed
        self.order: DayOrder = (
            DayOrder(self.format, self.assumed) if beside is None else beside.order
        )
        self.clock = ClockColumn(self.columns, self.format, self.assumed, presumed=self.presumed)
        self.days = DayRule(timezone, self.zone)
        self.halves = HalfConversions()
        self.refusals = Refusals(plan.time_format, plan.portal if self.presumed else None)
        self.midnights = Midnights(timezone, self.assumed)
        self.is_serial: bool | None = None
        self.states_utc: bool | None = None

    def read(self, columns: Raw) -> TimeColumn | None:
        """Return a block's times, or None if it has no column of times.

        Raises:
            InvalidInput, Conflict: rows of this block contradict what earlier ones proved.
        """
        found = self._read(columns)
        return found if found is None or not self.date_only else self.midnights.applied(found)

    def _read(self, columns: Raw) -> TimeColumn | None:
        if "occurred_at" in columns:
            return self._whole(columns["occurred_at"])
        if "date" in columns:
            clock = columns.get("time", columns.get("hour"))
            if clock is None:
                return self._whole(columns["date"])
            return self._split(columns["date"], clock, "time" if "time" in columns else "hour")
        needed = {"year", "month", "day"} | (set() if self.date_only else {"hour"})
        if needed <= columns.keys():
            return self._numbered(columns)
        return None

    def _whole(self, values: Sequence[Any]) -> TimeColumn:
        form = self.format
        if form is not None and not form.clock and not self.date_only:
            form = None
        if form is None and (column := self._as_given(values)) is not None:
            return column
        texts = pd.Series(clean_texts(clock_texts(values)), dtype=object)
        number = np.array([isinstance(v, int | float) for v in values], bool)
        if number.any() and not (number.all() and self._are_serials(texts.dropna())):
            texts[number] = None
        self.halves.note(texts)
        if self.states_utc is None:
            self.states_utc = bool(texts.str.contains(_ENDING_UTC).fillna(True).all())
        result = pd.Series(list(values), dtype=object)
        is_read = np.zeros(len(texts), bool)
        if form is not None:
            by_format = parsed_by(texts, form)
            is_read = by_format.notna().to_numpy()
            result[is_read] = by_format[is_read] if form.clock else by_format[is_read].str[:10]
        allows_others = form is None or form.allows_others
        if allows_others:
            rfc = texts.str.match(TIME_PATTERN).fillna(False).to_numpy(bool) & ~is_read
            result[rfc] = texts[rfc]
            is_read = is_read | rfc
        todo = np.flatnonzero(texts.notna().to_numpy() & ~is_read)
        moments = self._general(texts.iloc[todo]) if allows_others else Moments.none(len(todo))
        result.iloc[todo[moments.good]] = moments.texts()[moments.good]
        moments = self._with_days(result, moments, todo)
        refused = [
            RefusedTimes(
                mask_of(len(texts), todo[one.rows]), one.code, texts.tolist(), one.why, one.params
            )
            for one in self.refusals.of_whole(moments, texts.iloc[todo])
        ]
        return self._column(result, refused)

    def _as_given(self, values: Sequence[Any]) -> TimeColumn | None:
        """Return a column if all its texts are RFC 3339 already: then nothing is parsed."""
        given = arrow_texts(values)
        if given is None:
            return None
        matched = pc.match_substring_regex(given, TIME_PATTERN)
        if pc.all(pc.or_kleene(matched, pc.equal(given, ""))).as_py() is False:
            return None
        if self.states_utc is None:
            self.states_utc = pc.all(pc.match_substring_regex(given, _ENDING_UTC)).as_py()
        if not self.halves.is_clear:
            self.halves.note(pd.Series(given.to_pylist(), dtype=object))
        return TimeColumn(without_offsets(given) if self.zone == "local" else values)

    def _with_days(self, result: pd.Series[Any], moments: Moments, rows: Any) -> Moments:
        """Put dates without a time into the result where they are accepted; return what then is good."""
        days = moments.lacks_clock & ~np.isnat(moments.day) & ~moments.good
        if not self.date_only or not days.any():
            return moments
        result.iloc[rows[days]] = np.datetime_as_string(moments.day[days])
        return replace(moments, seconds=np.where(days, 0.0, moments.seconds))

    def _column(self, result: pd.Series[Any], refused: Iterable[RefusedTimes]) -> TimeColumn:
        values = result.tolist()
        if self.zone == "local":
            values = [re.sub(OFFSET, "", v) if isinstance(v, str) else v for v in values]
        return TimeColumn(values, tuple(one for one in refused if one.rows.any()))

    def _general(self, texts: pd.Series[Any]) -> Moments:
        """Read times without a format: date and clock apart, each distinct one once."""
        if texts.empty:
            return Moments.none(0)
        if self._are_serials(texts):
            return serial_moments(texts)
        dates, clocks = split_texts(texts)
        clock = read_clocks(clocks, "unclear", are_hours=False)
        return Moments(
            self.order.days(read_dates(dates), dates),
            clock.seconds,
            clock.offset,
            np.array([c is None for c in clocks], bool),
            hour_24(clocks),
        )

    def _are_serials(self, texts: pd.Series[Any]) -> bool:
        """Return whether a column is a spreadsheet's days since 1899-12-30 with a time of day."""
        if self.is_serial is None:
            numbers = texts.str.fullmatch(_SERIAL).fillna(False).to_numpy(bool)
            self.is_serial = False
            if numbers.all() and self.format is None and len(texts) > 1:
                days = texts.astype(float)
                minutes = days * 1440
                whole = ((minutes - minutes.round()).abs() < 0.1).mean() > 0.9
                self.is_serial = bool(
                    days.between(*SERIAL_RANGE).all() and whole and (days % 1 != 0).any()
                )
            if self.is_serial:
                self.assumed.add("serial_times", value=texts.iloc[0])
        return self.is_serial

    def _split(self, dates: Sequence[Any], beside: Sequence[Any], part: str) -> TimeColumn:
        given = pd.Series(clean_texts(clock_texts(dates)), dtype=object)
        clocks = clean_texts(clock_texts(beside))
        whole = [" ".join(filter(None, pair)) or None for pair in zip(given, clocks, strict=True)]
        self.halves.note(given)
        clocks = without_same_day(given.tolist(), clocks)
        read = self.clock.read(clocks, part)
        day, has_time = self._beside_days(given, read.seconds)
        two = has_time & read.twelve & (self.format is None)
        moments = Moments(
            day,
            np.where(two, np.nan, read.seconds),
            read.offset,
            np.array([c is None for c in clocks], bool),
            hour_24(clocks),
        )
        result = pd.Series([None] * len(given), dtype=object)
        result[moments.good] = moments.texts()[moments.good]
        moments = self._with_days(result, moments, np.arange(len(given)))
        return self._column(result, self.refusals.of_split(moments, read, two, whole, clocks))

    def _beside_days(
        self, given: pd.Series[Any], seconds: NDArray[np.float64]
    ) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
        """Return the days of dates beside clocks, and whether a date has a time of its own."""
        day, has_time = np.full(len(given), NO_DAY), np.zeros(len(given), bool)
        if self.format is not None and self.format.date:
            words = self.format.date_words(given)
            found = parsed_by(words, TimeFormat(self.format.date, is_part=True))
            moments = pd.to_datetime(found.str[:19], errors="coerce", format="ISO8601")
            day = moments.to_numpy().astype("datetime64[D]")
        todo = np.isnat(day) & given.notna().to_numpy()
        if not todo.any() or not (self.format is None or self.format.allows_others):
            return day, has_time
        dates, clocks = split_texts(given[todo])
        days = self.order.days(read_dates(dates), dates)
        own = read_clocks(clocks, "unclear", are_hours=False)
        has_time[todo] = [c is not None for c in clocks]
        days = np.where(has_time[todo] & np.isnan(own.seconds), NO_DAY, days)
        day[todo], rule = self.days.applied(days, own, seconds[todo])
        if rule:
            column = self.columns.get("date", "date")
            self.assumed.add(rule, column=column, value=dates[int(np.argmax(own.offset != ""))])
        return day, has_time

    def _numbered(self, columns: Raw) -> TimeColumn:
        months = [month_number(v) or v if isinstance(v, str) else v for v in columns["month"]]
        parts = {"year": columns["year"], "month": months, "day": columns["day"]}
        frame = pd.DataFrame({name: _numbers(values) for name, values in parts.items()})
        frame = frame.where((frame % 1 == 0).all(axis=1) & frame["year"].between(1900, 2100))
        day = pd.to_datetime(frame, errors="coerce").to_numpy("datetime64[D]")
        hours = columns.get("hour", [None] * len(day))
        clocks = clean_texts(clock_texts(hours))
        read = self.clock.read(clocks, "hour")
        if "minute" in columns:
            minute = _numbers([0 if v in (None, "") else v for v in columns["minute"]])
            valid = minute.between(0, 59) & (minute % 1 == 0) & (read.seconds % 3600 == 0)
            read.seconds[:] = np.where(valid, read.seconds + 60 * minute, np.nan)
        given = [columns[name] for name in TIME_PARTS if name in columns]
        written = pd.Series(
            [" ".join(map(str, row)) for row in zip(*given, strict=True)], dtype=object
        )
        lacks_clock = np.array([c is None for c in clocks], bool)
        moments = Moments(day, read.seconds, read.offset, lacks_clock, hour_24(clocks))
        result = written.where(~moments.good, pd.Series(moments.texts(), dtype=object))
        moments = self._with_days(result, moments, np.arange(len(day)))
        shown = written.tolist()
        from_1 = read.number & (read.kind == "hours_from_1")
        refused = (
            RefusedTimes(~moments.good & from_1, "bad_time", shown, "hours_from_1"),
            RefusedTimes(~moments.good & moments.hour_24, "bad_time", shown, "day_24"),
            RefusedTimes(~moments.good, "bad_time", shown, "unreadable"),
        )
        return self._column(result, refused)


def _numbers(values: Sequence[Any]) -> pd.Series[Any]:
    return pd.to_numeric(pd.Series(list(values), dtype=object), errors="coerce")
