"""The city of the simulated quarter: its history, and the days that are delivered one by one."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.geo.synthetic import TIMEZONE, synthetic_city
from benchmarks.cities import DATA, FILES

N_DAYS = 91
HISTORY_DAYS = 730
MORE_DAYS = range(28, 42)
"""More incidents: a new way of recording, say."""
MORE_SHARE = 0.6
MOVED_FROM_DAY = 56
MOVED_SHARE = 0.35
BAD_DAY = 79
"""When someone promotes a model that is bad."""
SYNTHETIC_PER_DAY = 90
SPOT_DEGREES = 0.004


@dataclass(frozen=True)
class QuarterCity:
    """`frame` holds occurred_at (local, naive), longitude, latitude, category, sorted by time."""

    name: str
    timezone: str
    boundary: dict[str, object]
    frame: pd.DataFrame

    @property
    def first_day(self) -> pd.Timestamp:
        """The Monday that the quarter begins with, at local midnight."""
        last = self.frame["occurred_at"].max().normalize()
        start = last - pd.Timedelta(days=N_DAYS)
        monday: pd.Timestamp = start - pd.Timedelta(days=start.weekday())
        return monday

    def history(self) -> pd.DataFrame:
        """What is known when the quarter begins."""
        at = self.frame["occurred_at"]
        since = self.first_day - pd.Timedelta(days=HISTORY_DAYS)
        return self.frame[(at >= since) & (at < self.first_day)]

    def day(self, number: int) -> pd.DataFrame:
        """What is delivered of a day, shifts included."""
        at = self.frame["occurred_at"]
        start = self.first_day + pd.Timedelta(days=number)
        part = self.frame[(at >= start) & (at < start + pd.Timedelta(days=1))].copy()
        rng = np.random.default_rng(number)
        if number in MORE_DAYS:
            part = pd.concat([part, _more(part, rng)])
        if number >= MOVED_FROM_DAY:
            part = _moved(part, self.frame, rng)
        return part


def _more(part: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Further incidents like the day's own, some minutes and metres away."""
    extra = part.sample(frac=MORE_SHARE, random_state=int(rng.integers(2**31))).copy()
    extra["longitude"] += rng.normal(0, 0.0005, len(extra))
    extra["latitude"] += rng.normal(0, 0.0005, len(extra))
    return extra


def _moved(part: pd.DataFrame, frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A share of the day's incidents happens around one quiet place instead."""
    longitude = float(frame["longitude"].quantile(0.97))
    latitude = float(frame["latitude"].quantile(0.9))
    there = rng.random(len(part)) < MOVED_SHARE
    part.loc[there, "longitude"] = longitude + rng.normal(0, SPOT_DEGREES, int(there.sum()))
    part.loc[there, "latitude"] = latitude + rng.normal(0, SPOT_DEGREES, int(there.sum()))
    return part


def load() -> QuarterCity:
    """Toronto where its data are at hand, otherwise the synthetic city."""
    file, timezone = FILES["toronto"]
    columns = ["occurred_at", "longitude", "latitude", "category"]
    if (DATA / file).exists():
        frame = pd.read_csv(DATA / file, parse_dates=["occurred_at"])[columns]
        boundary = json.loads((DATA / "boundaries" / "toronto.geojson").read_text())
        return _sorted("Toronto", timezone, boundary, frame)
    city = synthetic_city()
    frame = city.draw(HISTORY_DAYS + N_DAYS + 7, SYNTHETIC_PER_DAY, seed=5)[columns]
    frame["occurred_at"] = frame["occurred_at"].dt.tz_convert(TIMEZONE).dt.tz_localize(None)
    boundary = json.loads(json.dumps(city.area.to_geojson()))
    return _sorted("synthetic city", TIMEZONE, boundary, frame)


def _sorted(
    name: str, timezone: str, boundary: dict[str, object], frame: pd.DataFrame
) -> QuarterCity:
    ordered = frame.sort_values("occurred_at", kind="stable", ignore_index=True)
    return QuarterCity(name, timezone, boundary, ordered)
