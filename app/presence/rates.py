"""What was recorded with and without presence: rates by cell and hour, which prove no effect."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.messages import MessageTable
from app.presence.exposure import Exposure, FloatArray

NOTES = MessageTable(
    {
        "presence_no_proof": "Where somebody was and what was recorded there, side by side: no proof of an "
        "effect. Patrols go where incidents are expected, and find some themselves; compare only what "
        "was assigned by chance."
    }
)
NORMAL_95 = 1.959964
PER_KM2_HOURS = 1_000
AtHours = Callable[[int, int], NDArray[Any]]
"""Returns (N, K) for K hours from one on, both by their place in the period."""


class Recorded(NamedTuple):
    """Incidents by cell and hour of the period: (m,) each; the weights of an incident sum to one."""

    cell: NDArray[np.int64]
    slot: NDArray[np.int64]
    weight: FloatArray


@dataclass(frozen=True)
class _Sums:
    """What of the period's incidents and expectations came with presence; hours by cell."""

    hours: FloatArray
    flagged_hours: float
    km2_hours: float
    incidents: list[float]
    expected: float
    visited: NDArray[np.bool_]


def presence_report(
    exposure: Exposure,
    area_km2: FloatArray,
    recorded: dict[str, Recorded],
    flagged: AtHours,
    expected: AtHours,
    expected_total: FloatArray,
) -> tuple[dict[str, Any], FloatArray]:
    """Compare hours in hotspots with hours elsewhere, and incidents with and without presence.

    Args:
        exposure: presence in the period.
        area_km2: (N,) of the cells.
        recorded: incidents by name of their kind, each compared alone.
        flagged: whether a cell is a hotspot.
        expected: incidents that were expected, of any scale.
        expected_total: (N,) their sum over all hours of the period.

    Returns:
        The report, and unit hours (N,) by cell.
    """
    sums = _sums(exposure, area_km2, list(recorded.values()), flagged, expected)
    inside = float(sums.hours.sum())
    km2_hours = _split(sums.km2_hours, area_km2 * exposure.n_slots, sums.visited)
    expectation = _split(sums.expected, expected_total, sums.visited)
    rates = {}
    for place, (name, one) in enumerate(recorded.items()):
        by_cell: FloatArray = np.bincount(one.cell, one.weight, exposure.n_cells).astype(float)
        found = _split(sums.incidents[place], by_cell, sums.visited)
        rates[name] = _rates(found, expectation, km2_hours)
    report = {
        "unit_hours": exposure.hours,
        "unit_hours_inside": inside,
        "unit_hours_in_hotspots": sums.flagged_hours,
        "share_in_hotspots": sums.flagged_hours / inside if inside > 0 else None,
        "cells_visited": int(np.count_nonzero(sums.visited)),
        "rates": rates,
        "warnings": [NOTES.make("presence_no_proof").to_json()],
    }
    return report, sums.hours


def _sums(
    exposure: Exposure,
    area_km2: FloatArray,
    recorded: list[Recorded],
    flagged: AtHours,
    expected: AtHours,
) -> _Sums:
    n_cells = exposure.n_cells
    hours, visited = np.zeros(n_cells), np.zeros(n_cells, bool)
    flagged_hours = km2_hours = expectation = 0.0
    incidents = [0.0] * len(recorded)
    for part in exposure:
        n = part.cover.shape[1]
        hours += part.present.sum(axis=1)
        visited |= part.cover.any(axis=1)
        flagged_hours += float(part.present[flagged(part.first, n)].sum())
        km2_hours += float(area_km2 @ part.cover.sum(axis=1))
        expectation += float((part.cover * expected(part.first, n)).sum())
        for place, one in enumerate(recorded):
            mine = (one.slot >= part.first) & (one.slot < part.first + n)
            cover = part.cover[one.cell[mine], one.slot[mine] - part.first]
            incidents[place] += float(one.weight[mine] @ cover)
    return _Sums(hours, flagged_hours, km2_hours, incidents, expectation, visited)


def _split(present: float, by_cell: FloatArray, visited: NDArray[np.bool_]) -> dict[str, float]:
    """Return what came with presence, in the same cells without, and in cells never visited."""
    same = float(by_cell[visited].sum())
    absent = max(same - present, 0.0)
    return {"present": present, "absent": absent, "elsewhere": float(by_cell[~visited].sum())}


def _rates(
    incidents: dict[str, float], expected: dict[str, float], km2_hours: dict[str, float]
) -> dict[str, Any]:
    total = sum(expected.values())
    # On the scale of what was recorded: expectations of a share of the kinds are as good.
    scale = sum(incidents.values()) / total if total > 0 else 0.0
    return {
        **{
            where: {
                "km2_hours": km2_hours[where],
                "incidents": round(incidents[where], 6),
                "expected": expected[where] * scale,
                "per_1000_km2_hours": _over(PER_KM2_HOURS * incidents[where], km2_hours[where]),
                "per_expected": _over(incidents[where], expected[where] * scale),
            }
            for where in incidents
        },
        **_ratio(incidents, expected),
    }


def _over(value: float, base: float) -> float | None:
    return value / base if base > 0 else None


def _ratio(incidents: dict[str, float], expected: dict[str, float]) -> dict[str, float | None]:
    """Compare incidents per expected one with presence to those in the same cells without it.

    The 95 % interval is that of two Poisson counts: too narrow where incidents cluster.
    """
    one, other = incidents["present"], incidents["absent"]
    base = expected["present"], expected["absent"]
    if min(one, other, *base) <= 0:
        return {"ratio": None, "ratio_lo": None, "ratio_hi": None}
    log_ratio = math.log(one / base[0]) - math.log(other / base[1])
    reach = NORMAL_95 * math.sqrt(1 / one + 1 / other)
    low, middle, high = (math.exp(log_ratio + step) for step in (-reach, 0.0, reach))
    return {"ratio": middle, "ratio_lo": low, "ratio_hi": high}
