"""`/v1/regions/{region}/subscriptions`: who is sent which forecasts; administrators decide."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from app.core.roles import Role
from app.http.app_state import State
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.subscriptions.delivery_store import Status
from app.subscriptions.schemas import (
    DeliveryList,
    DeliveryReply,
    NewSubscription,
    NewSubscriptionReply,
    SecretRotation,
    SubscriptionList,
    SubscriptionReply,
)
from app.subscriptions.service import (
    MAX_STORED,
    Added,
    add_subscription,
    deliveries_of,
    find_delivery,
    remove_subscription,
    request_test,
    retry_deliveries,
    rotate_secret,
    show_subscription,
    subscriptions_of,
)

router = APIRouter(
    prefix="/v1/regions/{region}/subscriptions", tags=["subscriptions"], responses=DOCUMENTED
)
SubscriptionName = Annotated[str, Path(max_length=63, examples=["dispatch"])]
DeliveryId = Annotated[UUID, Path(examples=["539610f0-9967-4cbd-8cd2-8f33ab84e18e"])]


def _with_secret(added: Added, response: Response) -> NewSubscriptionReply:
    response.headers["Cache-Control"] = "no-store"
    return NewSubscriptionReply.model_validate({**added.shown.to_json(), "secret": added.secret})


@router.get("")
@allow(Role.ANALYST)
def list_subscriptions(state: State, region: RegionId) -> SubscriptionList:
    """List what is sent where, by name."""
    found = [one.to_json() for one in subscriptions_of(state.engine, region)]
    return SubscriptionList.model_validate({"subscriptions": found})


@router.post("", status_code=201)
@allow(Role.ADMIN)
def subscribe(
    state: State, region: RegionId, new: NewSubscription, response: Response
) -> NewSubscriptionReply:
    """Send zones as readers see them at each new state, each morning or each shift.

    The secret of a webhook is shown only once. When the key that added the subscription ends, so does it.
    """
    added = add_subscription(state.engine, state.settings, region, new.name, new.spec())
    return _with_secret(added, response)


@router.get("/{name}")
@allow(Role.ANALYST)
def show_one(state: State, region: RegionId, name: SubscriptionName) -> SubscriptionReply:
    """Show a subscription with its numbers of deliveries."""
    found = show_subscription(state.engine, region, name)
    return SubscriptionReply.model_validate(found.to_json())


@router.delete("/{name}", status_code=204)
@allow(Role.ADMIN)
def unsubscribe(state: State, region: RegionId, name: SubscriptionName) -> Response:
    """Remove a subscription with its deliveries."""
    remove_subscription(state.engine, region, name)
    return Response(status_code=204)


@router.post("/{name}/rotate")
@allow(Role.ADMIN)
def rotate(
    state: State,
    region: RegionId,
    name: SubscriptionName,
    wanted: SecretRotation,
    response: Response,
) -> NewSubscriptionReply:
    """Give a webhook a new secret; for a while messages are signed with both."""
    done = rotate_secret(state.engine, state.settings, region, name, wanted.grace_hours)
    return _with_secret(done, response)


@router.post("/{name}/test", status_code=202)
@allow(Role.ADMIN)
def test(state: State, region: RegionId, name: SubscriptionName) -> DeliveryReply:
    """Send the next 24 hours now, as the event `test`; a worker does so within seconds."""
    return DeliveryReply.of(request_test(state.engine, region, name))


@router.get("/{name}/deliveries")
@allow(Role.ANALYST)
def deliveries(
    state: State,
    region: RegionId,
    name: SubscriptionName,
    status: Annotated[Status | None, Query(alias="state", description="only these")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_STORED)] = 100,
) -> DeliveryList:
    """List the newest deliveries; `state=dead` those that were given up."""
    found = deliveries_of(state.engine, region, name, status, limit)
    return DeliveryList(deliveries=[DeliveryReply.of(one) for one in found])


@router.post("/{name}/deliveries/{delivery_id}/retry")
@allow(Role.ADMIN)
def retry(
    state: State, region: RegionId, name: SubscriptionName, delivery_id: DeliveryId
) -> DeliveryReply:
    """Let a dead delivery wait again, from the first attempt on."""
    retry_deliveries(state.engine, region, name, delivery_id)
    return DeliveryReply.of(find_delivery(state.engine, region, name, delivery_id))
