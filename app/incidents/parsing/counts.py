"""Expand rows that stand for several incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.rules import ParsedBlock

MAX_COUNT = 1_000
"""Incidents of one row; a larger number is rather a total."""


def counts_of(values: Sequence[Any], errors: RowErrors) -> NDArray[np.int64]:
    """Return (n,) how many incidents each row stands for; reject rows with another value."""
    raw = pd.Series(list(values), dtype=object).map(lambda v: None if _is_odd(v) else v)
    numbers = pd.to_numeric(raw, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    good = (numbers >= 1) & (numbers <= MAX_COUNT) & (np.floor(numbers) == numbers)
    for place in np.flatnonzero(~good & ~errors.bad)[:1]:
        errors.add(~good, "count", "bad_count", value=str(values[place])[:40], limit=MAX_COUNT)
    return np.where(good, numbers, 1).astype(np.int64)


def _is_odd(value: Any) -> bool:
    """Return whether a value is no count; pandas fails at a whole number of 400 digits."""
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) > MAX_COUNT)


def expanded(block: ParsedBlock, counts: NDArray[np.int64]) -> ParsedBlock:
    """Return a block with each row as often as it counts; further copies of an id get `#2`, `#3`, ...

    Args:
        counts: of all rows of the raw block.
    """
    times = counts[block.row]
    if (times == 1).all():
        return block
    given: dict[str, Any] = {f.name: getattr(block, f.name) for f in fields(block)}
    found: dict[str, Any] = {
        n: None if held is None else np.repeat(held, times) for n, held in given.items()
    }
    place = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    ids = np.repeat(block.external_id, times)
    for copy in np.flatnonzero((place > 0) & (ids != np.array(None))):
        ids[copy] = f"{ids[copy]}#{place[copy] + 1}"
    return ParsedBlock(**{**found, "external_id": ids})
