"""Codes of the kinds of incidents that were read by the keys of their stored categories."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.regions.kinds import KindKey, folded

Codes = NDArray[np.int32]


def chosen(keys: Mapping[int, KindKey], kinds: Collection[str] | None) -> dict[int, KindKey]:
    """Return the stored categories whose incidents may be of these kinds (None: all)."""
    if kinds is None:
        return dict(keys)
    wanted = {folded(kind) for kind in kinds}
    return {
        key: found
        for key, found in keys.items()
        if wanted & {folded(name) for name in (found.now, found.before) if name is not None}
    }


def kind_codes(
    keys: Mapping[int, KindKey],
    category_key: NDArray[Any],
    time_s: NDArray[Any],
    rest: str | None = None,
) -> tuple[Codes, list[str]]:
    """Return each incident's code (n,) and the kinds that the codes stand for.

    Args:
        keys: what stored categories count as.
        rest: the kind, with the last code, of incidents of other categories; None: there are none.
    """
    names = list(
        dict.fromkeys(n for k in keys.values() for n in (k.now, k.before) if n is not None)
    )
    place = {name: code for code, name in enumerate(names)}
    size = 1 + max(max(keys, default=0), int(category_key.max(initial=0)))
    table = np.full(size, len(names), np.int32)
    for key, found in keys.items():
        table[key] = place[found.now]
    codes = table[category_key]
    for key, found in keys.items():
        if found.before is not None:
            early = (category_key == key) & (time_s < found.since_s)
            codes[early] = place[found.before]
    if rest is not None and np.any(codes == len(names)):
        names.append(rest)
    return codes, names


def of_kinds(codes: Codes, names: list[str], kinds: Collection[str]) -> NDArray[np.bool_]:
    """Return which incidents are of these kinds."""
    wanted = {folded(kind) for kind in kinds}
    return np.array([folded(name) in wanted for name in names], bool)[codes]
