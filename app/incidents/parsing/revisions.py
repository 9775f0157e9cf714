"""Read when a publisher last changed its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.incidents.parsing.instants import local_to_utc

_ISO = r"^\d{4}-\d{2}-\d{2}"
_WITH_OFFSET = _ISO + r".*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"


def revisions_s(
    values: Sequence[Any], time_format: str | None, timezone: str
) -> tuple[NDArray[np.float64], int]:
    """Return seconds since 1970 (NaN: none) and how many values were not understood.

    A date alone is its first minute: revisions are only compared.

    Args:
        time_format: of the file's times; its date part is accepted too.
        timezone: of times without an offset.
    """
    text = pd.Series([v.strip() if isinstance(v, str) else None for v in values], dtype=object)
    given = pd.Series(values, dtype=object).map(lambda v: v not in (None, "")).to_numpy(bool)
    seconds = np.full(len(text), np.nan)
    iso = text.str.match(_ISO).fillna(False).to_numpy(bool)
    aware = iso & text.str.contains(_WITH_OFFSET, regex=True).fillna(False).to_numpy(bool)
    _put(seconds, aware, pd.to_datetime(text[aware], format="ISO8601", utc=True, errors="coerce"))
    plain = iso & ~aware
    local = pd.to_datetime(text[plain], format="ISO8601", utc=True, errors="coerce")
    _put(seconds, plain, local.dt.tz_localize(None), timezone)
    for form in (time_format, (time_format or "").partition(" ")[0]):
        left = given & np.isnan(seconds) & text.notna().to_numpy()
        if form and "%z" not in form and left.any():
            _put(seconds, left, pd.to_datetime(text[left], format=form, errors="coerce"), timezone)
    return seconds, int((given & np.isnan(seconds)).sum())


def _put(
    seconds: NDArray[np.float64],
    rows: NDArray[np.bool_],
    moments: pd.Series[Any],
    timezone: str | None = None,
) -> None:
    """Store moments as seconds; local ones are converted from `timezone`."""
    known = moments.notna().to_numpy()
    if not known.any():
        return
    moments = moments[known]
    if timezone is None:
        moments = moments.dt.tz_convert("UTC").dt.tz_localize(None)
    found = moments.to_numpy().astype("datetime64[s]").astype(np.int64)
    places = np.flatnonzero(rows)[known]
    seconds[places] = found if timezone is None else local_to_utc(found, timezone)
