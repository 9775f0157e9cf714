"""Convert a file's raw columns to the contract's: combine times, project coordinates.

Unreadable values stay as written, so that the row rules reject them by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj.exceptions import ProjError

from app.core.errors import InvalidInput
from app.core.native import transformer
from app.core.zones import zone
from app.readers.columns import FIELDS, TIME_PARTS, ColumnPlan

Raw = Mapping[str, Sequence[Any]]
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("january", "february", "march", "april", "may", "june", "july", "august", "september",
         "october", "november", "december"), 1)
    for name in (names, names[:3])
}  # fmt: skip
# "2025 Apr 26 03:45:00 PM": Socrata's newer exports. A month's name is unambiguous.
_NAMED = r"^\s*(\d{4} [A-Z][a-z]{2} \d{1,2}) (\d{1,2}:\d{2}(?::\d{2})? [AP]M)\s*$"
_DAY = r"^\s*(\d{4})[-/](\d{2})[-/](\d{2})"
_WITH_OFFSET = r"\d{2}:\d{2}.*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)\s*$"


def contract_columns(columns: Raw, plan: ColumnPlan, timezone: str) -> dict[str, Sequence[Any]]:
    """Return a block's columns under the contract's names.

    Args:
        columns: by field or part (`app.readers.columns`).
        timezone: the region's; a date with an offset beside an hour means the local day.
    """
    result = {name: values for name, values in columns.items() if name in FIELDS}
    if "occurred_at" in columns:
        result["occurred_at"] = _whole_times(columns["occurred_at"], plan.time_format)
    elif "date" in columns:
        clock = columns.get("time", columns.get("hour"))
        result["occurred_at"] = (
            columns["date"]
            if clock is None
            else _split_times(columns["date"], clock, plan.time_format, timezone)
        )
    elif {"year", "month", "day", "hour"} <= columns.keys():
        result["occurred_at"] = _numbered_times(columns)
    x, y = ("x", "y") if {"x", "y"} <= columns.keys() else ("longitude", "latitude")
    if plan.crs is not None and {x, y} <= columns.keys():
        result["longitude"], result["latitude"] = _degrees(columns[x], columns[y], plan.crs)
    else:
        for name, part in (("longitude", "x"), ("latitude", "y")):
            if name not in columns and part in columns:
                result[name] = columns[part]
    return result


def _texts(values: Sequence[Any]) -> pd.Series[Any]:
    return pd.Series([v if isinstance(v, str) else None for v in values], dtype=object)


def _whole_times(values: Sequence[Any], time_format: str | None) -> Sequence[Any]:
    given = _texts(values)
    text = _named_months(given, "%Y-%m-%dT%H:%M:%S")
    raw = pd.Series(list(values), dtype=object)
    if text is not given:
        raw = raw.where(text.isna(), text)
        values = raw.tolist()
    if time_format is not None:
        parsed = _iso(pd.to_datetime(text, format=time_format, errors="coerce"))
        return parsed.where(parsed.notna(), _refusable(raw, time_format)).tolist()
    slashed = text.str.contains("/", regex=False, na=False)
    short = text.str.contains(r"\d{2}:\d{2}.*[+-]\d{2}$", regex=True, na=False)
    if not (slashed.any() or short.any()):
        return values
    fixed = text.str.replace(_DAY, r"\1-\2-\3", regex=True)
    fixed = fixed.where(~short, fixed.str.cat(["00"] * len(fixed)))
    return fixed.where(slashed | short, raw).tolist()


def _named_months(text: pd.Series[Any], form: str) -> pd.Series[Any]:
    """Rewrite texts whose month is a name; leave the rest unchanged."""
    # The pattern is expensive; no other form has a blank at that position.
    if not any(isinstance(value, str) and value[4:5] == " " for value in text):
        return text
    named = text.str.extract(_NAMED)
    clock = named[1].str.replace(r"^(\d{1,2}:\d{2}) ", r"\1:00 ", regex=True)
    moments = pd.to_datetime(
        named[0].str.cat(clock, sep=" "), format="%Y %b %d %I:%M:%S %p", errors="coerce"
    )
    return moments.dt.strftime(form).astype(object).where(moments.notna(), text)


def _refusable(raw: pd.Series[Any], time_format: str) -> pd.Series[Any]:
    """Mark texts that do not match the format, unless they may be RFC 3339."""
    text = raw.map(lambda v: isinstance(v, str) and re.match(r"\d{4}-", v) is None)
    return raw.where(~text, raw.map(lambda v: f"not {time_format}: {v}"))


def _iso(moments: pd.Series[Any]) -> pd.Series[Any]:
    """Format moments as RFC 3339, with None where there is no moment."""
    aware = getattr(moments.dt, "tz", None) is not None
    text: pd.Series[Any] = moments.dt.strftime("%Y-%m-%dT%H:%M:%S" + ("%z" if aware else ""))
    return text.astype(object).where(moments.notna(), None)


def _split_times(
    dates: Sequence[Any], beside: Sequence[Any], time_format: str | None, timezone: str
) -> Sequence[Any]:
    day_format = (time_format or "%Y-%m-%d").partition(" ")[0]
    date = _named_months(_texts(dates).str.strip(), day_format)
    clock = _clock_texts(beside)
    whole = date.fillna("").str.cat(clock.fillna(""), sep=" ")
    if time_format is not None:
        clock_format = time_format.partition(" ")[2]
        day = date.str.extract(r"^(\S+)")[0]
        if clock_format == "%H%M":
            clock = clock.str.replace(r"[:h]", "", regex=True).str.zfill(4)
        joined = day.str.cat(clock, sep=" ")
        parsed = _iso(
            pd.to_datetime(joined, format=f"{day_format} {clock_format}", errors="coerce")
        )
        return parsed.where(parsed.notna(), _refusable(whole, time_format)).tolist()
    day = _local_days(date, timezone)
    clock = clock.str.replace(r"^(\d{1,2})$", r"\1:00", regex=True)
    clock = clock.str.replace(r"^(\d):", r"0\1:", regex=True)
    joined = day.str.cat(clock, sep="T")
    return joined.where(joined.notna(), whole).tolist()


def _clock_texts(values: Sequence[Any]) -> pd.Series[Any]:
    """Return times of day as text (`9`, `09:30`, `930`), without a spreadsheet's trailing `.0`."""

    def clock(value: Any) -> str | None:
        if isinstance(value, str):
            return value.strip().removesuffix(".0") or None
        if isinstance(value, bool) or value is None or value != value:
            return None
        return str(int(value)) if isinstance(value, int | float) else str(value)

    return pd.Series([clock(value) for value in values], dtype=object)


def _local_days(date: pd.Series[Any], timezone: str) -> pd.Series[Any]:
    """Return `YYYY-MM-DD` in the region's zone; dates with an offset are converted first."""
    day = date.str.extract(_DAY)
    result = day[0].str.cat(day[1], sep="-").str.cat(day[2], sep="-").astype(object)
    offset = date.str.contains(_WITH_OFFSET, regex=True, na=False)
    if offset.any():
        utc = pd.to_datetime(date[offset].str.replace("/", "-"), utc=True, errors="coerce")
        result[offset] = utc.dt.tz_convert(zone(timezone)).dt.strftime("%Y-%m-%d")
    return result


def _numbered_times(columns: Raw) -> Sequence[Any]:
    n_rows = len(columns["year"])

    def numbers(name: str, default: int | None = None) -> pd.Series[Any]:
        values = columns.get(name)
        if values is None:
            return pd.Series([default] * n_rows, dtype="float64")
        raw = pd.Series(list(values), dtype=object)
        if name == "month":
            raw = raw.map(lambda v: _MONTHS.get(v.strip().lower(), v) if isinstance(v, str) else v)
        return pd.to_numeric(raw, errors="coerce")

    frame = pd.DataFrame(
        {
            "year": numbers("year"),
            "month": numbers("month"),
            "day": numbers("day"),
            "hour": numbers("hour"),
            "minute": numbers("minute", 0),
        }
    )
    whole = frame.where((frame % 1 == 0).all(axis=1))
    parsed = _iso(pd.to_datetime(whole, errors="coerce"))
    given = [columns[name] for name in TIME_PARTS if name in columns]
    written = pd.Series([" ".join(map(str, row)) for row in zip(*given, strict=True)], dtype=object)
    return parsed.where(parsed.notna(), written).tolist()


def _degrees(x: Sequence[Any], y: Sequence[Any], crs: str) -> tuple[Sequence[Any], Sequence[Any]]:
    """Project to longitude and latitude; values that are not numbers stay as written."""
    raw_x, raw_y = (pd.Series(list(values), dtype=object) for values in (x, y))
    x_m, y_m = (pd.to_numeric(v, errors="coerce").to_numpy(np.float64) for v in (raw_x, raw_y))
    # Many portals write "unknown" as 0/0, which must not become a distant place.
    known = np.isfinite(x_m) & np.isfinite(y_m) & ((x_m != 0) | (y_m != 0))
    try:
        longitude, latitude = transformer(crs, "EPSG:4326").transform(x_m, y_m)
    except ProjError as error:
        raise InvalidInput(
            "no transformation from this CRS to degrees is known", field="crs"
        ) from error
    return _placed(raw_x, longitude, known), _placed(raw_y, latitude, known)


def _placed(
    raw: pd.Series[Any], degrees: NDArray[np.float64], known: NDArray[np.bool_]
) -> Sequence[Any]:
    return raw.where(~known, pd.Series(degrees, dtype=object)).tolist()
