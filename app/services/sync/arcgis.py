"""ArcGIS feature layers: pages in the order of the object id, which only ever grows within a layer.

A page is asked for by `objectid > last`, so rows that come and go meanwhile shift nothing; the server
may give fewer than asked (`maxRecordCount`) and says so (`exceededTransferLimit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.domain.errors import SourceFailed
from app.domain.sources import SourceSpec
from app.services.sync.pages import Page, RowShaper, State
from app.services.sync.portal import Broken, PortalClient

DAY_MS = 86_400_000
RETRIED_CODES = frozenset({429, 500, 502, 503, 504})
TOKEN_CODES = frozenset({401, 403, 498, 499})
DATE_TYPE = "esriFieldTypeDate"
GEOMETRY = ("geometry.x", "geometry.y")


@dataclass(frozen=True)
class _Layer:
    """What a layer says of itself."""

    id_field: str
    max_rows: int
    dates: frozenset[str]
    edited_ms: int | None


def arcgis_pages(portal: PortalClient, spec: SourceSpec, state: State) -> Iterator[Page]:
    """Pages of a layer.

    `state` holds `since_ms`, `high_ms`, `edited_ms` and, within a sweep, `after`, `done`.
    """
    layer = _layer(portal, spec)
    if layer.edited_ms is not None and state.get("edited_ms") == layer.edited_ms:
        yield Page(state, share=1.0, message="unchanged")
        return
    shaper = RowShaper(spec)
    since, high = state.get("since_ms"), state.get("high_ms")
    after, done = state.get("after"), int(state.get("done", 0))
    condition = _condition(spec, since)
    total = done + _count(portal, spec, _after(condition, layer, after))
    while True:
        answer = _ask(portal, spec, _query(spec, layer, shaper, _after(condition, layer, after)))
        records = [_record(feature, layer, spec) for feature in answer.get("features", [])]
        if not records:
            yield Page(_ended(spec, layer, high), share=1.0, message=f"{done:,} rows read")
            return
        high = _highest(spec, answer["features"], high)
        after = max(int(record[layer.id_field]) for record in records)
        done += len(records)
        more = bool(answer.get("exceededTransferLimit")) or len(records) >= layer.max_rows
        now = {"since_ms": since, "high_ms": high, "after": after, "done": done}
        yield shaper.page(
            records,
            now if more else _ended(spec, layer, high),
            min(1.0, done / max(total, 1)),
            f"{done:,} of {total:,} rows",
        )
        if not more:
            return


def _ask(
    portal: PortalClient, spec: SourceSpec, params: Mapping[str, str], path: str = "/query"
) -> Any:
    answer = portal.json(spec.url.rstrip("/") + path, {"f": "json", **params}, _fault)
    if not isinstance(answer, dict):
        raise SourceFailed("the answer is no JSON object")
    return answer


def _fault(answer: Any) -> Broken | None:
    """Errors come with status 200 and a code of their own."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return None
    code, message = error.get("code"), str(error.get("message", ""))[:200]
    if code in RETRIED_CODES:
        return Broken(f"error {code}: {message}")
    if code in TOKEN_CODES:
        raise SourceFailed(f"error {code}: a valid token is needed", code="token")
    raise SourceFailed(f"error {code}: {message}")


def _layer(portal: PortalClient, spec: SourceSpec) -> _Layer:
    about = _ask(portal, spec, {}, "")
    fields = about.get("fields") or []
    named = {field.get("name"): field.get("type") for field in fields}
    id_field = about.get("objectIdField") or next(
        (name for name, kind in named.items() if kind == "esriFieldTypeOID"), None
    )
    if not id_field:
        raise SourceFailed("the layer has no object id field: it cannot be paged safely")
    missing = set(RowShaper(spec).columns(spec.changed)) - named.keys() - set(GEOMETRY)
    if missing:
        raise SourceFailed(f"the layer has no field {', '.join(sorted(missing))}", code="columns")
    limit = int(about.get("maxRecordCount") or spec.page_rows)
    dates = frozenset(str(name) for name, kind in named.items() if kind == DATE_TYPE)
    if spec.changed is not None and spec.changed not in dates:
        raise SourceFailed(f"{spec.changed} is no date field of the layer", code="columns")
    told = about.get("editingInfo") or {}
    edited = told.get("dataLastEditDate") or told.get("lastEditDate")
    return _Layer(str(id_field), min(limit, spec.page_rows), dates, edited)


def _condition(spec: SourceSpec, since_ms: int | None) -> str:
    parts = [f"({spec.where})"] if spec.where else []
    if since_ms is not None:
        # Whole seconds are what the query language takes; rounded down, so nothing is left out.
        moment = datetime.fromtimestamp(since_ms // 1000, UTC)
        parts.append(f"{spec.changed} >= timestamp '{moment:%Y-%m-%d %H:%M:%S}'")
    return " AND ".join(parts) or "1=1"


def _after(condition: str, layer: _Layer, after: int | None) -> str:
    return condition if after is None else f"{condition} AND {layer.id_field} > {after}"


def _count(portal: PortalClient, spec: SourceSpec, where: str) -> int:
    answer = _ask(portal, spec, {"where": where, "returnCountOnly": "true"})
    return int(answer.get("count") or 0)


def _query(spec: SourceSpec, layer: _Layer, shaper: RowShaper, where: str) -> dict[str, str]:
    columns = shaper.columns(layer.id_field, spec.changed)
    return {
        "where": where,
        "outFields": ",".join(c for c in columns if c not in GEOMETRY),
        "returnGeometry": "true" if set(GEOMETRY) & set(columns) else "false",
        "outSR": "4326",
        "orderByFields": f"{layer.id_field} ASC",
        "resultOffset": "0",
        "resultRecordCount": str(layer.max_rows),
    }


def _record(feature: Mapping[str, Any], layer: _Layer, spec: SourceSpec) -> dict[str, Any]:
    record = dict(feature.get("attributes") or {})
    for name in layer.dates & record.keys():
        record[name] = _date_text(record[name], spec.esri_dates)
    geometry = feature.get("geometry") or {}
    record[GEOMETRY[0]], record[GEOMETRY[1]] = geometry.get("x"), geometry.get("y")
    return record


def _date_text(value: Any, esri_dates: str) -> Any:
    """RFC 3339 of a date field: milliseconds since 1970 by the API's definition."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    try:
        moment = datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"not a date: {value}"
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + ("Z" if esri_dates == "utc" else "")


def _highest(spec: SourceSpec, features: list[Any], high_ms: int | None) -> int | None:
    if spec.changed is None:
        return None
    values = [feature["attributes"].get(spec.changed) for feature in features]
    seen = [int(v) for v in values if isinstance(v, int | float)]
    return max([*seen, *([high_ms] if high_ms is not None else [])], default=None)


def _ended(spec: SourceSpec, layer: _Layer, high_ms: int | None) -> State:
    """A finished sweep; `edited_ms` is of its beginning, so an edit meanwhile is not overlooked."""
    state: State = {} if layer.edited_ms is None else {"edited_ms": layer.edited_ms}
    if high_ms is not None:
        state["since_ms"] = high_ms - int(spec.overlap_days * DAY_MS)
        state["high_ms"] = high_ms
    return state
