"""Accept or reject incidents: pure, vectorised rules on one block of raw rows.

Time: RFC 3339 (`instants`), an instant or an interval (`intervals`). Dates without a time are rejected
unless the sender says that they are intervals.

Place: degrees (WGS 84). 0/0, values out of range, and places outside the study area are rejected, each
with its own code; a code of its own says that the swapped point lies inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.texts import shortened
from app.geo.antimeridian import HALF_TURN_DEG, normalised
from app.geo.study_area import StudyArea
from app.geo.zone_places import NEAR_MERIDIAN_DEG, is_near_meridian
from app.incidents.parsing.instants import is_encodable
from app.incidents.parsing.intervals import read_occurrences
from app.incidents.parsing.row_errors import ROW_MESSAGES, RowErrors

MAX_TEXT_CHARS = 200
MAX_FEED_CHARS = 100
MARGIN_M = 1_000.0
METRES_LIKELY = 1_000.0
MAX_INTEGER = 2**62
NO_CATEGORY = "unspecified"
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
SOURCES = ("reported", "discovered")


@dataclass(frozen=True)
class ParsedBlock:
    """The accepted rows of a block; `row` is their position in it."""

    row: NDArray[np.int64]
    time_s: NDArray[np.int64]
    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    category: NDArray[Any]
    external_id: NDArray[Any]
    source: NDArray[Any]
    reference: NDArray[Any] | None = None
    feed: NDArray[Any] | None = None
    """None: the file has no such column."""
    hashed: NDArray[Any] | None = None
    """What keys are made of instead of the category, where kinds are spelt in one way."""
    end_s: NDArray[np.int64] | None = None
    """Exclusive ends of intervals, equal to `time_s` for instants; None: all are instants."""
    is_open: NDArray[np.bool_] | None = None
    """Whether the end of an interval is missing."""

    def lasting(self) -> NDArray[np.int64]:
        """Return the positions in this block of the rows that have an interval."""
        return np.flatnonzero([] if self.end_s is None else self.end_s > self.time_s)


def parse_block(
    columns: Mapping[str, Sequence[Any]],
    n_rows: int,
    *,
    timezone: str,
    now_s: int,
    area: StudyArea | None,
    errors: RowErrors,
    check_ids: CheckIds | None = None,
    date_only: bool = False,
) -> ParsedBlock:
    """Apply every rule to a block of raw rows (values are str, numbers or None).

    Args:
        columns: of equal length n_rows, by the contract's field names.
        now_s: times over a day later are rejected.
        area: where incidents may lie (the study area with its margin), or None while unknown.
        errors: collects the rejected rows.
        check_ids: returns ids as they are stored, and which of them are damaged.
        date_only: read a date without a time as an interval of that local day.
    """
    when = read_occurrences(
        columns, n_rows, timezone=timezone, now_s=now_s, errors=errors, date_only=date_only
    )
    longitude = _numbers(columns, "longitude", n_rows, errors)
    latitude = _numbers(columns, "latitude", n_rows, errors)
    if is_near_meridian(timezone):
        beyond = np.abs(longitude) <= HALF_TURN_DEG + NEAR_MERIDIAN_DEG
        longitude = np.where(beyond, normalised(longitude), longitude)
    errors.longitude, errors.latitude = longitude, latitude
    _check_places(longitude, latitude, area, errors)
    category = _labels(columns, "category", n_rows, errors)
    external = _labels(columns, "external_id", n_rows, errors)
    if check_ids is not None and "external_id" in columns:
        external = _checked_ids(external, check_ids, errors)
    more = {n: _labels(columns, n, n_rows, errors) for n in ("reference", "feed") if n in columns}
    if "feed" in more:
        long = [v is not None and len(v) > MAX_FEED_CHARS for v in more["feed"]]
        errors.add(np.array(long, bool), "feed", "bad_text", field="feed", limit=MAX_FEED_CHARS)
    source = _labels(columns, "source", n_rows, errors)
    source = np.where(pd.isna(source), SOURCES[0], source)
    errors.add(~np.isin(source.astype(str), SOURCES), "source", "unknown_source")
    good = np.flatnonzero(~errors.bad)
    return ParsedBlock(
        row=good,
        time_s=when.start_s[good],
        longitude=longitude[good],
        latitude=latitude[good],
        category=np.where(pd.isna(category), NO_CATEGORY, category)[good],
        external_id=external[good],
        source=source[good],
        end_s=None if when.end_s is None else when.end_s[good],
        is_open=None if when.is_open is None else when.is_open[good],
        **{name: values[good] for name, values in more.items()},
    )


CheckIds = Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[np.bool_]]]


def _checked_ids(ids: NDArray[Any], check: CheckIds, errors: RowErrors) -> NDArray[Any]:
    ids = ids.copy()
    ids[errors.bad] = None
    ids, damaged = check(ids)
    for row in np.flatnonzero(damaged).tolist():
        reason = ROW_MESSAGES.make("id_in_scientific_notation", value=shortened(ids[row]))
        errors.bad[row] = True
        errors.reasons[row] = ("external_id", reason)
    return ids


def _texts(columns: Mapping[str, Sequence[Any]], name: str, n_rows: int) -> pd.Series[Any]:
    values = columns.get(name)
    return pd.Series(values if values is not None else [None] * n_rows, dtype=object)


def _numbers(
    columns: Mapping[str, Sequence[Any]], name: str, n_rows: int, errors: RowErrors
) -> NDArray[np.float64]:
    raw = _texts(columns, name, n_rows)
    missing = (raw.isna() | (raw == "")).to_numpy()
    errors.add(missing, name, "missing", field=name)
    flags = np.zeros(n_rows, bool)
    if not set(map(type, raw)) <= {str}:
        flags = raw.map(lambda v: isinstance(v, bool)).to_numpy()
        # JSON allows integers beyond any float; pandas would raise instead of giving NaN.
        raw = raw.map(lambda v: None if isinstance(v, int) and abs(v) > MAX_INTEGER else v)
    values = pd.to_numeric(raw, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~np.isfinite(values) | flags
    errors.add(bad, name, "not_a_number", field=name)
    return np.where(bad, 0.0, values)


def _check_places(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    area: StudyArea | None,
    errors: RowErrors,
) -> None:
    huge = np.maximum(np.abs(longitude), np.abs(latitude)) > METRES_LIKELY
    errors.add(huge, "longitude", "not_degrees")
    beyond = (np.abs(longitude) > 180) | (np.abs(latitude) > 90)
    turned = beyond & (np.abs(latitude) <= 180) & (np.abs(longitude) <= 90)
    errors.add(turned, "latitude", "looks_swapped")
    errors.add(beyond, "latitude", "out_of_range")
    errors.add((np.abs(longitude) < 1e-9) & (np.abs(latitude) < 1e-9), "longitude", "zero")
    if area is None:
        return
    todo = np.flatnonzero(~errors.bad)
    outside = todo[~area.contains(longitude[todo], latitude[todo])]
    swappable = outside[np.abs(longitude[outside]) <= 90]
    swapped = np.zeros(len(longitude), bool)
    swapped[swappable] = area.contains(latitude[swappable], longitude[swappable])
    errors.add(swapped, "latitude", "looks_swapped")
    away = np.zeros(len(longitude), bool)
    away[outside] = True
    errors.add(away, "longitude", "outside_study_area")


def _labels(
    columns: Mapping[str, Sequence[Any]], name: str, n_rows: int, errors: RowErrors
) -> NDArray[Any]:
    """Return short texts, None where empty; distinct values are checked once."""
    raw = _texts(columns, name, n_rows)
    texts = [v if isinstance(v, str) else _as_text(v) for v in raw]
    codes, values = pd.factorize(np.array(texts, dtype=object))
    cleaned = np.array([*(_cleaned(v) for v in values), None], dtype=object)
    refused = np.array([*(v is not None and _refused(str(v)) for v in cleaned[:-1]), False], bool)
    errors.add(refused[codes], name, "bad_text", field=name, limit=MAX_TEXT_CHARS)
    result: NDArray[Any] = cleaned[codes]
    return result


def _as_text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return str(value) if isinstance(value, int | float) else "\x00"


def _cleaned(value: Any) -> str | None:
    return str(value).strip() or None


def _refused(value: str) -> bool:
    return (
        len(value) > MAX_TEXT_CHARS or _CONTROL.search(value) is not None or not is_encodable(value)
    )
