"""`/v1/keys` for admins, and `/v1/me` for everyone who holds a key."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.access.service import (
    DEFAULT_EXPIRY_DAYS,
    DEFAULT_GRACE_HOURS,
    NewKey,
    ShownOnce,
    create_key,
    key_json,
    list_keys,
    revoke_key,
    rotate_key,
)
from app.core.roles import LOCAL_ACTOR, Role
from app.http.app_state import CallerOf, State
from app.http.permissions import allow
from app.http.text_fields import ShortText

router = APIRouter(tags=["access"])


class KeyRequest(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "dispatch wall map", "roles": ["reader"], "regions": ["bogota"]}]
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=200)]
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))]
    regions: Annotated[
        list[ShortText] | None, Field(max_length=1000, description="null: all regions")
    ] = None
    expires_days: Annotated[
        float | None, Field(gt=0, le=3650, allow_inf_nan=False, description="null: never")
    ] = DEFAULT_EXPIRY_DAYS
    rate_per_s: Annotated[
        float | None,
        Field(ge=0, le=1e6, allow_inf_nan=False, description="null: the service's; 0: no limit"),
    ] = None


class RotationRequest(BaseModel):
    """How long the old secret stays good."""

    model_config = ConfigDict(extra="forbid")

    grace_hours: Annotated[float, Field(ge=0, le=87_600, allow_inf_nan=False)] = DEFAULT_GRACE_HOURS


@router.get("/v1/me")
@allow(*Role, confined=True)
def me(caller: CallerOf) -> dict[str, Any]:
    """Who the service takes the caller for, and what they may do."""
    return {
        "actor": caller.actor,
        "open": caller.actor == LOCAL_ACTOR,
        "roles": sorted(caller.roles),
        "regions": None if caller.regions is None else sorted(caller.regions),
        "expires_at": caller.expires_at.isoformat() if caller.expires_at else None,
    }


@router.get("/v1/keys")
@allow(Role.ADMIN)
def list_all(state: State) -> dict[str, Any]:
    """All keys, revoked and expired ones too; never their secrets."""
    return {"keys": [key_json(key) for key in list_keys(state.engine)]}


@router.post("/v1/keys", status_code=201)
@allow(Role.ADMIN)
def create(request: Request, state: State, new: KeyRequest, response: Response) -> dict[str, Any]:
    """Make a key; `key` is told this once and cannot be read again.

    The first key ends access without one.
    """
    wanted = NewKey(new.name, new.roles, new.regions, new.expires_days, new.rate_per_s)
    return _shown(request, create_key(state.engine, wanted, state.settings.max_keys), response)


@router.post("/v1/keys/{key_id}/rotate")
@allow(Role.ADMIN)
def rotate(
    request: Request, state: State, key_id: str, wanted: RotationRequest, response: Response
) -> dict[str, Any]:
    """Give a key a new secret; the old one stays good for a while."""
    return _shown(request, rotate_key(state.engine, key_id, wanted.grace_hours), response)


@router.delete("/v1/keys/{key_id}")
@allow(Role.ADMIN)
def revoke(request: Request, state: State, key_id: str) -> dict[str, Any]:
    """End a key for good: at once in this process, within seconds in others."""
    key = revoke_key(state.engine, key_id)
    _read_again(request)
    return key_json(key)


def _shown(request: Request, made: ShownOnce, response: Response) -> dict[str, Any]:
    _read_again(request)
    response.headers["Cache-Control"] = "no-store"
    return {**key_json(made.key), "key": made.text}


def _read_again(request: Request) -> None:
    """Let this process know of a change before it answers."""
    request.app.state.gate.ring.reread()
