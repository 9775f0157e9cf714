"""Refuse misspelt and repeated parameters: `catgory=robbery` would answer for all categories and look
right, `window=3&window=5` for the last one alone.

Other names that a route does not know are ignored, as is usual on the web: the same selectors may be
sent to routes that use only some of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import get_args, get_origin
from urllib.parse import parse_qsl

from annotated_types import MaxLen
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant

from app.core.errors import InvalidInput
from app.core.texts import shortened

LIKENESS = 0.75
MAX_REMEMBERED = 1024
MAX_REMEMBERED_BYTES = 512
MAX_NAME_CHARS = 40
"""Longest name compared: comparing takes time with the square of the length."""
MAX_UNKNOWN = 10
"""Names compared at most: a URL may have thousands, and each takes a fifth of a millisecond."""


def check_names(
    query: bytes,
    known: frozenset[str],
    anywhere: frozenset[str],
    lists: frozenset[str] = frozenset(),
) -> None:
    """Refuse a repeated parameter of this route, and one that no route has and that resembles one.

    Args:
        query: the query string.
        known: names of the route's parameters.
        anywhere: names of all routes' parameters.
        lists: names of the route's parameters that may be repeated.

    Raises:
        InvalidInput: names the repeated parameter, or the one that was probably meant.
    """
    if len(query) <= MAX_REMEMBERED_BYTES:
        _check_short(query, known, anywhere, lists)
    else:
        _check(query, known, anywhere, lists)


def _check(
    query: bytes, known: frozenset[str], anywhere: frozenset[str], lists: frozenset[str]
) -> None:
    given = Counter(n for n, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    for name, times in given.items():
        if times > 1 and name in known and name not in lists:
            raise InvalidInput(
                f"{name} is given {times} times; give it once",
                field=name,
                code="repeated_parameter",
            )
    unknown = (n for n in given if n not in anywhere and len(n) <= MAX_NAME_CHARS)
    for name in islice(unknown, MAX_UNKNOWN):
        if close := get_close_matches(name.lower(), sorted(known), 1, LIKENESS):
            raise InvalidInput(
                f"unknown parameter {shortened(name)}; did you mean {shortened(close[0])}?",
                field=name,
                code="unknown_parameter",
            )


_check_short = lru_cache(MAX_REMEMBERED)(_check)
"""Cache queries that passed: parsing one takes as long as sending a cached reply."""


def query_capacity(dependant: Dependant) -> dict[str, int]:
    """Return how often a route takes each query parameter, including those of its dependencies."""
    return {parameter.alias: _capacity(parameter) for parameter in _parameters(dependant)}


def _parameters(dependant: Dependant) -> Iterator[ModelField]:
    yield from dependant.query_params
    for one in dependant.dependencies:
        yield from _parameters(one)


def _capacity(parameter: ModelField) -> int:
    """Return a list's largest length; one for other parameters."""
    annotation = parameter.field_info.annotation
    is_list = any(get_origin(part) is list for part in (annotation, *get_args(annotation)))
    bounds = [m.max_length for m in parameter.field_info.metadata if isinstance(m, MaxLen)]
    return min(bounds, default=1) if is_list else 1
