"""Public holidays of a region, as far as its time zone tells the country."""

from __future__ import annotations

from functools import lru_cache

import holidays
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.domain.windows import zone

_COUNTRY_OF_PREFIX = {
    "America/Toronto": "CA",
    "America/Vancouver": "CA",
    "America/Edmonton": "CA",
    "America/Winnipeg": "CA",
    "America/Halifax": "CA",
    "America/Montreal": "CA",
    "America/Bogota": "CO",
    "America/Mexico_City": "MX",
    "America/Sao_Paulo": "BR",
    "America/Argentina": "AR",
    "America/Santiago": "CL",
    "America/Lima": "PE",
    "America/": "US",
    "Pacific/Honolulu": "US",
    "Europe/London": "GB",
    "Europe/Berlin": "DE",
    "Europe/Paris": "FR",
    "Europe/Madrid": "ES",
    "Europe/Rome": "IT",
    "Europe/Amsterdam": "NL",
    "Europe/Stockholm": "SE",
    "Australia/": "AU",
    "Pacific/Auckland": "NZ",
    "Africa/Johannesburg": "ZA",
}


def country_of(timezone: str) -> str | None:
    """ISO code of the country whose holidays apply in a zone, where that is known."""
    for prefix, country in _COUNTRY_OF_PREFIX.items():
        if timezone.startswith(prefix):
            return country
    return None


@lru_cache(maxsize=64)
def _days(country: str, year: int) -> frozenset[str]:
    return frozenset(day.isoformat() for day in holidays.country_holidays(country, years=year))


def holiday_flags(time_s: NDArray[np.int64], timezone: str) -> NDArray[np.bool_]:
    """(n,) whether the local day of each UTC instant is a national public holiday."""
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
