"""What makes a place's forecast: factors between it and an average place of the city at an average hour.

The place's share of the incidents is followed from its share of the area to its share in the forecast
that is served, through densities that know one thing more each: all hours of the week (all incidents,
as trained), the categories asked for, the state, the hours asked for. What the density of all hours is
made of (drift, recent weeks, near repeats) is averaged over all orders (`models.densities.ingredients`);
the long run is what remains. The logarithms of the parts therefore sum to that of the whole, for one cell
and for any set of cells.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray

from app.forecasts.forecast import Forecast
from app.forecasts.kinds import shares_of
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from models.counts.fit import Slots
from models.units import N_WINDOWS, FloatArray


@dataclass(frozen=True)
class Parts:
    """The factors of a place's forecast.

    Args:
        log_ratio: {part: natural logarithm of its factor}, in the order in which they are taken.
        average_count: expected incidents of an average place of the same area, in as many hours of
            average weeks of that time of year.
        split: whether the version says what its long run, drift and so on are.
    """

    log_ratio: dict[str, float]
    average_count: float
    split: bool

    @property
    def total(self) -> float:
        """The logarithm of how many times an average place this one is."""
        return sum(self.log_ratio.values())


def parts_of(service: ForecastService, forecast: Forecast, rows: NDArray[np.int64]) -> Parts:
    """Split the forecast of some cells of the version's own grid."""
    version, codes = forecast.version, forecast.plan.codes
    area = float(version.grid.area_km2[rows].sum() / version.grid.area_km2.sum())
    density = service.tables.all_hours(version, None)
    ingredients = service.tables.ingredients(version)
    effects: dict[str, float] = {}
    if ingredients is not None:
        effects = ingredients.effects(ingredients.tables[:, rows].sum(axis=1))
    known = _log(density[rows].sum())
    found = {"long_run": known - log(area) - sum(effects.values()), **effects}

    def follow(name: str, share: float) -> None:
        nonlocal known
        found[name] = _log(share) - known
        known = _log(share)

    if codes is not None:
        density = service.tables.all_hours(version, codes)
        follow("category", density[rows].sum())
    if version.state is not None:
        follow("state", _in_state(service, forecast, density)[rows].sum())
    follow("own_hours", forecast.count_share[rows].sum())
    average = _average_hours(version, forecast.plan.slots, codes)
    found["city_hours"] = _log(forecast.expected_total) - _log(average)
    return Parts(found, average * area, ingredients is not None)


def _log(value: float) -> float:
    """Return the logarithm, of zero that of the least number."""
    return log(max(float(value), sys.float_info.min))


def _in_state(service: ForecastService, forecast: Forecast, density: FloatArray) -> FloatArray:
    """Return a density (N,) as the state changes it in the slots, by their means."""
    version = forecast.version
    if version.state is None:
        return density
    total = np.zeros(len(density))
    leads, place = np.unique(forecast.plan.lead_days, return_inverse=True)
    mean = forecast.slot_mean if forecast.slot_mean.sum() > 0 else np.ones(len(place))
    weights = np.bincount(place, mean) / mean.sum()
    for lead, weight in zip(leads.tolist(), weights.tolist(), strict=True):
        moved = density * service.tables.ratio(version, version.state, lead)
        total += weight * moved / moved.sum()
    return total


def _average_hours(version: LoadedVersion, slots: Slots, codes: tuple[int, ...] | None) -> float:
    """Return the incidents of the city in as many average hours of the week, at that level and season."""
    counts = version.counts
    flat = replace(counts, profile=(1.0,) * N_WINDOWS)
    usual = replace(slots, holiday=np.zeros(len(slots), np.bool_))
    total = float(flat.mean(usual).sum())
    if codes is None:
        return total
    weights = tuple((code, 1.0) for code in codes)
    shares = shares_of(counts, weights, range(N_WINDOWS)).sum(axis=0)
    profile = np.array(counts.profile)
    return total * float(shares @ profile / profile.sum())
