"""A local server that answers as Socrata, ArcGIS, CKAN and plain file hosts document, and breaks on cue."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qs

import uvicorn

COLUMNS = {
    "occurred_at": "date",
    "longitude": "longitude",
    "latitude": "latitude",
    "category": "kind",
    "external_id": "nr",
}
DATASET = "abcd-1234"
SOCRATA_PATH = f"/resource/{DATASET}.json"
SERVICE_PATH = "/arcgis/rest/services/Crime/FeatureServer"
LAYER_PATH = f"{SERVICE_PATH}/0"
RESOURCE = "11111111-2222-3333-4444-555555555555"
TOKEN = "secret-token-value"


@dataclass
class Portals:
    """What the server holds, the faults it is to show next, and the requests that it saw.

    A fault is (status, headers), or "cut" (breaks off within the body), "junk" (200, no JSON) or
    "hold" (waits for `release`); it is spent on the first request for rows (or a file) after it.
    """

    rows: list[dict] = field(default_factory=list)
    features: list[dict] = field(default_factory=list)
    records: list[dict] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    faults: deque = field(default_factory=deque)
    requests: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    needs_token: bool = False
    max_record_count: int = 3
    rows_max: int = 32_000
    layer: dict = field(default_factory=dict)
    layers: list[dict] = field(default_factory=list)
    sorts: bool = True
    error: dict | None = None
    edited_ms: int | None = None
    modified: str = "2024-05-01T00:00:00"
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    before_rows: object = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, path: str, name: str) -> list[str]:
        """A parameter of the requests for rows, in order."""
        return [q[name] for p, q, _ in self.requests if p == path and name in q]

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        query = {k: v[-1] for k, v in parse_qs(scope["query_string"].decode()).items()}
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.requests.append((path, query, headers))
        status, more, body = 200, {}, b""
        if path in self.redirects:
            status, more = (
                302,
                {"location": f"{self.redirects[path]}?{scope['query_string'].decode()}"},
            )
        elif self.faults and self._is_data(path, query):
            fault = self.faults.popleft()
            if fault == "cut":
                await self._cut(send)
                return
            if fault == "hold":
                self.held.set()
                while not self.release.is_set():
                    await asyncio.sleep(0.02)
            if isinstance(fault, tuple):
                status, more = fault
            elif fault == "junk":
                body = b"<html>"
        if status == 200 and not body:
            status, more, body = self._answer(path, query, headers)
        raw = [(k.encode(), str(v).encode()) for k, v in more.items()]
        raw.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    @staticmethod
    async def _cut(send) -> None:
        head = [(b"content-length", b"100000")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b'[{"date": "20', "more_body": True})

    @staticmethod
    def _is_data(path: str, query: dict) -> bool:
        counting = "count(" in query.get("$select", "") or "returnCountOnly" in query
        data = path in (SOCRATA_PATH, f"{LAYER_PATH}/query") or path.startswith("/files/")
        return not counting and (data or path.endswith("datastore_search"))

    def _answer(self, path, query, headers):
        if path == SOCRATA_PATH:
            return self._socrata(query, headers)
        if path == SERVICE_PATH:
            return _json({"layers": self.layers, "tables": []})
        if path.startswith(LAYER_PATH):
            return _json(self._arcgis(path, query, headers))
        if path.startswith("/api/3/action/"):
            if self.error is not None:
                return _json({"help": f"{self.url}/help", "success": False, "error": self.error})
            return _json({"success": True, "result": self._ckan(path.rpartition("/")[2], query)})
        return self._file(path, headers)

    def _socrata(self, query, headers):
        if self.needs_token and headers.get("x-app-token") != TOKEN:
            return 403, {}, b'{"message": "A valid app token is required"}'
        since = re.search(r":updated_at >= '([^']+)'", query.get("$where", ""))
        rows = [r for r in self.rows if since is None or r[":updated_at"] >= since[1]]
        if "count(" in query["$select"]:
            return _json([{"n": str(len(rows))}])
        if self.before_rows is not None:
            self.before_rows(query)
            rows = [r for r in self.rows if since is None or r[":updated_at"] >= since[1]]
        assert query["$order"] == ":id"
        rows = sorted(rows, key=lambda r: r[":id"])
        first, count = int(query["$offset"]), min(int(query["$limit"]), 50_000)
        wanted = query["$select"].split(",")
        known = {name for row in self.rows for name in row}
        for name in wanted:
            if self.rows and name not in known:
                return 400, {}, f"No such column: {name}".encode()
        # Fields without a value are left out of the JSON.
        found = rows[first : first + count]
        return _json([{c: r[c] for c in wanted if r.get(c) is not None} for r in found])

    def _arcgis(self, path, query, headers):
        if self.needs_token and headers.get("x-esri-authorization") != f"Bearer {TOKEN}":
            return {"error": {"code": 499, "message": "Token Required"}}
        if path == LAYER_PATH:
            fields = [
                {"name": "OBJECTID", "type": "esriFieldTypeOID"},
                {"name": "OCC", "type": "esriFieldTypeDate"},
                {"name": "EDITED", "type": "esriFieldTypeDate"},
                *({"name": n, "type": "esriFieldTypeString"} for n in ("ID", "KIND", "STATUS")),
            ]
            told = {"objectIdField": "OBJECTID", "maxRecordCount": self.max_record_count}
            if self.edited_ms is not None:
                told["editingInfo"] = {"dataLastEditDate": self.edited_ms}
            return {"fields": fields, **told, **self.layer}
        refused = self.error or self._arcgis_refusal(query)
        if refused is not None:
            return {"error": refused}
        found = sorted(self.features, key=lambda f: f["attributes"]["OBJECTID"])
        after = re.search(r"OBJECTID > (\d+)", query["where"])
        since = re.search(r"EDITED >= timestamp '([^']+)'", query["where"])
        if after:
            found = [f for f in found if f["attributes"]["OBJECTID"] > int(after[1])]
        if since:
            ms = datetime.fromisoformat(since[1]).replace(tzinfo=UTC).timestamp() * 1000
            found = [f for f in found if f["attributes"]["EDITED"] >= ms]
        if "returnCountOnly" in query:
            return {"count": len(found)}
        assert (query["outSR"], query["orderByFields"]) == ("4326", "OBJECTID ASC")
        count = min(int(query.get("resultRecordCount", 2_000)), self.max_record_count)
        wanted = query["outFields"].split(",")
        if not self.sorts:
            found.reverse()
        page = [
            {
                "attributes": {n: f["attributes"].get(n) for n in wanted},
                **({"geometry": f["geometry"]} if query["returnGeometry"] == "true" else {}),
            }
            for f in found[:count]
        ]
        more = {"exceededTransferLimit": True} if len(found) > count else {}
        return {"features": page, **more}

    def _arcgis_refusal(self, query):
        """What a layer refuses by its own description."""
        if self.layer.get("datesInUnknownTimezone") and "timeReferenceUnknownClient" not in query:
            return {"code": 400, "message": "Unknown time zone", "details": []}
        able = self.layer.get("advancedQueryCapabilities", {}).get("supportsPagination", True)
        if not able and "resultOffset" in query:
            return {"code": 400, "message": "", "details": ["Pagination is not supported."]}
        return None

    def _ckan(self, action, query):
        resource = {
            "id": RESOURCE,
            "name": "incidents",
            "format": "CSV",
            "datastore_active": bool(self.records),
            "last_modified": self.modified,
            "url": f"{self.url}/files/incidents.csv",
        }
        if action == "resource_show":
            return resource
        if action == "package_show":
            return {"resources": [resource, {"id": "x", "format": "PDF"}]}
        first, count = int(query["offset"]), min(int(query["limit"]), self.rows_max)
        wanted = query["fields"].split(",")
        found = sorted(self.records, key=lambda r: r["_id"])[first : first + count]
        return {
            "limit": count,
            "total": len(self.records),
            "records": [{n: r.get(n) for n in wanted} for r in found],
        }

    def _file(self, path, headers):
        content = self.files.get(path)
        if content is None:
            return 404, {}, b""
        etag = f'"{hash(content)}"'
        if headers.get("if-none-match") == etag:
            return 304, {"etag": etag}, b""
        return 200, {"etag": etag, "content-type": "application/octet-stream"}, content


def _json(value) -> tuple[int, dict, bytes]:
    return 200, {"content-type": "application/json"}, json.dumps(value).encode()


def serve(portals: Portals, **options) -> uvicorn.Server:
    """Serve in a thread on a free port; end by `should_exit`."""
    config = uvicorn.Config(
        portals, "127.0.0.1", 0, log_level="critical", lifespan="off", **options
    )
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    portals.port = server.servers[0].sockets[0].getsockname()[1]
    return server


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def stamp(n_seconds: int) -> str:
    """A change's time, seconds after a fixed one."""
    moment = datetime.fromtimestamp(1_714_000_000 + n_seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def socrata_row(n: int, *, changed: int | None = None, **more) -> dict:
    """Row n of a dataset; its change n seconds after a fixed time."""
    return {
        ":id": f"row-{n:05d}",
        ":updated_at": stamp(n if changed is None else changed),
        "date": f"2024-03-{n % 28 + 1:02d}T{n % 24:02d}:30:00.000",
        "latitude": f"{43.6 + n / 10_000:.4f}",
        "longitude": "-79.4",
        "kind": "theft",
        "nr": str(n),
        **more,
    }
