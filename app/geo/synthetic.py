"""A synthetic city whose true density is known, for the offline demo and for tests.

Incidents come from a mixture of axis-aligned Gaussians (streets are long and narrow, corners round)
and a uniform share, each component with its own profile over the hours of the week, all truncated to a
rectangle in metres. Cell probabilities follow in closed form from the normal
distribution function, so a model's score can be compared with the truth's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.special import ndtr

from app.core.caching.once import once
from app.geo.grid import Grid
from app.geo.hour_of_week import HOUR_S, N_WINDOWS, windows_of
from app.geo.study_area import StudyArea, to_degrees

CRS = "EPSG:32618"
TIMEZONE = "America/Bogota"
CATEGORIES = ("burglary", "robbery", "theft", "vehicle")
UNIFORM_SHARE = 0.03
_WEST_M, _SOUTH_M, _WIDTH_M, _HEIGHT_M = 600_000.0, 512_000.0, 9_000.0, 7_000.0
_START_S = 1_546_300_800  # 2019-01-01T00:00Z
_DAY_S = 86_400
_MAX_TRIES = 100


def _profiles() -> NDArray[np.float64]:
    """Return (4, 168) relative rates: homes by day, nightlife, commuting, evenly."""
    hour = np.arange(N_WINDOWS) % 24
    weekend = np.arange(N_WINDOWS) // 24 >= 5

    def bump(centre_h: float, width_h: float) -> NDArray[np.float64]:
        away = np.abs((hour - centre_h + 12) % 24 - 12)
        height: NDArray[np.float64] = np.exp(-0.5 * (away / width_h) ** 2)
        return height

    homes = 0.2 + bump(13, 3) * np.where(weekend, 0.6, 1.0)
    nightlife = 0.05 + bump(0, 2.5) * np.where(weekend, 2.0, 0.6)
    commuting = 0.1 + (bump(8, 1.5) + bump(18, 2)) * np.where(weekend, 0.3, 1.0)
    even = np.full(N_WINDOWS, 0.5)
    return np.stack([homes, nightlife, commuting, even])


@dataclass(frozen=True)
class SyntheticCity:
    """Mixture components; arrays of shape (K,) unless noted, metres."""

    centre_x_m: NDArray[np.float64]
    centre_y_m: NDArray[np.float64]
    sd_x_m: NDArray[np.float64]
    sd_y_m: NDArray[np.float64]
    weight: NDArray[np.float64]
    kind: NDArray[np.int64]
    """Row of the profile that each component follows, and its category."""

    @once
    def area(self) -> StudyArea:
        """The rectangle that all incidents lie in."""
        rectangle = shapely.box(
            _WEST_M, _SOUTH_M, _WEST_M + _WIDTH_M, _SOUTH_M + _HEIGHT_M, ccw=True
        )
        return StudyArea(rectangle, CRS)

    @once
    def _window_weights(self) -> NDArray[np.float64]:
        """(168, K) share of each component in each window's density."""
        shares = self.weight * _profiles()[self.kind].T
        result: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
        return result

    def window_rates(self) -> NDArray[np.float64]:
        """Return (168,) relative number of incidents per window; sums to one."""
        rates = (self.weight * _profiles()[self.kind].T).sum(axis=1)
        result: NDArray[np.float64] = rates / rates.sum()
        return result

    def cell_probability(self, grid: Grid) -> NDArray[np.float64]:
        """Return (168, N) true probabilities of a grid's cells; rows sum to one."""
        west, south = grid.x0_m, grid.y0_m
        x_edges = west + np.arange(grid.nx + 1) * grid.cell_size_m
        y_edges = south + np.arange(grid.ny + 1) * grid.cell_size_m
        x_edges = np.clip(x_edges, _WEST_M, _WEST_M + _WIDTH_M)
        y_edges = np.clip(y_edges, _SOUTH_M, _SOUTH_M + _HEIGHT_M)
        x_mass = np.diff(ndtr((x_edges[:, None] - self.centre_x_m) / self.sd_x_m), axis=0)
        y_mass = np.diff(ndtr((y_edges[:, None] - self.centre_y_m) / self.sd_y_m), axis=0)
        mass = x_mass[grid.ix] * y_mass[grid.iy]
        mixed = self._window_weights @ (mass / mass.sum(axis=0)).T
        uniform = grid.area_km2 / grid.area_km2.sum()
        result: NDArray[np.float64] = (1 - UNIFORM_SHARE) * mixed + UNIFORM_SHARE * uniform
        return result

    def draw(self, n_days: int, per_day: float, seed: int = 0) -> pd.DataFrame:
        """Draw the incidents of n_days from 2019-01-01: occurred_at (UTC), longitude, latitude, category.

        Slots' counts are Poisson around the window's rate and a yearly season of 15 %.
        """
        rng = np.random.default_rng(seed)
        slot_s = _START_S + np.arange(n_days * 24, dtype=np.int64) * HOUR_S
        window = windows_of(slot_s, TIMEZONE).astype(np.int64)
        season = 1.0 + 0.15 * np.sin(2 * np.pi * (slot_s - _START_S) / (365.25 * _DAY_S))
        counts = rng.poisson(per_day * 7 * self.window_rates()[window] * season)
        window = np.repeat(window, counts)
        time_s = np.repeat(slot_s, counts) + rng.integers(0, HOUR_S, len(window))
        uniform, component = self._draw_components(window, rng)
        x_m, y_m = self._draw_places(uniform, component, rng)
        longitude, latitude = to_degrees(x_m, y_m, CRS)
        frame = pd.DataFrame(
            {
                "occurred_at": pd.to_datetime(time_s, unit="s", utc=True),
                "longitude": longitude.round(6),
                "latitude": latitude.round(6),
                "category": np.array(CATEGORIES)[self.kind[component]],
            }
        )
        return frame.sort_values("occurred_at", kind="stable", ignore_index=True)

    def _draw_components(
        self, window: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        cumulative = np.cumsum(self._window_weights, axis=1)
        draw = rng.random(len(window)) * cumulative[window, -1]
        component = np.empty(len(window), np.int64)
        for one in np.unique(window):
            drawn = window == one
            component[drawn] = np.searchsorted(cumulative[one], draw[drawn])
        return rng.random(len(window)) < UNIFORM_SHARE, component

    def _draw_places(
        self, uniform: NDArray[np.bool_], component: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw places inside the rectangle; points that fall outside are drawn again."""
        x_m = _WEST_M + rng.random(len(component)) * _WIDTH_M
        y_m = _SOUTH_M + rng.random(len(component)) * _HEIGHT_M
        todo = np.flatnonzero(~uniform)
        for _ in range(_MAX_TRIES):
            chosen = component[todo]
            x_m[todo] = rng.normal(self.centre_x_m[chosen], self.sd_x_m[chosen])
            y_m[todo] = rng.normal(self.centre_y_m[chosen], self.sd_y_m[chosen])
            outside = (
                (x_m[todo] <= _WEST_M)
                | (x_m[todo] >= _WEST_M + _WIDTH_M)
                | (y_m[todo] <= _SOUTH_M)
                | (y_m[todo] >= _SOUTH_M + _HEIGHT_M)
            )
            todo = todo[outside]
            if len(todo) == 0:
                return x_m, y_m
        raise RuntimeError("a component lies almost wholly outside the city")


def synthetic_city(seed: int = 0, n_components: int = 60) -> SyntheticCity:
    """Draw a city of streets (long in x or y) and corners from a seed."""
    rng = np.random.default_rng(seed)
    street = rng.random(n_components) < 0.6
    along_x = rng.random(n_components) < 0.5
    long_m = rng.uniform(250, 900, n_components)
    narrow_m = rng.uniform(25, 60, n_components)
    corner_m = rng.uniform(60, 220, n_components)
    weight = rng.gamma(0.7, 1.0, n_components) + 0.02
    return SyntheticCity(
        centre_x_m=_WEST_M + rng.uniform(0.05, 0.95, n_components) * _WIDTH_M,
        centre_y_m=_SOUTH_M + rng.uniform(0.05, 0.95, n_components) * _HEIGHT_M,
        sd_x_m=np.where(street, np.where(along_x, long_m, narrow_m), corner_m),
        sd_y_m=np.where(street, np.where(along_x, narrow_m, long_m), corner_m),
        weight=weight / weight.sum(),
        kind=rng.integers(0, len(CATEGORIES), n_components),
    )
