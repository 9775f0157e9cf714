"""Routes of OGC API: what a request gets wrong is 400 there, unknown parameters among it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.http.problems import problem_of, validation_problem
from app.http.query_params import query_capacity

BAD_REQUEST = 400


class OgcRoute(APIRoute):
    """A route whose errors have the statuses that OGC API - Features requires (7.4)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()
        known = frozenset(query_capacity(self.dependant))

        async def strict(request: Request) -> Response:
            try:
                _check(request, known)
                return await handle(request)
            except InvalidInput as error:
                return problem_of(error, BAD_REQUEST)
            except RequestValidationError as error:
                return validation_problem(error, BAD_REQUEST)

        return strict


def _check(request: Request, known: frozenset[str]) -> None:
    for name in request.query_params:
        if name not in known:
            names = ", ".join(sorted(known)) or "no parameter"
            raise InvalidInput(
                f"unknown parameter {shortened(name)}; this takes {names}",
                field=name,
                code="unknown_parameter",
            )
