"""Accept or reject incidents: pure, vectorised rules on one block of raw rows.

Time: RFC 3339. With an offset it is that instant; without one it is the region's local wall time: in an
hour that a clock change repeats the first pass, in one that it skips the first minute after it. Numbers
are never read as epochs; dates without a time are rejected.

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
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.core.texts import shortened
from app.core.zones import zone
from app.geo.antimeridian import HALF_TURN_DEG, normalised
from app.geo.hour_of_week import local_offset_s
from app.geo.study_area import StudyArea
from app.geo.zone_places import NEAR_MERIDIAN_DEG, is_near_meridian
from app.incidents.parsing.row_errors import ROW_MESSAGES, RowErrors
from app.readers.times.refused import WHY
from app.readers.times.time_reader import TIME_PATTERN

DAY_S = 86_400
EARLIEST_S = 0  # 1970-01-01
FUTURE_SLACK_S = 86_400
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


def parse_block(
    columns: Mapping[str, Sequence[Any]],
    n_rows: int,
    *,
    timezone: str,
    now_s: int,
    area: StudyArea | None,
    errors: RowErrors,
    check_ids: CheckIds | None = None,
) -> ParsedBlock:
    """Apply every rule to a block of raw rows (values are str, numbers or None).

    Args:
        columns: of equal length n_rows, by the contract's field names.
        now_s: times over a day later are rejected.
        area: where incidents may lie (the study area with its margin), or None while unknown.
        errors: collects the rejected rows.
        check_ids: returns ids as they are stored, and which of them are damaged.
    """
    time_s = _times(_texts(columns, "occurred_at", n_rows), timezone, now_s, errors)
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
        time_s=time_s[good],
        longitude=longitude[good],
        latitude=latitude[good],
        category=np.where(pd.isna(category), NO_CATEGORY, category)[good],
        external_id=external[good],
        source=source[good],
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


def _times(raw: pd.Series[Any], timezone: str, now_s: int, errors: RowErrors) -> NDArray[np.int64]:
    text = raw.where(raw.map(lambda v: isinstance(v, str)), None).str.strip()
    missing = (raw.isna() | (raw == "")).to_numpy()
    errors.add(missing, "occurred_at", "missing", field="occurred_at")
    numeric = raw.map(lambda v: isinstance(v, int | float) and not isinstance(v, bool)).to_numpy()
    digits = text.str.fullmatch(r"[+-]?\d+(\.\d+)?").fillna(False).to_numpy(bool)
    errors.add((numeric & ~missing) | digits, "occurred_at", "epoch_not_accepted", raw)
    matched = pc.extract_regex(_arrow_texts(text), TIME_PATTERN)
    upper = pc.replace_substring(pc.struct_field(matched, "base"), "t", "T")
    base = pd.Series(upper.to_numpy(zero_copy_only=False))
    offset = pd.Series(pc.struct_field(matched, "offset").to_numpy(zero_copy_only=False))
    local = pd.to_datetime(base, format="ISO8601", errors="coerce").astype("datetime64[s]")
    slashed = text.str.match(r"\d{1,2}[/.]\d{1,2}[/.]\d{2,4}").fillna(False).to_numpy(bool)
    errors.add(slashed & local.isna().to_numpy(), "occurred_at", "ambiguous_date", raw)
    advice = WHY["unreadable"]
    errors.add(
        local.isna().to_numpy(), "occurred_at", "bad_time", raw, why="unreadable", advice=advice
    )
    naive_s = np.where(local.isna(), 0, local.to_numpy().astype(np.int64))
    given = offset.notna() & (offset != "")
    time_s = naive_s - _offsets_s(offset.where(given, "Z"))
    plain = np.flatnonzero(~given.to_numpy() & local.notna().to_numpy())
    time_s[plain] = local_to_utc(naive_s[plain], timezone)
    early, late = time_s < EARLIEST_S, time_s > now_s + FUTURE_SLACK_S
    errors.implausible_years.update(local[(early | late) & ~errors.bad].dt.year.astype(str))
    errors.add(early, "occurred_at", "too_old", raw)
    errors.add(late, "occurred_at", "in_the_future", raw)
    return time_s


def _arrow_texts(text: pd.Series[Any]) -> pa.Array:
    """Convert texts to Arrow; what cannot be UTF-8 (lone surrogates) becomes None."""
    given = [v if isinstance(v, str) and (v.isascii() or _encodable(v)) else None for v in text]
    return pa.array(given, pa.string())


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


def local_to_utc(naive_s: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Convert local wall times (seconds) to UTC: the first pass of a repeated hour, the end of a gap."""
    local = pd.DatetimeIndex(naive_s.astype("datetime64[s]"))
    first_pass = np.ones(len(local), bool)
    aware = local.tz_localize(zone(timezone), ambiguous=first_pass, nonexistent="NaT")
    utc = aware.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[s]")
    time_s = utc.astype(np.int64)
    missing = np.asarray(aware.isna())
    if missing.any():
        time_s[missing] = _after_gap(naive_s[missing], timezone)
    return time_s


def _after_gap(naive_s: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Return the first instants after the gaps that hold these wall times, by bisection."""
    before = local_offset_s(naive_s - DAY_S, timezone)
    after = local_offset_s(naive_s + DAY_S, timezone)
    low, high = naive_s - after, naive_s - before
    while (high - low > 1).any():
        middle = (low + high) // 2
        is_after = local_offset_s(middle, timezone) == after
        low, high = np.where(is_after, low, middle), np.where(is_after, middle, high)
    return high


def _numbers(
    columns: Mapping[str, Sequence[Any]], name: str, n_rows: int, errors: RowErrors
) -> NDArray[np.float64]:
    raw = _texts(columns, name, n_rows)
    missing = (raw.isna() | (raw == "")).to_numpy()
    errors.add(missing, name, "missing", field=name)
    flags = raw.map(lambda v: isinstance(v, bool)).to_numpy()
    # JSON allows integers beyond any float; pandas would raise instead of giving NaN.
    sized = raw.map(lambda v: None if isinstance(v, int) and abs(v) > MAX_INTEGER else v)
    values = pd.to_numeric(sized, errors="coerce").to_numpy(np.float64, na_value=np.nan)
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
        len(value) > MAX_TEXT_CHARS or _CONTROL.search(value) is not None or not _encodable(value)
    )


def _encodable(value: str) -> bool:
    """Return whether a text can be stored as UTF-8 (it has no lone surrogates)."""
    return value.encode("utf-8", "ignore").decode("utf-8") == value
