"""Reasons for rejecting rows, and the rows of a block that are rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.messages import Message, MessageTable
from app.readers.times.refused import NO_END_TIME, WHY, RefusedTimes
from app.readers.times.shown import shown_time

VALUES_SHOWN = 1_000
"""Rejected rows of a block that are given a message of their own; more are not echoed."""


ROW_MESSAGES = MessageTable(
    {
        "missing": "{field} is required",
        "epoch_not_accepted": "{value} is a bare number, not a time; send RFC 3339",
        "ambiguous_date": "{value}: day and month are ambiguous; give time_format, such as "
        "%m/%d/%Y %H:%M or %d/%m/%Y %H:%M",
        "bad_time": "{value}: {advice}",
        "unclear_clock": "{value} may be an hour or hours and minutes (5 is 05:00 or 00:05); give "
        "time_format: the date's format and %H for hours, such as %Y-%m-%d %H, or %H%M for hours and "
        "minutes, such as %Y-%m-%d %H%M",
        "too_old": "{value} is before 1970: a placeholder date",
        "in_the_future": "{value} is more than a day in the future",
        "ends_before_start": "{value} is before the start of the interval; correct one of them, or send "
        "columns=occurred_to= to read the start only",
        "interval_too_long": "{value} is more than {days} days after the start, which says too little of the "
        "hour; correct it, or send columns=occurred_to= to read the start only",
        "two_times": "occurred_from is {value}, and occurred_at another time; send occurred_at for an "
        "instant, or occurred_from and occurred_to for an interval",
        "not_a_number": "{field} is not a finite number",
        "not_degrees": "looks like metres; give crs, or degrees (WGS 84)",
        "looks_swapped": "longitude and latitude look swapped",
        "out_of_range": "not on the globe, or too far from the region to be projected",
        "zero": "0/0 is not a place",
        "outside_study_area": "over 1 km outside the study area",
        "unknown_source": "source must be reported or discovered; if the column means something "
        "else, say columns=source=",
        "bad_text": "{field} is not text, holds control characters, or is longer than {limit} "
        "characters",
        "unreadable_row": "{reason}",
        "no_place": "{reason}",
        "bad_count": "count must be a whole number within 1..{limit}, got {value}",
        "too_many_categories": "the region has {limit} categories, the most it may have; send a "
        "coarser column as category",
        "id_in_scientific_notation": "external_id {value} is in scientific notation, so its last "
        "digits are lost; format the column as text and export the file again, or send "
        "columns=external_id= to store the rows without ids",
        "id_conflict": "external_id {id} is stored as another incident{stored}; send feed=NAME if "
        "someone else numbers these incidents, or on_conflict=replace if this is a correction",
        "too_many_equal_rows": "{limit} earlier rows have the same time, place and category; send "
        "ids as external_id",
    }
)


@dataclass
class RowErrors:
    """The rejected rows of a block, each with the first reason found.

    `implausible_years` counts the years of rows rejected as too old or in the future.
    """

    n: int
    bad: NDArray[np.bool_] = field(init=False)
    reasons: dict[int, tuple[str, Message]] = field(default_factory=dict)
    """{row: field and message}."""
    longitude: NDArray[np.float64] = field(init=False)
    latitude: NDArray[np.float64] = field(init=False)
    """As written, of rejected rows too; 0 where there is no number."""
    implausible_years: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.bad = np.zeros(self.n, np.bool_)
        self.longitude = self.latitude = np.zeros(self.n)

    def add(
        self,
        rows: NDArray[np.bool_],
        column: str,
        code: str,
        values: Sequence[Any] | pd.Series[Any] | None = None,
        **params: Any,
    ) -> None:
        """Reject these rows (a mask) unless they are rejected already.

        Args:
            values: of the column, for a message with `{value}`.
        """
        new = rows & ~self.bad
        if not new.any():
            return
        self.bad |= new
        if values is not None:
            self._add_with_values(np.flatnonzero(new), column, code, values, params)
            return
        reason = (column, ROW_MESSAGES.make(code, **params))
        self.reasons.update(dict.fromkeys(np.flatnonzero(new).tolist(), reason))

    def _add_with_values(
        self,
        places: NDArray[np.int64],
        column: str,
        code: str,
        values: Sequence[Any] | pd.Series[Any],
        params: dict[str, Any],
    ) -> None:
        shown = np.asarray(values, dtype=object)
        reason = (column, ROW_MESSAGES.make(code, value="", **params))
        self.reasons.update(dict.fromkeys(places[VALUES_SHOWN:].tolist(), reason))
        for place in places[:VALUES_SHOWN].tolist():
            value = shown_time(shown[place])
            self.reasons[place] = (column, ROW_MESSAGES.make(code, value=value, **params))

    def add_times(self, refused: Iterable[RefusedTimes], field: str = "occurred_at") -> None:
        """Reject rows whose times the reader of times refused."""
        for one in refused:
            params = dict(one.params)
            if one.why:
                why = NO_END_TIME if (field, one.why) == ("occurred_to", "no_time") else one.why
                params |= {"why": why, "advice": WHY[why].format(**one.params)}
            self.add(one.rows, field, one.code, one.values, **params)
