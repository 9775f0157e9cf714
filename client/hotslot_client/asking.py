"""How calls ask the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import geopandas as gpd
import httpx

from hotslot_client.frames import to_frame, to_params
from hotslot_client.retries import attempts
from hotslot_client.steps import Call, Pages, Send, Steps

IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE")
R = TypeVar("R")


class Asking:
    """Steps that all calls are made of."""

    retries: int

    @Call
    def request(self, /, method: str, path: str, **options: Any) -> Steps[httpx.Response]:
        """Send any request (`params`, `json`, `content`, `headers`) and return the successful reply."""
        return (yield from self._ask(method, path, **options))

    def pages(self, path: str, **params: Any) -> Pages[dict[str, Any]]:
        """Return the pages of any listing whose replies have `next`, such as `/v1/regions/x/presence`."""
        return self._pages(path, params, dict)

    def _ask(
        self, method: str, path: str, *, idempotent: bool | None = None, **options: Any
    ) -> Steps[httpx.Response]:
        """Send a request with retries.

        Args:
            idempotent: whether it may be repeated; by default what the method says.
        """
        may = method in IDEMPOTENT if idempotent is None else idempotent
        return (yield from attempts(Send(method, path, options), self.retries, idempotent=may))

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Steps[dict[str, Any]]:
        reply = yield from self._ask("GET", path, params=to_params(params or {}))
        return dict(reply.json())

    def _post(
        self, path: str, body: Any, params: Mapping[str, Any] | None = None, **more: Any
    ) -> Steps[dict[str, Any]]:
        params = to_params(params or {})
        reply = yield from self._ask("POST", path, json=body, params=params, **more)
        return dict(reply.json())

    def _forecast(
        self, region: str, what: str, selectors: Mapping[str, Any]
    ) -> Steps[gpd.GeoDataFrame]:
        return to_frame((yield from self._get(f"/v1/regions/{region}/forecasts/{what}", selectors)))

    def _pages(
        self, path: str, params: Mapping[str, Any], decode: Callable[[dict[str, Any]], R]
    ) -> Pages[R]:
        """Return the pages of a listing.

        Of the link to the next page only the parameters count: its host may be that of a proxy.
        """

        def page(given: Any) -> Steps[tuple[R, Any]]:
            chosen = to_params(params) if given is None else given
            body = (yield from self._ask("GET", path, params=chosen)).json()
            following = body.get("next")
            return decode(body), following and httpx.URL(following).params

        return Pages(self, page)
