"""Whether a place is lasting, new, fading or occasional, by exact tests of its counts.

Each test compares the place with its city over the same months, so that seasons, gaps of the feed and the
city's own trend cancel. Counts are taken as independent; near repeats make them vary more, so that at
places with many of these a change is found somewhat too often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import bdtr, bdtrc

from models.evaluation.significance import holm

LEVEL = 0.05
"""Chance that a place is called anything but what it is, all places of one question together."""
PlaceKind = Literal["lasting", "new", "fading", "occasional"]


@dataclass(frozen=True)
class PlaceCounts:
    """Incidents of a place and of its city, in the last months and in the year before them.

    Args:
        recent, before: of the place.
        city_recent, city_before: of the whole city.
        area_share: of the place in the city's area, 0..1.
    """

    recent: int
    before: int
    city_recent: int
    city_before: int
    area_share: float

    def p_values(self) -> tuple[float, float, float]:
        """Return p values: of a rise, of a fall, and of the year's excess over the city's average."""
        n, city = self.recent + self.before, self.city_recent + self.city_before
        share = self.city_recent / city if city else 0.0
        rise = bdtrc(self.recent - 1, n, share) if n else 1.0
        fall = bdtr(self.recent, n, share) if n else 1.0
        excess = bdtrc(self.before - 1, self.city_before, self.area_share)
        return float(rise), float(fall), float(excess)


@dataclass(frozen=True)
class Verdict:
    """What a place is, with the p values behind it, corrected for all tests of the question (Holm 1979)."""

    kind: PlaceKind
    p_rise: float
    p_fall: float
    p_excess: float

    @property
    def change(self) -> Literal["up", "down"] | None:
        """Where the last months differ from the year before by more than chance."""
        if self.p_rise <= LEVEL:
            return "up"
        return "down" if self.p_fall <= LEVEL else None


def judged(places: Sequence[PlaceCounts]) -> list[Verdict]:
    """Judge the places of one question.

    `lasting`: in the year before it had more than the city's average, and has not fallen since; `fading`:
    it had, and has fallen; `new`: it had not, and has risen; `occasional`: no test finds anything of that.
    """
    raw = [p for place in places for p in place.p_values()]
    adjusted = holm(raw)
    return [_verdict(*adjusted[i : i + 3]) for i in range(0, len(adjusted), 3)]


def _verdict(rise: float, fall: float, excess: float) -> Verdict:
    kind: PlaceKind = "occasional"
    if excess <= LEVEL:
        kind = "fading" if fall <= LEVEL else "lasting"
    elif rise <= LEVEL:
        kind = "new"
    return Verdict(kind, rise, fall, excess)
