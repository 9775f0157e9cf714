"""Requests and replies of `/v1/keys` and `/v1/me`."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from app.access.service import DEFAULT_EXPIRY_DAYS, DEFAULT_GRACE_HOURS
from app.core.roles import Role
from app.http.parameters import ShortText
from app.http.schemas import Instant, Reply, Request


class KeyRequest(Request):
    """A key to create."""

    model_config = ConfigDict(strict=False)

    name: Annotated[str, Field(min_length=1, max_length=200, examples=["dispatch wall map"])]
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role), examples=[["reader"]])]
    regions: Annotated[
        list[ShortText] | None,
        Field(max_length=1000, description="null: all regions", examples=[["bogota"]]),
    ] = None
    expires_days: Annotated[
        float | None, Field(gt=0, le=3650, allow_inf_nan=False, description="null: never")
    ] = DEFAULT_EXPIRY_DAYS
    rate_per_s: Annotated[
        float | None,
        Field(ge=0, le=1e6, allow_inf_nan=False, description="null: the service's; 0: no limit"),
    ] = None


class RotationRequest(Request):
    """How long the old secret remains valid."""

    model_config = ConfigDict(strict=False)

    grace_hours: Annotated[float, Field(ge=0, le=87_600, allow_inf_nan=False)] = DEFAULT_GRACE_HOURS


class CallerReply(Reply):
    """The caller as the service identifies them."""

    actor: str = Field(examples=["6910f933fb9a"])
    name: str | None = Field(description="of the key", examples=["dispatch wall map"])
    open: bool = Field(description="no key is needed on this machine")
    roles: list[Role] = Field(examples=[["reader"]])
    regions: list[str] | None = Field(description="null: all regions", examples=[["toronto"]])
    expires_at: Instant | None


class KeyReply(Reply):
    """A key without its secret."""

    id: str = Field(examples=["6910f933fb9a"])
    name: str = Field(examples=["dispatch wall map"])
    roles: list[Role] = Field(examples=[["reader"]])
    regions: list[str] | None = Field(description="null: all regions", examples=[["toronto"]])
    rate_per_s: float | None = Field(examples=[50.0])
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    active: bool


class NewKeyReply(KeyReply):
    """A key with its secret."""

    key: str = Field(description="shown only once", examples=["hs_0000000000_example"])


class KeyList(Reply):
    """All keys, the oldest first."""

    keys: list[KeyReply]
