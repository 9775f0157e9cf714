"""A plan that follows the one before: zones stay unless moving gains beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from app.forecasts.forecast import Forecast
from app.forecasts.zones.selection import Ground, Rows
from models.zones.problem import TOLERANCE
from models.zones.stability import Gain, Uncertainty, gain_of, paired

DAY_HOURS = 24
YEAR_DAYS = 365
Status = Literal["kept", "moved", "new"]


@dataclass(frozen=True)
class Followed:
    """Zones with their status, and the status and the gain of each former one."""

    zones: list[Rows]
    status: list[Status]
    former: list[tuple[Status, Gain | None]]

    def to_json(self) -> dict[str, Any]:
        """Return what the reply says of the former zones, in their order."""
        zones = [
            {"status": status}
            if gain is None
            else {"status": status, "gain": gain.ratio, "gain_lo": gain.lo, "gain_hi": gain.hi}
            for status, gain in self.former
        ]
        return {"moved": sum(status == "moved" for status, _ in self.former), "zones": zones}


def followed(ground: Ground, previous: Sequence[Rows]) -> Followed:
    """Return the best zones that keep each former one unless another is better beyond chance.

    Each former zone is compared with the zone that the best plan has for it. Those that stay are fixed,
    and the rest of the budget is searched beside them. Former zones that are no longer allowed, or exceed
    number or area, move.
    """
    forecast, options = ground.forecast, ground.options
    area_km2 = forecast.cells.area_km2
    best = ground.best(options.n, options.max_km2)
    uncertainty = uncertainty_of(forecast)
    pairs = paired(list(previous), best, forecast.probability, ground.places_m)
    former: list[tuple[Status, Gain | None]] = []
    staying: list[Rows] = []
    left_km2 = options.max_km2 * (1 + TOLERANCE)
    for place, zone in enumerate(previous):
        gain = gain_of(best[pairs[place]], zone, uncertainty) if place in pairs else None
        area = float(area_km2[zone].sum())
        stays = gain is not None and not gain.is_beyond_chance
        if stays and np.isin(zone, ground.rows).all() and area <= left_km2:
            staying.append(zone)
            left_km2 -= area
            former.append(("kept", gain))
        else:
            former.append(("moved", gain))
    rest = ground.best(options.n - len(staying), left_km2, staying) if staying else best
    n_moved = len(previous) - len(staying)
    status: list[Status] = ["kept"] * len(staying)
    status += ["moved" if place < n_moved else "new" for place in range(len(rest))]
    return Followed([*staying, *rest], status, former)


def uncertainty_of(forecast: Forecast) -> Uncertainty:
    """Return how far the expected counts may be off: by the version's band, else as counted in a year.

    Without a band, rates are taken to be as well known as from counts in a year of such hours, once a day.
    """
    per_day = DAY_HOURS / max(DAY_HOURS, len(forecast.slot_mean))
    weighted = forecast.harm_total is not None
    mean = forecast.probability * forecast.expected_total if weighted else forecast.expected_count
    return Uncertainty(mean, forecast.log_variance, YEAR_DAYS * per_day)
