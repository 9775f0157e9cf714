"""`/v1/regions/{region}`: fairness report, population layer, learning policy, model cards."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import InvalidInput
from app.core.roles import Role
from app.evaluation.fairness.plots import fairness_plot
from app.evaluation.fairness.service import fairness_report, parse_rates
from app.evaluation.model_card import card_as, model_card
from app.http.app_state import CallerOf, State
from app.http.body_stream import BodyStream, beside_others
from app.http.permissions import allow
from app.http.text_fields import ShortText
from app.incidents.population import remove_population, set_population
from app.readers.isolated import reading_limits
from app.regions.learning_policy import Choice, LearningPolicy
from app.regions.policy_service import policy_of, remove_policy, set_policy

router = APIRouter(prefix="/v1/regions/{region}", tags=["responsible use"])
PICTURES = {"png": "image/png", "svg": "image/svg+xml"}
CARDS = {"md": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8"}
LAYERS = {"text/csv": "csv", "application/geo+json": "geojson", "application/json": "geojson"}
MAX_RATES = 1_000
_LAYER_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/geo+json": {"schema": {"type": "string"}},
        },
    }
}


@router.get("/fairness-report")
@allow(Role.READER)
def fairness(
    state: State,
    caller: CallerOf,
    region: str,
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
    """Whom the top 5 % of every hour falls on, against incidents and residents, with intervals."""
    rates = parse_rates(reporting or [])
    found = fairness_report(state.engine, region, model, rates, exact=caller.lists_incidents)
    if f == "json":
        return Response(orjson.dumps(found), media_type="application/json")
    return Response(fairness_plot(found, f), media_type=PICTURES[f])


@router.put("/population", openapi_extra=_LAYER_BODY)
@allow(Role.ADMIN, streams=True)
async def population(
    request: Request,
    state: State,
    region: str,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
    groups: Annotated[
        list[ShortText] | None,
        Query(max_length=50, description="columns that count a group's members"),
    ] = None,
) -> Response:
    """Residents and groups of each neighbourhood: CSV by name, or GeoJSON that replaces the parts."""
    kind = LAYERS.get(content_type.split(";")[0].strip().lower())
    if kind is None:
        raise InvalidInput("a layer is text/csv or GeoJSON", code="unsupported_media_type")
    body = BodyStream(request, state.settings)
    limits = reading_limits(state.settings, body.gone)
    work = partial(set_population, state.engine, region, body, kind, groups, limits)
    kept = await beside_others(state, work)
    told = {"neighbourhoods": [feature["properties"] for feature in kept["features"]]}
    return Response(orjson.dumps(told), media_type="application/json")


class Policy(BaseModel):
    """What a region's models learn from."""

    model_config = ConfigDict(extra="forbid", strict=True)

    patrol_categories: Choice = "exclude"
    discovered_weight: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    minimum_count: Annotated[int, Field(ge=0, le=1000)] = 0


@router.get("/learning-policy")
@allow(Role.READER)
def show_policy(state: State, region: str) -> dict[str, Any]:
    """What the region's models learn from, and from which count on numbers are shown by place."""
    return policy_of(state.engine, region).to_json()


@router.put("/learning-policy")
@allow(Role.ADMIN)
def change_policy(state: State, region: str, policy: Policy) -> dict[str, Any]:
    """Change it; the next training follows."""
    wanted = LearningPolicy(
        policy.patrol_categories, policy.discovered_weight, policy.minimum_count
    )
    return set_policy(state.engine, region, wanted).to_json()


@router.delete("/learning-policy", status_code=204)
@allow(Role.ADMIN)
def forget_policy(state: State, region: str) -> Response:
    """Go back to the defaults; the next training follows."""
    remove_policy(state.engine, region)
    return Response(status_code=204)


@router.delete("/population", status_code=204)
@allow(Role.ADMIN)
def forget_population(state: State, region: str) -> Response:
    """Forget residents and groups; the neighbourhoods stay."""
    remove_population(state.engine, region)
    return Response(status_code=204)


@router.get("/models/{version}/card")
@allow(Role.READER)
def card(
    state: State,
    caller: CallerOf,
    region: str,
    version: str,
    f: Literal["json", "html", "md"] = "json",
) -> Response:
    """A version's card: data, limits, evaluation, whom it falls on, prohibited uses."""
    found = model_card(state.engine, region, version, exact=caller.lists_incidents)
    if f == "json":
        return Response(orjson.dumps(found), media_type="application/json")
    return Response(card_as(found, f), media_type=CARDS[f])
