"""Which of a version's categories a request sums up, and with which weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import Engine

from app.core.caching.cache import TTLCache
from app.core.errors import InvalidInput, NotFound
from app.core.roles import sees_unreleased
from app.core.texts import shortened
from app.forecasts.plan import Harm
from app.forecasts.versions.loaded import LoadedVersion
from app.incidents.releases import known_categories
from app.regions.kinds import Kinds, folded
from app.regions.shifts import Shift, ShiftName, shifts_of
from app.regions.store import get_region
from models.counts.model import CountModel
from models.units import FloatArray

KINDS_TTL_S = 60.0
"""How long another process's changes may go unseen."""


class KindReader:
    """Reads and caches a region's shifts, what its categories count as, and which everyone may see."""

    def __init__(self, engine: Engine, brief: TTLCache) -> None:
        self.engine = engine
        self.brief = brief

    def forget(self, region_id: str) -> None:
        """Discard what is cached of a region."""
        self.brief.forget("kinds", region_id)
        self.brief.forget("shifts", region_id)
        self.brief.forget("shown categories", region_id)

    def is_cached(self, region_id: str) -> bool:
        """Return whether reading needs no database."""
        shifts = self.brief.recall("shifts", region_id, dict)
        known = self._cached(region_id), self._cached_shown(region_id), shifts
        return all(one is not None for one in known)

    def read_all(self, version: LoadedVersion) -> None:
        """Read and cache what requests for a version need."""
        self.read(version)
        self._shown(version)

    def read(self, version: LoadedVersion) -> Kinds:
        """Return the region's choices."""
        region_id = version.region.id
        found = self._cached(region_id)
        if found is None:
            settings = self._settings(region_id)
            found = Kinds.of(settings)
            self.brief.keep("kinds", region_id, found, KINDS_TTL_S)
            self.brief.keep("shifts", region_id, shifts_of(settings), KINDS_TTL_S)
        return found

    def shift(self, version: LoadedVersion, name: ShiftName) -> Shift:
        """Return one of the region's shifts."""
        region_id = version.region.id
        found = self.brief.recall("shifts", region_id, dict)
        if found is None:
            found = shifts_of(self._settings(region_id))
            self.brief.keep("shifts", region_id, found, KINDS_TTL_S)
        shift: Shift = found[name]
        return shift

    def _settings(self, region_id: str) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return get_region(connection, region_id).settings

    def codes(self, version: LoadedVersion) -> dict[str, int]:
        """Return codes of the categories that the caller may see; rare ones need the right to list."""
        known = version.category_codes
        if sees_unreleased.get():
            return known
        shown = self._shown(version)
        return {name: code for name, code in known.items() if name in shown}

    def _cached(self, region_id: str) -> Kinds | None:
        return self.brief.recall("kinds", region_id, Kinds)

    def _cached_shown(self, region_id: str) -> frozenset[str] | None:
        if sees_unreleased.get():
            return frozenset()
        return self.brief.recall("shown categories", region_id, frozenset)

    def _shown(self, version: LoadedVersion) -> frozenset[str]:
        """Return the categories that everyone may see; empty for callers who see all."""
        found = self._cached_shown(version.region.id)
        if found is None:
            with self.engine.begin() as connection:
                found = known_categories(connection, version.region)
            self.brief.keep("shown categories", version.region.id, found, KINDS_TTL_S)
        return found


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
