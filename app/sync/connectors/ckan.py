"""CKAN: the rows of a resource's datastore, or its file where it has none.

A datastore cannot be queried for changes, so a sweep reads all rows, and only when the resource was
modified. A resource that is modified while it is read is read again by the next run.
By default a portal returns at most 32,000 rows at once, whatever is requested; so the offset follows the
rows received, and only an empty page ends a sweep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.errors import SourceFailed
from app.runs.words import RUN_MESSAGES
from app.sync.connectors.files import file_pages_at
from app.sync.connectors.pages import Page, RowShaper, State
from app.sync.connectors.portal import PortalClient, error_text
from app.sync.spec import SourceSpec

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DATA_FORMATS = frozenset({"csv", "json", "geojson", "xlsx", "zip", "parquet"})


def ckan_pages(portal: PortalClient, spec: SourceSpec, state: State) -> Iterator[Page]:
    """Yield pages of a resource; `state` holds `complete`, or `modified` and `offset` within a sweep."""
    resource = _resource(portal, spec)
    if not resource.get("datastore_active"):
        yield from file_pages_at(portal, spec, str(resource.get("url")), state)
        return
    modified = _modified(resource)
    if modified is not None and state.get("complete") == modified:
        yield Page(state, share=1.0, message=RUN_MESSAGES.make("source_unchanged"))
        return
    shaper = RowShaper(spec)
    offset = int(state.get("offset", 0)) if state.get("modified") == modified else 0
    while True:
        answer = _action(
            portal,
            spec,
            "datastore_search",
            {
                "resource_id": str(resource["id"]),
                "fields": ",".join(shaper.columns("_id")),
                "sort": "_id asc",
                "limit": str(spec.page_rows),
                "offset": str(offset),
            },
        )
        records, total = answer.get("records") or [], int(answer.get("total") or 0)
        offset += len(records)
        if not records:
            break
        now = {"modified": modified, "offset": offset}
        share = min(1.0, offset / max(total, 1))
        yield shaper.page(
            records, now, share, RUN_MESSAGES.make("source_rows", n=offset, total=total)
        )
    after = _modified(_resource(portal, spec))
    complete = {"complete": modified} if modified is not None and after == modified else {}
    yield Page(complete, share=1.0, message=RUN_MESSAGES.make("source_rows_read", n=offset))


def _action(portal: PortalClient, spec: SourceSpec, name: str, params: Mapping[str, str]) -> Any:
    """Call an action and return its result; errors may come with status 200."""
    answer = portal.json(f"{spec.url.rstrip('/')}/api/3/action/{name}", params)
    if not isinstance(answer, dict) or not answer.get("success"):
        error = answer.get("error") if isinstance(answer, dict) else None
        raise SourceFailed(f"{name}: {error_text(error) or 'failed without a reason'}")
    return answer["result"]


def _resource(portal: PortalClient, spec: SourceSpec) -> dict[str, Any]:
    """Return the resource with that id, or the only data resource of that package."""
    dataset = str(spec.dataset)
    if _UUID.fullmatch(dataset):
        found: dict[str, Any] = _action(portal, spec, "resource_show", {"id": dataset})
        return found
    package = _action(portal, spec, "package_show", {"id": dataset})
    resources = [
        r
        for r in package.get("resources", [])
        if r.get("datastore_active") or str(r.get("format", "")).lower() in DATA_FORMATS
    ]
    if len(resources) != 1:
        names = ", ".join(f"{r.get('id')} ({r.get('name')})" for r in resources[:20])
        raise SourceFailed(f"package {dataset} has {len(resources)} data resources: {names}")
    chosen: dict[str, Any] = resources[0]
    return chosen


def _modified(resource: Mapping[str, Any]) -> str | None:
    modified = resource.get("last_modified") or resource.get("metadata_modified")
    return str(modified) if modified else None
