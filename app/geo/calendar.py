"""Public holidays of a region, if its time zone implies a country."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache
from importlib import resources
from pathlib import Path

import holidays
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.zones import zone

_OLD_NAMES = {"US/": "US", "Canada/": "CA", "America/Montreal": "CA"}


@lru_cache(maxsize=1)
def _countries() -> dict[str, str]:
    """Return {zone: ISO country}, from the `zone.tab` beside the time zone database in use."""
    places = [Path(folder) / "zone.tab" for folder in zoneinfo.TZPATH]
    found = next((p.read_text() for p in places if p.is_file()), None)
    if found is None:
        try:
            found = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text()
        except (ModuleNotFoundError, FileNotFoundError):
            return {}
    lines = [line.split("\t") for line in found.splitlines() if not line.startswith("#")]
    return {fields[2]: fields[0] for fields in lines if len(fields) >= 3}


@lru_cache(maxsize=1024)
def country_of(timezone: str) -> str | None:
    """Return the ISO code of the country whose holidays apply in a zone, or None.

    >>> country_of("America/Toronto"), country_of("Europe/Berlin"), country_of("UTC")
    ('CA', 'DE', None)
    """
    old = next((c for prefix, c in _OLD_NAMES.items() if timezone.startswith(prefix)), None)
    country = _countries().get(timezone, old)
    return country if country in holidays.list_supported_countries() else None


@lru_cache(maxsize=64)
def _days(country: str, year: int) -> frozenset[str]:
    return frozenset(day.isoformat() for day in holidays.country_holidays(country, years=year))


def holiday_flags(time_s: NDArray[np.int64], timezone: str) -> NDArray[np.bool_]:
    """Return (n,) whether the local day of each UTC instant is a national public holiday."""
    country = country_of(timezone)
    if country is None or len(time_s) == 0:
        return np.zeros(len(time_s), bool)
    utc = pd.DatetimeIndex(np.asarray(time_s).astype("datetime64[s]"), tz="UTC")
    local = utc.tz_convert(zone(timezone))
    years = range(int(local.year.min()), int(local.year.max()) + 1)
    days = frozenset().union(*(_days(country, year) for year in years))
    codes, distinct = pd.factorize(local.strftime("%Y-%m-%d"))
    flags = np.array([day in days for day in distinct], bool)
    return flags[codes]
