"""Read RFC 3339 texts as instants: pure, vectorised rules on one column of times.

With an offset a text is that instant; without one it is local wall time: in an hour that a clock change
repeats the first pass, in one that it skips the first minute after it. Numbers are never read as epochs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.core.zones import zone
from app.geo.hour_of_week import local_offset_s
from app.incidents.parsing.row_errors import RowErrors
from app.readers.times.refused import WHY
from app.readers.times.time_reader import TIME_PATTERN

DAY_S = 86_400
EARLIEST_S = 0  # 1970-01-01
FUTURE_SLACK_S = 86_400
DATE_PATTERN = r"^\d{4}-\d{2}-\d{2}$"


@dataclass(frozen=True)
class Instants:
    """The times of one column.

    Args:
        time_s: (n,) seconds since 1970; without meaning where a row is rejected or has no value.
        missing: (n,) whether a row has no value.
        is_local: (n,) whether the text is wall time, without an offset.
        wall_s: (n,) what the text shows, in seconds.
        is_day: (n,) whether it is a date alone; `time_s` is the start of that day.
    """

    time_s: NDArray[np.int64]
    missing: NDArray[np.bool_]
    is_local: NDArray[np.bool_]
    wall_s: NDArray[np.int64]
    is_day: NDArray[np.bool_]
    timezone: str

    def day_ends(self) -> NDArray[np.int64]:
        """Return `time_s`, with the end of the local day where a row has a date alone."""
        ends = self.time_s.copy()
        rows = np.flatnonzero(self.is_day)
        ends[rows] = local_to_utc(self.wall_s[rows] + DAY_S, self.timezone)
        return ends

    def second_pass(self, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return `time_s`, with the second pass of a repeated hour in these rows (a mask)."""
        found = self.time_s.copy()
        places = np.flatnonzero(rows & self.is_local)
        found[places] = local_to_utc(self.wall_s[places], self.timezone, second_pass=True)
        return found


def read_instants(
    raw: pd.Series[Any],
    field: str,
    *,
    timezone: str,
    now_s: int,
    errors: RowErrors,
    is_required: bool = True,
    date_only: bool = False,
) -> Instants:
    """Read a column of times, and reject the rows whose time is none, too old or in the future.

    Args:
        field: named in errors.
        timezone: of texts without an offset.
        now_s: times over a day later are rejected.
        is_required: reject rows without a value.
        date_only: read a date alone as the start of its local day.
    """
    text, numeric = raw, np.zeros(len(raw), bool)
    if not set(map(type, raw)) <= {str}:
        text = raw.where(raw.map(lambda v: isinstance(v, str)), None)
        numeric = raw.map(
            lambda v: isinstance(v, int | float) and not isinstance(v, bool)
        ).to_numpy()
    text = text.str.strip()
    missing = (raw.isna() | (raw == "")).to_numpy()
    if is_required:
        errors.add(missing, field, "missing", field=field)
    digits = text.str.fullmatch(r"[+-]?\d+(\.\d+)?").fillna(False).to_numpy(bool)
    errors.add((numeric & ~missing) | digits, field, "epoch_not_accepted", raw)
    is_day = np.zeros(len(text), bool)
    if date_only:
        is_day = text.str.match(DATE_PATTERN).fillna(False).to_numpy(bool)
        text = text.where(~is_day, text + "T00:00")
    matched = pc.extract_regex(_arrow_texts(text), TIME_PATTERN)
    upper = pc.replace_substring(pc.struct_field(matched, "base"), "t", "T")
    base = pd.Series(upper.to_numpy(zero_copy_only=False))
    offset = pd.Series(pc.struct_field(matched, "offset").to_numpy(zero_copy_only=False))
    local = pd.to_datetime(base, format="ISO8601", errors="coerce").astype("datetime64[s]")
    unread = local.isna().to_numpy() & ~missing
    if unread.any():
        slashed = text.str.match(r"\d{1,2}[/.]\d{1,2}[/.]\d{2,4}").fillna(False).to_numpy(bool)
        errors.add(slashed & unread, field, "ambiguous_date", raw)
        errors.add(unread, field, "bad_time", raw, why="unreadable", advice=WHY["unreadable"])
    wall_s = np.where(local.isna(), 0, local.to_numpy().astype(np.int64))
    given = offset.notna() & (offset != "")
    time_s = wall_s - _offsets_s(offset.where(given, "Z"))
    is_local = ~given.to_numpy() & local.notna().to_numpy()
    plain = np.flatnonzero(is_local)
    time_s[plain] = local_to_utc(wall_s[plain], timezone)
    _check_plausible(time_s, missing, local, raw, field, now_s, errors)
    return Instants(time_s, missing, is_local, wall_s, is_day & is_local, timezone)


def _check_plausible(
    time_s: NDArray[np.int64],
    missing: NDArray[np.bool_],
    local: pd.Series[Any],
    raw: pd.Series[Any],
    field: str,
    now_s: int,
    errors: RowErrors,
) -> None:
    early = (time_s < EARLIEST_S) & ~missing
    late = (time_s > now_s + FUTURE_SLACK_S) & ~missing
    errors.implausible_years.update(local[(early | late) & ~errors.bad].dt.year.astype(str))
    errors.add(early, field, "too_old", raw)
    errors.add(late, field, "in_the_future", raw)


def _arrow_texts(text: pd.Series[Any]) -> pa.Array:
    """Convert texts to Arrow; what cannot be UTF-8 (lone surrogates) becomes None."""
    given = [v if isinstance(v, str) and (v.isascii() or is_encodable(v)) else None for v in text]
    return pa.array(given, pa.string())


def is_encodable(value: str) -> bool:
    """Return whether a text can be stored as UTF-8 (it has no lone surrogates)."""
    return value.encode("utf-8", "ignore").decode("utf-8") == value


def _offsets_s(offset: pd.Series[Any]) -> NDArray[np.int64]:
    """Return seconds east of UTC, parsing each distinct offset once."""

    def seconds(text: str) -> int:
        if text in "Zz":
            return 0
        digits = text[1:].replace(":", "")
        size = int(digits[:2]) * 3600 + int(digits[2:]) * 60
        return -size if text[0] == "-" else size

    codes, values = pd.factorize(offset)
    table = np.array([seconds(str(v)) for v in values], np.int64)
    return table[codes]


def local_to_utc(
    wall_s: NDArray[np.int64], timezone: str, *, second_pass: bool = False
) -> NDArray[np.int64]:
    """Convert local wall times (seconds) to UTC; one that a gap skips becomes the end of the gap.

    Args:
        second_pass: of an hour that occurs twice, instead of the first.
    """
    local = pd.DatetimeIndex(wall_s.astype("datetime64[s]"))
    is_first = np.full(len(local), not second_pass)
    aware = local.tz_localize(zone(timezone), ambiguous=is_first, nonexistent="NaT")
    utc = aware.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[s]")
    time_s = utc.astype(np.int64)
    missing = np.asarray(aware.isna())
    if missing.any():
        time_s[missing] = _after_gap(wall_s[missing], timezone)
    return time_s


def _after_gap(wall_s: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Return the first instants after the gaps that hold these wall times, by bisection."""
    before = local_offset_s(wall_s - DAY_S, timezone)
    after = local_offset_s(wall_s + DAY_S, timezone)
    low, high = wall_s - after, wall_s - before
    while (high - low > 1).any():
        middle = (low + high) // 2
        is_after = local_offset_s(middle, timezone) == after
        low, high = np.where(is_after, low, middle), np.where(is_after, middle, high)
    return high
