"""ArcGIS feature layers: pages in the order of the object id, which only grows within a layer.

Pages are requested by `objectid > last`, so rows added or removed meanwhile shift nothing; the server may
return fewer than requested (`maxRecordCount`) and says so (`exceededTransferLimit`). A server that does
not sort by the id, or changes it (`OIDFieldContainsHashValue`), is refused rather than read with gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from app.core.errors import SourceFailed
from app.runs.words import RUN_MESSAGES
from app.sync.connectors.pages import Page, RowShaper, State
from app.sync.connectors.portal import PortalClient, error_text
from app.sync.connectors.visit import Broken
from app.sync.spec import SourceSpec

DAY_MS = 86_400_000
RETRIED_CODES = frozenset({429, 500, 502, 503, 504})
TOKEN_CODES = frozenset({401, 403, 498, 499})
DATE_TYPE = "esriFieldTypeDate"
GEOMETRY = ("geometry.x", "geometry.y")
UNKNOWN_ZONE = ("datesInUnknownTimezone", "datesInUnknownTimeZone")


@dataclass(frozen=True)
class _Layer:
    """A layer's metadata."""

    url: str
    id_field: str
    max_rows: int
    dates: frozenset[str]
    edited_ms: int | None
    paged: bool = True
    wall_time: bool = False


def arcgis_pages(portal: PortalClient, spec: SourceSpec, state: State) -> Iterator[Page]:
    """Yield pages of a layer.

    `state` holds `since_ms`, `high_ms`, `edited_ms` and, within a sweep, `after`, `done`.
    """
    layer = _layer(portal, spec)
    if layer.edited_ms is not None and state.get("edited_ms") == layer.edited_ms:
        yield Page(state, share=1.0, message=RUN_MESSAGES.make("source_unchanged"))
        return
    shaper = RowShaper(spec)
    since, high = state.get("since_ms"), state.get("high_ms")
    after, done = state.get("after"), int(state.get("done", 0))
    condition = _condition(spec, since)
    total = done + _count(portal, layer, _after(condition, layer, after))
    while True:
        query = _query(spec, layer, shaper, _after(condition, layer, after))
        answer = _ask(portal, f"{layer.url}/query", query)
        records = [_record(feature, layer, spec) for feature in answer.get("features", [])]
        _check_order([int(record[layer.id_field]) for record in records], after)
        if not records:
            said = RUN_MESSAGES.make("source_rows_read", n=done)
            yield Page(_ended(spec, layer, high), share=1.0, message=said)
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
            RUN_MESSAGES.make("source_rows", n=done, total=total),
        )
        if not more:
            return


def _ask(portal: PortalClient, url: str, params: Mapping[str, str]) -> Any:
    answer = portal.json(url, {"f": "json", **params}, _fault)
    if not isinstance(answer, dict):
        raise SourceFailed("the answer is not a JSON object")
    return answer


def _check_order(ids: list[int], after: int | None) -> None:
    """Raise if rows are not in the requested order, since paging on would then skip some."""
    if any(a >= b for a, b in pairwise([*([] if after is None else [after]), *ids])):
        raise SourceFailed("the layer does not sort by its object id: it cannot be paged safely")


def _fault(answer: Any) -> Broken | None:
    """Find an error in an answer: errors come with status 200 and a code of their own."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return None
    code, message = error.get("code"), error_text(error)
    if code in RETRIED_CODES:
        return Broken(f"error {code}: {message}")
    if code in TOKEN_CODES:
        raise SourceFailed(f"error {code}: a valid token is needed", code="token")
    raise SourceFailed(f"error {code}: {message}")


def _layer(portal: PortalClient, spec: SourceSpec) -> _Layer:
    url = _layer_url(portal, spec)
    about = _ask(portal, url, {})
    fields = about.get("fields") or []
    named = {field.get("name"): field.get("type") for field in fields}
    dates = frozenset(str(name) for name, kind in named.items() if kind == DATE_TYPE)
    missing = set(RowShaper(spec).columns(spec.changed)) - named.keys() - set(GEOMETRY)
    if missing:
        raise SourceFailed(f"the layer has no field {', '.join(sorted(missing))}", code="columns")
    if spec.changed is not None and spec.changed not in dates:
        raise SourceFailed(f"{spec.changed} is not a date field of the layer", code="columns")
    editing = about.get("editingInfo") or {}
    return _Layer(
        url,
        _id_field(about, named),
        min(int(about.get("maxRecordCount") or spec.page_rows), spec.page_rows),
        dates,
        editing.get("dataLastEditDate") or editing.get("lastEditDate"),
        # Servers without paging refuse resultOffset, but still return maxRecordCount rows.
        paged=(about.get("advancedQueryCapabilities") or {}).get("supportsPagination") is not False,
        wall_time=any(about.get(name) for name in UNKNOWN_ZONE),
    )


def _id_field(about: Mapping[str, Any], named: Mapping[Any, Any]) -> str:
    known = about.get("objectIdField") or next(
        (name for name, kind in named.items() if kind == "esriFieldTypeOID"), None
    )
    if not known or (about.get("uniqueIdInfo") or {}).get("OIDFieldContainsHashValue"):
        raise SourceFailed("the layer has no lasting object id: it cannot be paged safely")
    return str(known)


def _layer_url(portal: PortalClient, spec: SourceSpec) -> str:
    """Return the layer's address; with `dataset`, that of the service's only layer of that name.

    Publishers renumber layers (some each January); names last longer.
    """
    url = spec.url.rstrip("/")
    if spec.dataset is None:
        return url
    about = _ask(portal, url, {})
    known = [*(about.get("layers") or []), *(about.get("tables") or [])]
    wanted = spec.dataset.casefold()
    named = {layer.get("id"): str(layer.get("name", "")).strip() for layer in known}
    found = [key for key, name in named.items() if name.casefold() == wanted]
    found = found or [key for key, name in named.items() if wanted in name.casefold()]
    if len(found) != 1:
        names = ", ".join(sorted(named.values()))[:200]
        raise SourceFailed(f"{len(found)} layers are called {spec.dataset!r}; there are {names}")
    return f"{url}/{found[0]}"


def _condition(spec: SourceSpec, since_ms: int | None) -> str:
    parts = [f"({spec.where})"] if spec.where else []
    if since_ms is not None:
        # The query language takes whole seconds; rounding down leaves nothing out.
        moment = datetime.fromtimestamp(since_ms // 1000, UTC)
        parts.append(f"{spec.changed} >= timestamp '{moment:%Y-%m-%d %H:%M:%S}'")
    return " AND ".join(parts) or "1=1"


def _after(condition: str, layer: _Layer, after: int | None) -> str:
    return condition if after is None else f"{condition} AND {layer.id_field} > {after}"


def _count(portal: PortalClient, layer: _Layer, where: str) -> int:
    asked = {"where": where, "returnCountOnly": "true", **_zone(layer)}
    return int(_ask(portal, f"{layer.url}/query", asked).get("count") or 0)


def _zone(layer: _Layer) -> dict[str, str]:
    """Return the parameter that a layer with dates of unknown zone requires."""
    return {"timeReferenceUnknownClient": "true"} if layer.wall_time else {}


def _query(spec: SourceSpec, layer: _Layer, shaper: RowShaper, where: str) -> dict[str, str]:
    columns = shaper.columns(layer.id_field, spec.changed)
    pages = {"resultOffset": "0", "resultRecordCount": str(layer.max_rows)} if layer.paged else {}
    return {
        "where": where,
        "outFields": ",".join(c for c in columns if c not in GEOMETRY),
        "returnGeometry": "true" if set(GEOMETRY) & set(columns) else "false",
        "outSR": "4326",
        "orderByFields": f"{layer.id_field} ASC",
        **pages,
        **_zone(layer),
    }


def _record(feature: Mapping[str, Any], layer: _Layer, spec: SourceSpec) -> dict[str, Any]:
    record = dict(feature.get("attributes") or {})
    dates = "local" if layer.wall_time else spec.esri_dates
    for name in layer.dates & record.keys():
        record[name] = _date_text(record[name], dates)
    geometry = feature.get("geometry") or {}
    record[GEOMETRY[0]], record[GEOMETRY[1]] = geometry.get("x"), geometry.get("y")
    return record


def _date_text(value: Any, esri_dates: str) -> Any:
    """Format a date field (milliseconds since 1970) as RFC 3339."""
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
    """Return the state after a sweep; `edited_ms` is from its start, so later edits are noticed."""
    state: State = {} if layer.edited_ms is None else {"edited_ms": layer.edited_ms}
    if high_ms is not None:
        state["since_ms"] = high_ms - int(spec.overlap_days * DAY_MS)
        state["high_ms"] = high_ms
    return state
