"""Where on the globe a time zone lies, to notice exchanged coordinates.

A boundary or a file alone cannot show that its longitude and latitude are exchanged (52.5, 13.4 is
Berlin or a place off Yemen). The region's time zone is a third witness: it has a principal place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from app.geo.antimeridian import normalised

EARTH_DIAMETER_KM = 12_742.0
NEAR_KM = 1_000.0
"""Nearer places are never taken for exchanged: Cairo and its mirror image are 180 km apart."""
FAR_KM = 3_000.0
"""Of all countries only Russia and China with one zone's name reach farther from a zone's place."""
SWAPPED_RATIO = 2.0
"""Exchanged, a place must be nearer to the zone by this factor; no pair of places of one country in the
time zone database is taken for exchanged by this rule."""
NEAR_MERIDIAN_DEG = 15.0
Standing = Literal["near", "far", "swapped"]


@dataclass(frozen=True)
class Place:
    """A point in degrees (WGS 84)."""

    longitude: float
    latitude: float

    def swapped(self) -> Place:
        """Return the point with longitude and latitude exchanged."""
        return Place(self.latitude, self.longitude)

    def is_on_globe(self) -> bool:
        """Return whether the latitude is one; longitudes may continue beyond 180."""
        return abs(self.latitude) <= 90 and abs(self.longitude) <= 360

    def km_to(self, other: Place) -> float:
        """Return the great-circle distance."""
        low, high = math.radians(self.latitude), math.radians(other.latitude)
        turn = math.radians(other.longitude - self.longitude)
        half = math.sin((high - low) / 2) ** 2
        half += math.cos(low) * math.cos(high) * math.sin(turn / 2) ** 2
        return EARTH_DIAMETER_KM * math.asin(min(1.0, math.sqrt(half)))

    def __str__(self) -> str:
        """Write it as people do.

        >>> str(Place(-84.51, 39.1))
        '39.10 N 84.51 W'
        """
        longitude = float(normalised(self.longitude))
        north, east = "S" if self.latitude < 0 else "N", "W" if longitude < 0 else "E"
        return f"{abs(self.latitude):.2f} {north} {abs(longitude):.2f} {east}"


@lru_cache(maxsize=1)
def _places() -> dict[str, Place]:
    lines = Path(__file__).with_name("zone_places.txt").read_text("utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return {name: Place(float(longitude), float(latitude)) for name, latitude, longitude in rows}


def place_of_zone(timezone: str) -> Place | None:
    """Return the principal place of a time zone; None for zones without one, such as UTC.

    >>> str(place_of_zone("America/New_York")), place_of_zone("Etc/UTC")
    ('40.71 N 74.01 W', None)
    """
    return _places().get(timezone)


def standing(place: Place, timezone: str) -> Standing | None:
    """Judge a place by the region's time zone; None if the zone has no place.

    >>> standing(Place(-84.5, 39.1), "America/New_York"), standing(Place(52.5, 13.4), "Europe/Berlin")
    ('near', 'swapped')
    """
    zone = place_of_zone(timezone)
    if zone is None:
        return None
    away = place.km_to(zone) if place.is_on_globe() else math.inf
    if away <= NEAR_KM:
        return "near"
    mirrored = place.swapped()
    if mirrored.is_on_globe() and SWAPPED_RATIO * mirrored.km_to(zone) < min(away, FAR_KM * 4):
        return "swapped"
    return "far" if away > FAR_KM else "near"


def is_near_meridian(timezone: str) -> bool:
    """Return whether a zone's towns may lie on both sides of the 180th meridian.

    >>> is_near_meridian("Pacific/Fiji"), is_near_meridian("America/New_York")
    (True, False)
    """
    place = place_of_zone(timezone)
    return place is not None and abs(place.longitude) >= 180.0 - NEAR_MERIDIAN_DEG
