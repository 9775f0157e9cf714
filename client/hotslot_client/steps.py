"""What a call does, step by step, without doing it: each call is declared once for two clients.

A call is a generator. It yields requests and pauses, which `Client` carries out one after another and
`AsyncClient` awaits, receives the replies, and returns the result.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar, overload

if TYPE_CHECKING:
    from hotslot_client.clients import AsyncClient, Client

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Send:
    """A request; answered by an `httpx.Response`, or the `httpx.TransportError` in its place."""

    method: str
    path: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Wait:
    """A pause; answered by None."""

    seconds: float


Steps: TypeAlias = Generator[Send | Wait, Any, R]
"""Requests and pauses that end with an R: `Client` returns it, `AsyncClient` an awaitable of it."""


class Call(Generic[P, R]):
    """Decorate a method that returns steps: clients carry them out."""

    def __init__(self, steps: Callable[Concatenate[Any, P], Steps[R]]) -> None:
        self.steps = steps

    @overload
    def __get__(self, client: None, owner: type) -> Callable[Concatenate[Any, P], Steps[R]]: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, client: Client | AsyncClient | None, owner: type) -> Callable[..., Any]:
        """Return the method of a client."""
        if client is None:
            return self.steps

        def carried_out(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.carry_out(self.steps(client, *args, **kwargs))

        return functools.update_wrapper(carried_out, MethodType(self.steps, client))


class Pages(Generic[R]):
    """Pages of a listing, fetched as they are needed: `for` with `Client`, `async for` with `AsyncClient`."""

    def __init__(self, client: Any, page: Callable[[Any], Steps[tuple[R, Any]]]) -> None:
        self._client = client
        self.page = page

    def __iter__(self) -> Iterator[R]:
        following: Any = None
        while True:
            found, following = self._client.carry_out(self.page(following))
            yield found
            if following is None:
                return

    async def __aiter__(self) -> AsyncIterator[R]:
        following: Any = None
        while True:
            found, following = await self._client.carry_out(self.page(following))
            yield found
            if following is None:
                return
