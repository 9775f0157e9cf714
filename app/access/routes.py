"""`/v1/keys` for admins, and `/v1/me` for everyone who holds a key."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.access.schemas import (
    CallerReply,
    KeyList,
    KeyReply,
    KeyRequest,
    NewKeyReply,
    RotationRequest,
)
from app.access.service import (
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
from app.http.problems import DOCUMENTED

router = APIRouter(tags=["access"], responses=DOCUMENTED)


@router.get("/v1/me")
@allow(*Role, confined=True)
def me(request: Request, caller: CallerOf) -> CallerReply:
    """Describe the caller: who the service takes them for, and what they may do."""
    key = request.app.state.gate.ring.copy.keys.get(caller.actor)
    return CallerReply(
        actor=caller.actor,
        name=None if key is None else key.name,
        open=caller.actor == LOCAL_ACTOR,
        roles=sorted(caller.roles),
        regions=None if caller.regions is None else sorted(caller.regions),
        expires_at=caller.expires_at,
    )


@router.get("/v1/keys")
@allow(Role.ADMIN)
def list_all(state: State) -> KeyList:
    """List all keys, revoked and expired ones too; never their secrets."""
    keys = [KeyReply.model_validate(key_json(key)) for key in list_keys(state.engine)]
    return KeyList(keys=keys)


@router.post("/v1/keys", status_code=201)
@allow(Role.ADMIN)
def create(request: Request, state: State, new: KeyRequest, response: Response) -> NewKeyReply:
    """Create a key; it is shown only once, so store it now.

    The first key ends access without one.
    """
    wanted = NewKey(new.name, new.roles, new.regions, new.expires_days, new.rate_per_s)
    return _shown(request, create_key(state.engine, wanted, state.settings.max_keys), response)


@router.post("/v1/keys/{key_id}/rotate")
@allow(Role.ADMIN)
def rotate(
    request: Request, state: State, key_id: str, wanted: RotationRequest, response: Response
) -> NewKeyReply:
    """Give a key a new secret; the old one remains valid for a while."""
    return _shown(request, rotate_key(state.engine, key_id, wanted.grace_hours), response)


@router.delete("/v1/keys/{key_id}")
@allow(Role.ADMIN)
def revoke(request: Request, state: State, key_id: str) -> KeyReply:
    """Revoke a key for good: at once in this process, within seconds in others."""
    key = revoke_key(state.engine, key_id)
    _reread_keys(request)
    return KeyReply.model_validate(key_json(key))


def _shown(request: Request, created: ShownOnce, response: Response) -> NewKeyReply:
    _reread_keys(request)
    response.headers["Cache-Control"] = "no-store"
    return NewKeyReply.model_validate({**key_json(created.key), "key": created.text})


def _reread_keys(request: Request) -> None:
    """Make a change known to this process before it answers."""
    request.app.state.gate.ring.reread()
