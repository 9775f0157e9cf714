"""What forecasts were worth in thinned cities, by number of incidents and delay, read between the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluation.worth import TYPICAL_GAINS
from models.units import FloatArray

FILE = Path(__file__).with_name("table.json")
"""Written by `make bench PART=worth` with `HOTSLOT_BENCH_OUT`."""
ENDS = ("mean", "lo", "hi", "lowest", "highest")


@dataclass(frozen=True)
class TypicalWorth:
    """What cities of a size and delay got.

    Args:
        n, delay_days: as looked up, within the table.
        n_cities: how many were measured at the sizes around.
        list_share: share of all incidents that last year's list caught.
        gains: {gain: `mean`, its 95 % bounds `lo` and `hi`, the `lowest` and the `highest` city}.
    """

    n: int
    delay_days: int
    n_cities: int
    list_share: float
    gains: dict[str, dict[str, float]]


class WorthTable:
    """Gains at sizes (S,) and delays (D,), linear in the logarithm of the size and in the days between them.

    Args:
        stored: as `benchmarks/quality/worth.py` writes it.
    """

    def __init__(self, stored: Mapping[str, Any]) -> None:
        rows = {(row["n"], row["delay_days"]): row for row in stored["rows"]}
        self.model: str = stored["model"]
        self.sizes = sorted({n for n, _ in rows})
        self.delays_days = sorted({days for _, days in rows})
        self._n_cities = [len(rows[n, self.delays_days[0]]["cities"]) for n in self.sizes]
        self._list_share = self._grid(rows, lambda row: row["list_share"])
        self._gains = {
            (gain, end): self._grid(rows, lambda row, g=gain, e=end: row["gains"][g][e])
            for gain in TYPICAL_GAINS
            for end in ENDS
        }

    def at(self, n_incidents: int, delay_days: int) -> TypicalWorth:
        """Return what is between the rows; beyond the table, what is at its edge."""
        n = int(np.clip(n_incidents, self.sizes[0], self.sizes[-1]))
        days = int(np.clip(delay_days, self.delays_days[0], self.delays_days[-1]))
        around = np.searchsorted(self.sizes, [n, n], side="left")
        return TypicalWorth(
            n,
            days,
            min(self._n_cities[max(int(k), 0)] for k in around),
            self._between(self._list_share, n, days),
            {
                gain: {end: self._between(self._gains[gain, end], n, days) for end in ENDS}
                for gain in TYPICAL_GAINS
            },
        )

    def _grid(self, rows: Mapping[tuple[int, int], Any], value: Any) -> FloatArray:
        """Return values (S, D)."""
        return np.array([[value(rows[n, d]) for d in self.delays_days] for n in self.sizes])

    def _between(self, values: FloatArray, n: int, days: int) -> float:
        by_delay = [np.interp(np.log(n), np.log(self.sizes), column) for column in values.T]
        return float(np.interp(days, self.delays_days, by_delay))


def least_size(rows: Sequence[TypicalWorth], gain: str) -> int | None:
    """Return the size from which on all rows (ascending) have a gain as `outcome` says; None: no row."""
    least = None
    for row in reversed(rows):
        if outcome(row.gains[gain]) != "more":
            break
        least = row.n
    return least


def outcome(gain: Mapping[str, float]) -> str:
    """Return `more` or `fewer` if beyond chance, `mixed` if so but not in each city measured; else `same`."""
    if gain["lo"] > 0:
        return "more" if gain.get("lowest", 1) > 0 else "mixed"
    if gain["hi"] < 0:
        return "fewer" if gain.get("highest", -1) < 0 else "mixed"
    return "same"


@cache
def worth_table() -> WorthTable:
    """Return the table of this release."""
    return WorthTable(json.loads(FILE.read_text(encoding="utf-8")))
