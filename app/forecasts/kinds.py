"""Which of a version's categories a request sums up, and with which weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.core.errors import InvalidInput, NotFound
from app.core.texts import shortened
from app.forecasts.types import Harm
from app.forecasts.versions.loaded import LoadedVersion
from app.regions.kinds import Kinds, folded
from models.base import FloatArray
from models.counts.model import CountModel


def is_trained_with(version: LoadedVersion, kinds: Kinds) -> bool:
    """Return whether a version was trained with today's aliases."""
    revision = version.record.report.get("data", {}).get("kinds_revision", 0)
    return bool(revision == kinds.revision)


def codes_of(
    version: LoadedVersion, kinds: Kinds, known: Mapping[str, int], asked: tuple[str, ...]
) -> tuple[int, ...]:
    """Return the codes of the kinds, aliases or groups that a request names.

    Args:
        known: codes of the version's categories that the caller may see.

    Raises:
        NotFound: the version has no category of one of them.
    """
    same = is_trained_with(version, kinds)
    kind_of = {code: folded(name if same else kinds.kind(name)) for name, code in known.items()}
    found: set[int] = set()
    for name in asked:
        wanted = {folded(kind) for kind in kinds.expanded([name])}
        mine = {code for code, kind in kind_of.items() if kind in wanted}
        if not mine:
            raise NotFound(f"the model has no category {shortened(name)}", field="category")
        found |= mine
    return tuple(sorted(found))


def harm_of(
    version: LoadedVersion,
    kinds: Kinds,
    known: Mapping[str, int],
    codes: tuple[int, ...] | None,
) -> Harm:
    """Return the weights of the requested codes (None: all that the caller may see).

    Raises:
        InvalidInput: none of them has a weight.
    """
    by_code, named, unweighted = [], {}, []
    for name, code in known.items():
        if codes is not None and code not in codes:
            continue
        weight = kinds.weight(kinds.kind(name))
        if weight > 0:
            by_code.append((code, weight))
            named[kinds.kind(name)] = weight
        else:
            unweighted.append(name)
    if not by_code:
        raise InvalidInput(
            "no category of this forecast has a weight of harm; set weights by "
            "PUT /v1/regions/{region}/categories/weights or `hotslot categories weight`",
            field="weight",
            code="no_weights",
        )
    return Harm(tuple(by_code), tuple(sorted(named.items())), tuple(sorted(unweighted)))


def shares_of(
    counts: CountModel, weights: tuple[tuple[int, float], ...], windows: Any
) -> FloatArray:
    """Return the weighted share (len(weights), K) of each category in the incidents of windows (K,)."""
    return np.array(
        [[w * counts.category_share(code, int(one)) for one in windows] for code, w in weights]
    ).reshape(len(weights), len(windows))
