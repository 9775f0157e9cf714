"""Hide small numbers of incidents, so that published totals do not reveal them either."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from models.evaluation.hotspot_area import disparity
from models.units import FloatArray

OTHER = "other"
"""Name under which small categories are counted together."""


def fold_categories(counts: Mapping[str, int], minimum: int) -> dict[str, int]:
    """Count categories with few incidents together as `OTHER`.

    Since the total is known, one hidden category, or a few small ones, could be computed from it; so the
    next larger ones join them.

    >>> fold_categories({"theft": 90, "assault": 25, "arson": 1}, 20)
    {'theft': 90, 'other': 26}
    """
    folded = {name for name, n in counts.items() if n < minimum}
    if OTHER in counts and folded:
        folded.add(OTHER)
    for name in sorted(counts, key=lambda one: (counts[one], one)):
        if not folded or sum(counts[one] for one in folded) >= minimum:
            break
        folded.add(name)
    shown = {name: n for name, n in counts.items() if name not in folded}
    rest = sum(counts[name] for name in folded)
    return {**shown, OTHER: rest} if rest else shown


def fold_names(names: Iterable[str] | None, shown: Collection[str]) -> list[str] | None:
    """Return category names that everyone may see; all others become `OTHER`.

    >>> fold_names(["arson", "theft"], {"theft", "other"}), fold_names(None, ())
    (['theft', 'other'], None)
    """
    if names is None:
        return None
    return list(
        dict.fromkeys(name if name in shown else OTHER for name in _rare_last(names, shown))
    )


def _rare_last(names: Iterable[str], shown: Collection[str]) -> list[str]:
    return sorted(names, key=lambda name: name not in shown)


def too_small(counts: Sequence[int], minimum: int) -> set[int]:
    """Return the positions of counts to hide: small ones, and more if the total would reveal them.

    The counts sum to a published total: one hidden count, or a small sum of hidden ones, could be computed
    from the others.
    """
    found = {i for i, count in enumerate(counts) if count < minimum}
    for i in sorted(range(len(counts)), key=lambda i: counts[i]):
        if not found or (len(found) > 1 and sum(counts[j] for j in found) >= minimum):
            break
        found.add(i)
    return found


def grouped_disparity(
    flagged_share: FloatArray, incident_share: FloatArray, left_out: set[int]
) -> dict[str, float]:
    """Compute `disparity` of shares by part, with the parts left out merged into one.

    Separately each would reveal its number, since flagged shares and the hidden total are known.
    """
    hidden_ones = sorted(left_out)
    both = [
        np.append(np.delete(share, hidden_ones), share[hidden_ones].sum())
        for share in (flagged_share, incident_share)
    ]
    return dict(disparity(*(both if left_out else (flagged_share, incident_share))))


def hidden(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without values that reveal a small number of incidents."""
    secret = ("incident", "ratio")
    return {k: None if k.startswith(secret) else v for k, v in row.items()} | {"hidden": True}
