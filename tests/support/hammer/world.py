"""What the hammer can ask about: the service's operations, and what is in one region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

METHODS = ("get", "post", "put", "delete")
READ_BY_POST = ("/forecasts/areas", "/forecasts/score", "/forecasts/zones")


@dataclass(frozen=True)
class Operation:
    """One method of one path, with its parameters' schemas."""

    method: str
    path: str
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As the API's document names it."""
        return f"{self.method} {self.path}"

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET" or self.path.endswith(READ_BY_POST)


@dataclass(frozen=True)
class World:
    """What can be asked about: a region, its versions, runs, extent and times."""

    region: str
    box: tuple[float, float, float, float]
    times: tuple[datetime, datetime]
    versions: list[str]
    categories: list[str]
    trainings: list[str]
    backtests: list[str]
    operations: list[Operation]

    @classmethod
    def seen(cls, client: httpx.Client, region: str) -> World:
        """Ask the service what it has."""

        def asked(path: str) -> Any:
            return client.get(path).raise_for_status().json()

        base = f"/v1/regions/{region}"
        shown = asked(base)
        return cls(
            region=region,
            box=tuple(asked(f"{base}/tiles/tilejson.json?window=3")["bounds"]),
            times=(
                datetime.fromisoformat(shown["first_at"]),
                datetime.fromisoformat(shown["last_at"]),
            ),
            versions=[m["version"] for m in asked(f"{base}/models")["models"]],
            categories=_names(shown["categories"]),
            trainings=[run["id"] for run in asked(f"{base}/training-runs")["training_runs"]],
            backtests=[run["id"] for run in asked(f"{base}/backtests")["backtests"]],
            operations=operations_of(asked("/openapi.json")),
        )


def _names(categories: Any) -> list[str]:
    return [c["name"] if isinstance(c, dict) else str(c) for c in categories]


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    """All operations of an OpenAPI document."""
    return [
        Operation(
            method.upper(),
            path,
            {
                p["name"]: p["schema"]
                for p in item[method].get("parameters", [])
                if p["in"] == "query"
            },
        )
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    ]
