"""What a request asks for, and its plan: one version and the slots to forecast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import numpy as np

from app.core.caching.once import once
from app.core.messages import Message
from app.fitting.hourly_counts import slots_of
from app.forecasts.areas.layers import Inside
from app.forecasts.versions.loaded import LoadedVersion
from app.geo.hour_of_week import HOUR_S
from app.http.parameters import Bbox
from app.regions.shifts import ShiftName
from models.counts.fit import Slots
from models.counts.model import CountModel
from models.units import DAY_S, IntArray

SlotKind = tuple[int, int]
"""A window, and whole days from the end of the data to the slot."""


@dataclass(frozen=True)
class Selector:
    """What to forecast.

    Exactly one of `at` (an instant), `window` (its next slot), `shift` (all its hours, from the local day
    `day` on; without it the next that has not ended), or `start` with `end` (all slots between them,
    summed) is given. Naive times are local to the region. `model` is a name or a version;
    `as_of` selects a version whose data ended by then, in its state at that time; `state` selects a
    state of the version, or "frozen": as trained. `bbox` is west, south, east, north in degrees.
    Several categories are summed up. `inside` is an area of a layer to which cells, hotspots and zones are
    confined; each zone stays in one area of the layer `within`; `summed_by` is the layer whose areas are
    summed up. Zones avoid areas of the layers `avoided`.
    """

    at: datetime | None = None
    window: int | None = None
    category: str | tuple[str, ...] | None = None
    model: str | None = None
    cell_size_m: float | None = None
    start: datetime | None = None
    end: datetime | None = None
    as_of: datetime | None = None
    grid: Literal["square", "h3"] = "square"
    resolution: int | None = None
    bbox: Bbox | None = None
    weight: Literal["harm"] | None = None
    state: str | None = None
    shift: ShiftName | None = None
    day: date | None = None
    inside: Inside | None = None
    within: str | None = None
    summed_by: str | None = None
    avoided: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that the request needs."""
        named = (None if self.inside is None else self.inside.layer, self.within, self.summed_by)
        return (*(name for name in named if name is not None), *self.avoided)

    @property
    def categories(self) -> tuple[str, ...]:
        """The names asked for: kinds, aliases or groups; empty: all incidents."""
        if self.category is None:
            return ()
        return (self.category,) if isinstance(self.category, str) else self.category


@dataclass(frozen=True)
class Harm:
    """Weights of kinds: of the version's categories by code, and by name for the reply."""

    by_code: tuple[tuple[int, float], ...]
    named: tuple[tuple[str, float], ...]
    unweighted: tuple[str, ...]

    def heading(self) -> dict[str, Any]:
        """Return what a reply says about the weights."""
        return {
            "weight": "harm",
            "weights": dict(self.named),
            "unweighted": list(self.unweighted),
        }


@dataclass(frozen=True)
class Plan:
    """A resolved request: one version and its slots."""

    version: LoadedVersion
    selector: Selector
    start_s: int
    """UTC start of the first slot, seconds since 1970."""
    n_slots: int = 1
    news: tuple[Message, ...] = ()
    """What has happened since the version was trained."""
    codes: tuple[int, ...] | None = None
    """Codes of the categories asked for; None: all incidents."""
    harm: Harm | None = None
    """Weights of the categories, if asked for."""
    layers: tuple[str, ...] = ()
    """Digests of the neighbourhoods, by which replies name places, and of the selector's layers."""
    streets: str = ""
    """Digest of the region's street layer; empty: it has none."""

    @property
    def kinds(self) -> list[str]:
        """Names of the version's categories that are summed up."""
        names = self.version.record.categories
        return [names[code] for code in self.codes or ()]

    @once
    def slots(self) -> Slots:
        """The requested hours, in order."""
        times = self.start_s + HOUR_S * np.arange(self.n_slots, dtype=np.int64)
        return slots_of(times, self.version.region.timezone)

    @once
    def lead_days(self) -> IntArray:
        """Whole days (K,) from the end of the data to each slot, at least 0."""
        ahead_s = self.slots.time_s - int(self.version.data_until.timestamp())
        days: IntArray = np.maximum(ahead_s // DAY_S, 0)
        return days

    def counts_at(self, lead_days: float) -> CountModel:
        """Return the count model as of a day so far ahead of the data, where its level is less certain."""
        counts = self.version.counts
        return counts.at_lead(counts.cutoff_s + int((lead_days + 0.5) * DAY_S))

    @once
    def slot_kinds(self) -> list[SlotKind]:
        """Window and lead of each slot (K,): equal ones have equal densities."""
        return list(zip(self.slots.window.tolist(), self.lead_days.tolist(), strict=True))

    @once
    def key(self) -> tuple[object, ...]:
        """A key that is equal for equal forecasts."""
        s = self.selector
        return (
            self.version.region.key,
            self.version.record.version,
            self.version.state_id,
            self.start_s,
            self.n_slots,
            s.categories,
            self.codes,
            self.harm,
            s.cell_size_m,
            s.grid,
            s.resolution,
            s.bbox,
            s.shift,
            s.inside,
            s.within,
            s.summed_by,
            self.layers,
            self.news,
            self.version.stands_in,
            self.streets,
        )
