"""The OpenAPI document: schemas of replies, an example of each, links from one call to the next."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.forecasts.series_routes import AreasRequest, ScoreRequest
from app.http.reply_schemas import SCHEMAS, reference
from app.http.static import KeptReplies
from app.regions.routes import NewRegion

EXAMPLES = Path(__file__).with_name("openapi_examples.json")
"""`{"GET /path": {"status": example}}`, cut short from a service's own answers."""
METHODS = ("get", "post", "put", "patch", "delete")
_RUNS = "/v1/regions/{region}/training-runs"
_BACKTESTS = "/v1/regions/{region}/backtests"
_MODELS = "/v1/regions/{region}/models"
PICTURES: dict[str, dict[str, Any]] = {
    "image/svg+xml": {"type": "string"},
    "image/png": {"type": "string", "format": "binary"},
}
REPLY_OF = {
    "POST /v1/regions 201": "RegionReply",
    "GET /v1/regions 200": "RegionList",
    "GET /v1/regions/{region} 200": "RegionReply",
    "POST /v1/regions/{region}/incidents 200": "UploadReply",
    f"POST {_RUNS} 202": "RunReply",
    f"GET {_RUNS} 200": "TrainingRunList",
    f"GET {_RUNS}/{{run_id}} 200": "RunReply",
    f"DELETE {_RUNS}/{{run_id}} 200": "RunReply",
    f"GET {_MODELS} 200": "ModelList",
    f"GET {_MODELS}/{{version}} 200": "ModelReply",
    f"POST {_BACKTESTS} 202": "RunReply",
    f"GET {_BACKTESTS} 200": "BacktestList",
    f"GET {_BACKTESTS}/{{run_id}} 200": "RunReply",
    f"DELETE {_BACKTESTS}/{{run_id}} 200": "RunReply",
}
"""Replies whose routes return plain dictionaries."""
FORMATS_OF: dict[str, dict[str, dict[str, Any]]] = {
    "GET /v1/regions/{region}/incidents 200": {
        "application/geo+json": reference("FeatureCollection"),
        "text/csv": {"type": "string"},
        "application/vnd.apache.parquet": {"type": "string", "format": "binary"},
    },
    f"GET {_BACKTESTS}/{{run_id}}/cap 200": PICTURES,
    f"GET {_BACKTESTS}/{{run_id}}/calibration 200": PICTURES,
    f"GET {_BACKTESTS}/{{run_id}}/report 200": {"text/html": {"type": "string"}},
    f"GET {_RUNS}/{{run_id}}/events 200": {"text/event-stream": {"type": "string"}},
    "GET /v1/regions/{region}/fairness-report 200": {
        "application/json": {"type": "object"},
        **PICTURES,
    },
    "GET /v1/regions/{region}/data-report 200": {
        "application/json": {"type": "object"},
        "text/html": {"type": "string"},
        **PICTURES,
    },
    f"GET {_MODELS}/{{version}}/card 200": {
        "application/json": {"type": "object"},
        "text/markdown": {"type": "string"},
        "text/html": {"type": "string"},
    },
    "GET /metrics 200": {"text/plain": {"type": "string"}},
}
"""Replies of other types than JSON whose routes do not say so."""
ARGUMENTS = {
    "region": "toronto",
    "version": "stack-20220101T050000Z-0c4cc6f7a69d237c8b",
    "run_id": "539610f0-9967-4cbd-8cd2-8f33ab84e18e",
    "external_id": "2021-118237",
    "name": "portal",
    "upload": 7,
    "z": 12,
    "x": 1144,
    "y": 1495,
}
"""Of paths."""
_REGION = "$request.path.region"
LINKS: dict[str, tuple[tuple[str, dict[str, str]], ...]] = {
    "POST /v1/regions 201": (
        ("GET /v1/regions/{region}", {"region": "$response.body#/id"}),
        ("POST /v1/regions/{region}/incidents", {"region": "$response.body#/id"}),
        (f"POST {_RUNS}", {"region": "$response.body#/id"}),
    ),
    "GET /v1/regions 200": (
        ("GET /v1/regions/{region}", {"region": "$response.body#/regions/0/id"}),
    ),
    "GET /v1/regions/{region} 200": tuple(
        (f"GET /v1/regions/{{region}}/{rest}", {"region": "$response.body#/id"})
        for rest in (
            "forecasts/density",
            "forecasts/hotspots",
            "forecasts/samples",
            "forecasts/series",
            "models",
            "incidents",
            "tiles/tilejson.json",
        )
    ),
    f"POST {_RUNS} 202": (
        (f"GET {_RUNS}/{{run_id}}", {"region": _REGION, "run_id": "$response.body#/id"}),
        (f"DELETE {_RUNS}/{{run_id}}", {"region": _REGION, "run_id": "$response.body#/id"}),
    ),
    f"POST {_BACKTESTS} 202": (
        (f"GET {_BACKTESTS}/{{run_id}}", {"region": _REGION, "run_id": "$response.body#/id"}),
        (f"DELETE {_BACKTESTS}/{{run_id}}", {"region": _REGION, "run_id": "$response.body#/id"}),
    ),
    f"GET {_MODELS} 200": (
        (f"GET {_MODELS}/{{version}}", {"region": _REGION, "version": "$response.body#/champion"}),
        (
            f"POST {_MODELS}/{{version}}/promote",
            {"region": _REGION, "version": "$response.body#/models/0/version"},
        ),
    ),
    "GET /v1/regions/{region}/forecasts/density 200": tuple(
        (
            f"GET /v1/regions/{{region}}/forecasts/{rest}",
            {
                "path.region": _REGION,
                "query.at": "$response.body#/at",
                "query.model": "$response.body#/model_version",
            },
        )
        for rest in ("hotspots", "samples", "series")
    ),
}
"""From a reply to the calls that its members are arguments of."""


class HotslotApi(FastAPI):
    """FastAPI whose document also has what routes cannot say by themselves."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _completed(
                get_openapi(
                    title=self.title,
                    version=self.version,
                    summary=self.summary,
                    routes=self.routes,
                    tags=self.openapi_tags,
                    servers=self.servers,
                )
            )
        return self.openapi_schema

    def setup(self) -> None:
        """Serve the document from memory: made anew for each request it would take ten milliseconds."""
        replies = KeptReplies()

        async def document(request: Request) -> Response:
            return await replies.reply(request, "openapi", self._content, "application/json")

        self.add_route("/openapi.json", document, include_in_schema=False)

    def _content(self) -> bytes:
        return orjson.dumps(self.openapi())


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each operation by its method and path, as in `GET /v1/regions`."""
    return {
        f"{method.upper()} {path}": item[method]
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    }


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    documented: tuple[type[BaseModel], ...] = (*SCHEMAS, AreasRequest, NewRegion, ScoreRequest)
    _, found = models_json_schema(
        [(model, "validation") for model in documented],
        ref_template="#/components/schemas/{model}",
    )
    document.setdefault("components", {}).setdefault("schemas", {}).update(found["$defs"])
    document["components"]["securitySchemes"] = {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    }
    document["security"] = [
        {},
        {"ApiKey": []},
    ]  # no key is asked for on loopback until there is one
    known = operations(document)
    for name, operation in known.items():
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" and parameter["name"] in ARGUMENTS:
                parameter["example"] = ARGUMENTS[parameter["name"]]
        for status, reply in operation["responses"].items():
            key = f"{name} {status}"
            if key in REPLY_OF:
                reply["content"]["application/json"]["schema"] = reference(REPLY_OF[key])
            if key in FORMATS_OF:
                reply["content"] = {
                    media_type: {"schema": schema} for media_type, schema in FORMATS_OF[key].items()
                }
            if key in LINKS:
                reply["links"] = _links(known, LINKS[key])
            _set_examples(reply, _examples().get(name, {}).get(status))
    return document


def _links(
    known: dict[str, dict[str, Any]], links: tuple[tuple[str, dict[str, str]], ...]
) -> dict[str, Any]:
    return {
        known[target]["operationId"]: {
            "operationId": known[target]["operationId"],
            "parameters": parameters,
        }
        for target, parameters in links
    }


def _set_examples(reply: dict[str, Any], examples: dict[str, Any] | None) -> None:
    """Examples by media type."""
    for media_type, example in (examples or {}).items():
        reply["content"][media_type]["example"] = example


@lru_cache(maxsize=1)
def _examples() -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(EXAMPLES.read_text())
    return found
