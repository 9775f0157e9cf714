"""Requests and replies of `/v1/regions/{region}/subscriptions`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.bounds import MAX_ADDRESS_CHARS
from app.forecasts.zones.selection import DEFAULT_KM2, DEFAULT_ZONES, MAX_ZONES
from app.http.schemas import Instant, MessageReply, Reply, Request, Version
from app.regions.shifts import SHIFT_NAMES, ShiftName
from app.subscriptions.delivery_store import Delivery, Status
from app.subscriptions.service import DEFAULT_GRACE_HOURS, MAX_GRACE_HOURS
from app.subscriptions.spec import (
    DEFAULT_HOUR,
    DEFAULT_LEAD_MINUTES,
    FILE_FORMATS,
    MAX_KM2,
    MAX_LEAD_MINUTES,
    NAME_PATTERN,
    FileFormat,
    Language,
    Occasion,
    Paper,
    SubscriptionSpec,
    Target,
)

Name = Annotated[str, Field(pattern=NAME_PATTERN, examples=["dispatch"])]
_ADDRESS = "https://dispatch.example/hotslot"


class NewSubscription(Request):
    """What to send where, and when."""

    model_config = ConfigDict(strict=False)

    name: Name
    occasion: Annotated[Occasion, Field(description="each new state, each morning, each shift")]
    target: Target
    address: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_ADDRESS_CHARS,
            description="a URL, an e-mail address, or a folder below HOTSLOT_PUSH_FOLDER",
            examples=[_ADDRESS],
        ),
    ]
    at_hour: Annotated[int, Field(ge=0, le=23, description="local; of mornings")] = DEFAULT_HOUR
    shifts: Annotated[
        tuple[ShiftName, ...], Field(max_length=len(SHIFT_NAMES), description="empty: all")
    ] = ()
    lead_minutes: Annotated[
        int, Field(ge=0, le=MAX_LEAD_MINUTES, description="sent so long before a shift starts")
    ] = DEFAULT_LEAD_MINUTES
    n: Annotated[int, Field(ge=1, le=MAX_ZONES, description="zones at most")] = DEFAULT_ZONES
    max_km2: Annotated[
        float,
        Field(gt=0, le=MAX_KM2, allow_inf_nan=False, description="area of all zones together"),
    ] = DEFAULT_KM2
    lang: Language = "en"
    paper: Paper = "a4"
    formats: Annotated[
        tuple[FileFormat, ...],
        Field(min_length=1, max_length=len(FILE_FORMATS), description="of files in a folder"),
    ] = ("pdf", "json")

    def spec(self) -> SubscriptionSpec:
        """Return it without its name."""
        return SubscriptionSpec(**self.model_dump(exclude={"name"}))


class SecretRotation(Request):
    """How long messages are also signed with the former secret."""

    model_config = ConfigDict(strict=False)

    grace_hours: Annotated[
        float, Field(ge=0, le=MAX_GRACE_HOURS, allow_inf_nan=False, examples=[24.0])
    ] = DEFAULT_GRACE_HOURS


class DeliveryCounts(Reply):
    """Deliveries by status, until retention ends."""

    waiting: int = Field(examples=[0])
    delivered: int = Field(examples=[30])
    dead: int = Field(examples=[1])


class SubscriptionReply(Reply):
    """A subscription."""

    name: str = Field(examples=["dispatch"])
    occasion: Occasion
    target: Target
    address: str = Field(examples=[_ADDRESS])
    at_hour: int = Field(examples=[DEFAULT_HOUR])
    shifts: list[ShiftName] = Field(examples=[["late"]])
    lead_minutes: int = Field(examples=[DEFAULT_LEAD_MINUTES])
    n: int = Field(examples=[DEFAULT_ZONES])
    max_km2: float = Field(examples=[DEFAULT_KM2])
    lang: Language
    paper: Paper
    formats: list[FileFormat] = Field(examples=[["pdf", "json"]])
    owner: str = Field(description="who added it", examples=["4303a1397422"])
    active: bool = Field(
        description="false: the owner's key has ended, nothing is sent", examples=[True]
    )
    signed: bool = Field(description="webhooks are", examples=[True])
    created_at: Instant
    deliveries: DeliveryCounts


class NewSubscriptionReply(SubscriptionReply):
    """A subscription with the secret that verifies its messages, which is shown only once."""

    secret: str | None = Field(
        description="of webhooks; store it now", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    )


class SubscriptionList(Reply):
    """A region's subscriptions, by name."""

    subscriptions: list[SubscriptionReply]


class DeliveryForecast(Reply):
    """What was forecast."""

    model_version: Version
    state: str = Field(examples=["17"])
    start: str = Field(
        alias="from", serialization_alias="from", examples=["2026-01-10T14:00:00-05:00"]
    )
    to: str = Field(examples=["2026-01-10T22:00:00-05:00"])


class DeliveryReply(Reply):
    """A delivery: its id is sent with it, the same at each attempt."""

    id: UUID = Field(examples=["539610f0-9967-4cbd-8cd2-8f33ab84e18e"])
    occasion: str = Field(examples=["shift:2026-01-10/late"])
    state: Status = Field(examples=["dead"])
    attempts: int = Field(examples=[10])
    next_at: Instant | None = Field(description="of the next attempt, while it waits")
    forecast: DeliveryForecast | None
    failure: MessageReply | None = Field(description="of the last attempt")
    created_at: Instant
    ended_at: Instant | None

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryReply:
        """Describe a delivery."""
        waiting = delivery.status == "waiting"
        failure = delivery.failure
        return cls.model_validate(
            {
                **vars(delivery),
                "state": delivery.status,
                "next_at": delivery.next_at if waiting else None,
                "failure": None if failure is None else failure.to_json(),
            }
        )


class DeliveryList(Reply):
    """A subscription's newest deliveries, newest first."""

    deliveries: list[DeliveryReply]
