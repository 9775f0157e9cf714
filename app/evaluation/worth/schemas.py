"""The reply of `/v1/regions/{region}/worth`."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from app.http.schemas import Instant, MessageReply, Reply, Version, example_of


class Gain(Reply):
    """A mean with its 95 % interval."""

    mean: float = Field(examples=[0.0123])
    lo: float = Field(examples=[0.0071])
    hi: float = Field(examples=[0.0174])


class TypicalGain(Gain):
    """A mean over cities with its 95 % interval, and the cities with the least and the most."""

    lowest: float = Field(examples=[0.0042])
    highest: float = Field(examples=[0.0233])


_GAINS = (
    "nats: nats per incident over pooled-kde; cap_auc: over pooled-kde; share of the incidents that the "
    "best 5 % of cells catch, minus last year's list: places_hits by one list for all hours, asked_hits by a "
    "list for the hour of each; hour_nats and hour_hits: by hour, minus the same with its hours averaged"
)


class TypicalWorthReply(Reply):
    """What cities of a size and delay got."""

    n: int = Field(examples=[30000], description="incidents learnt from")
    delay_days: int = Field(examples=[7])
    n_cities: int = Field(examples=[4], description="cities measured")
    list_share: float = Field(
        examples=[0.381], description="share of all incidents that last year's list caught"
    )
    gains: dict[str, TypicalGain] = Field(
        description=f"{_GAINS}; all_years_hits: as places_hits, over a list of all years",
        examples=[{"places_hits": example_of(TypicalGain)}],
    )


class Typical(TypicalWorthReply):
    """What cities of the region's size and delay got, in words."""

    model: str = Field(examples=["stack"], description="the model that was measured")
    verdicts: list[MessageReply]


class Own(Reply):
    """What the region's own test says, in words."""

    source: Literal["backtest", "validation"]
    run: UUID | None = Field(
        description="the backtest", examples=["8c1b2f60-5b0a-4a4e-9d0e-3c2a5f7f1c11"]
    )
    since: Instant
    n_origins: int = Field(examples=[4])
    horizon_days: int = Field(examples=[28])
    delay_days: int = Field(examples=[0])
    n: int = Field(examples=[9473], description="incidents tested on")
    list_share: float | None = Field(examples=[0.412])
    gains: dict[str, Gain] = Field(
        description="as those of `typical`, of rivals that were tested",
        examples=[{"places_hits": example_of(Gain)}],
    )
    verdicts: list[MessageReply]


class Worth(Reply):
    """What a region's forecast is worth over last year's list and a smooth map of all incidents."""

    region: str = Field(examples=["toronto"])
    model: str = Field(examples=["stack"])
    model_version: Version
    n_incidents: int = Field(examples=[240989])
    data_until: Instant
    delay_days: int = Field(examples=[7])
    typical: Typical
    own: Own | None = Field(description="null: not tested, or not for readers")
    by_size: list[TypicalWorthReply]
    least_n: dict[str, int | None] = Field(
        description="by gain: number of incidents from which on it was beyond chance in every city",
        examples=[{"hour_hits": 100000}],
    )
    notes: list[MessageReply]
