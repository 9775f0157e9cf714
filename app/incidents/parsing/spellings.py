"""One spelling for each kind: `THEFT`, `Theft ` and `theft` are one category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from app.incidents.parsing.rules import ParsedBlock
from app.regions.kinds import folded


@dataclass(frozen=True)
class Spelling:
    """How a kind is written, and the text of it that goes into deduplication keys."""

    name: str
    hashed: str


class Spellings:
    """Replaces each category by the spelling that the region has, or else the upload's first one.

    Args:
        known: the region's spellings by folded name.
        limit: how many new ones to remember; a region takes no more of them.
    """

    def __init__(self, known: Mapping[str, Spelling], limit: int) -> None:
        self._known = dict(known)
        self._limit = len(known) + limit

    def applied(self, block: ParsedBlock) -> ParsedBlock:
        """Return the block with one spelling for each kind, and with what its keys are made of."""
        codes, names = pd.factorize(block.category)
        found = [self._of(str(name)) for name in names]
        spelt = np.array([one.name for one in found], object)
        hashed = np.array([one.hashed for one in found], object)
        return replace(block, category=spelt[codes], hashed=hashed[codes])

    def _of(self, name: str) -> Spelling:
        fold = folded(name)
        found = self._known.get(fold)
        if found is None:
            found = Spelling(name, fold)
            if len(self._known) < self._limit:
                self._known[fold] = found
        return found
