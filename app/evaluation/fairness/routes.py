"""`/v1/regions/{region}`: fairness report, population layer, learning policy, model cards."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from app.core.errors import InvalidInput
from app.core.media_types import GEOJSON, JSON, MEDIA_TYPES, media_type_of
from app.core.roles import Caller, Role
from app.evaluation.fairness.plots import fairness_plot
from app.evaluation.fairness.policy import policy_view
from app.evaluation.fairness.schemas import (
    FairnessReport,
    ModelCard,
    Policy,
    PolicyReply,
    PopulationReply,
)
from app.evaluation.fairness.service import fairness_report, parse_rates
from app.evaluation.model_card.contents import model_card
from app.evaluation.model_card.documents import card_as
from app.http.app_state import CallerOf, State
from app.http.body_stream import BodyStream, beside_others
from app.http.parameters import RegionId, ShortText, VersionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import offered
from app.incidents.population import remove_population, set_population
from app.readers.isolated import reading_limits
from app.regions.learning_policy import LearningPolicy
from app.regions.service import remove_policy, set_policy

router = APIRouter(prefix="/v1/regions/{region}", tags=["responsible use"], responses=DOCUMENTED)
LAYERS = {MEDIA_TYPES["csv"]: "csv", GEOJSON: "geojson", JSON: "geojson"}
MAX_RATES = 1_000
_LAYER_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPES["csv"]: {"schema": {"type": "string"}},
            GEOJSON: {"schema": {"type": "string"}},
        },
    }
}


@router.get(
    "/fairness-report",
    response_class=Response,
    responses={200: offered({"json": FairnessReport}, ["png", "svg"])},
)
@allow(Role.READER)
def fairness(
    state: State,
    caller: CallerOf,
    region: RegionId,
    model: Annotated[str | None, Query(max_length=200, description="name or version")] = None,
    reporting: Annotated[
        list[str] | None,
        Query(
            max_length=MAX_RATES,
            description="neighbourhood=share of its incidents that is reported: how the flagged "
            "area would move if all were",
        ),
    ] = None,
    f: Literal["json", "png", "svg"] = "json",
) -> Response:
    """Report whom the top 5 % of every hour falls on, against incidents and residents."""
    rates = parse_rates(reporting or [])
    found = fairness_report(state.engine, region, model, rates, exact=caller.lists_incidents)
    if f == "json":
        return Response(orjson.dumps(found), media_type=JSON)
    return Response(fairness_plot(found, f), media_type=MEDIA_TYPES[f])


@router.put("/population", response_model=PopulationReply, openapi_extra=_LAYER_BODY)
@allow(Role.ADMIN, streams=True)
async def population(
    request: Request,
    state: State,
    region: RegionId,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
    groups: Annotated[
        list[ShortText] | None,
        Query(max_length=50, description="columns that count a group's members"),
    ] = None,
) -> Response:
    """Store residents and groups by neighbourhood: CSV by name, or GeoJSON that replaces them."""
    kind = LAYERS.get(media_type_of(content_type))
    if kind is None:
        raise InvalidInput("a layer is text/csv or GeoJSON", code="unsupported_media_type")
    body = BodyStream(request, state.settings)
    limits = reading_limits(state.settings, body.gone)
    work = partial(set_population, state.engine, region, body, kind, groups, limits)
    layer = await beside_others(state, work)
    shown = {"neighbourhoods": [feature["properties"] for feature in layer["features"]]}
    return Response(orjson.dumps(shown), media_type=JSON)


@router.get("/learning-policy")
@allow(Role.READER)
def show_policy(state: State, caller: CallerOf, region: RegionId) -> PolicyReply:
    """Show what the region's models learn from, and the smallest number shown by place."""
    return _policy_reply(state, caller, region)


@router.put("/learning-policy")
@allow(Role.ADMIN)
def change_policy(state: State, caller: CallerOf, region: RegionId, policy: Policy) -> PolicyReply:
    """Replace the learning policy; it applies from the next training on."""
    set_policy(state.engine, region, LearningPolicy.from_json(policy.model_dump()))
    return _policy_reply(state, caller, region)


def _policy_reply(state: State, caller: Caller, region: str) -> PolicyReply:
    shown = policy_view(state.engine, region, exact=caller.lists_incidents)
    return PolicyReply.model_validate(shown)


@router.delete("/learning-policy", status_code=204)
@allow(Role.ADMIN)
def forget_policy(state: State, region: RegionId) -> Response:
    """Restore the default learning policy; it applies from the next training on."""
    remove_policy(state.engine, region)
    return Response(status_code=204)


@router.delete("/population", status_code=204)
@allow(Role.ADMIN)
def forget_population(state: State, region: RegionId) -> Response:
    """Remove residents and groups; the neighbourhoods remain."""
    remove_population(state.engine, region)
    return Response(status_code=204)


@router.get(
    "/models/{version}/card",
    response_class=Response,
    responses={200: offered({"json": ModelCard}, ["html", "md"])},
)
@allow(Role.READER)
def card(
    state: State,
    caller: CallerOf,
    region: RegionId,
    version: VersionId,
    f: Literal["json", "html", "md"] = "json",
) -> Response:
    """Show a version's model card: data, limits, evaluation, prohibited uses."""
    found = model_card(state.engine, region, version, exact=caller.lists_incidents)
    if f == "json":
        return Response(orjson.dumps(found), media_type=JSON)
    return Response(card_as(found, f), media_type=MEDIA_TYPES[f])
