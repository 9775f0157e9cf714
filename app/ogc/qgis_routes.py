"""`/ogc/regions/{region}`: a QGIS project and layer styles to download."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response

from app.core.media_types import MEDIA_TYPES
from app.core.roles import LOCAL_ACTOR, Role
from app.forecasts.plan import Selector
from app.forecasts.selectors import Forecasts
from app.http.app_state import CallerOf, State
from app.http.links import base_of
from app.http.parameters import RegionId
from app.http.permissions import allow
from app.http.problems import DOCUMENTED
from app.http.schemas import offered
from app.ogc.collections import (
    ABOUT,
    HOTSPOTS,
    NEIGHBOURHOODS,
    STREETS,
    ZONES,
    check_kind,
    whole,
)
from app.ogc.features import feature_set
from app.ogc.project import LayerPlan, project
from app.ogc.route_class import OgcRoute
from app.ogc.routes import ground_of_region
from app.ogc.styles import qml, sld, steps_of

router = APIRouter(
    prefix="/ogc/regions/{region}", tags=["ogc"], responses=DOCUMENTED, route_class=OgcRoute
)
Styled = Literal["hotspots", "zones", "streets", "neighbourhoods"]


@router.get("/project.qgs", response_class=Response, responses={200: offered({}, ["qgs"])})
@allow(Role.READER)
def project_file(
    request: Request, state: State, forecasts: Forecasts, caller: CallerOf, region: RegionId
) -> Response:
    """Make a QGIS project with the region's collections as live layers over its map tiles.

    It holds no key: where one is needed, its layers use QGIS's authentication configuration `hotslot`.
    """
    ground = ground_of_region(state, forecasts, region)
    if ground.bbox is None:
        forecasts.versions.read(region)  # says what is missing
    check_kind(ground, caller, HOTSPOTS)
    known, now = ground.kinds(caller), Selector(at=datetime.now(UTC))
    layers = [
        LayerPlan(
            kind, ABOUT[kind][0], steps_of(feature_set(forecasts, region, kind, now), kind), shown
        )
        for kind, shown in (
            (ZONES, True),
            (HOTSPOTS, False),
            (STREETS, False),
            (NEIGHBOURHOODS, False),
        )
        if kind in known
    ]
    box = whole([ground.bbox or [-180.0, -85.0, 180.0, 85.0]])[0]
    keyed = caller.actor != LOCAL_ACTOR
    text = project((region, ground.region.name), base_of(request), box, layers, keyed=keyed)
    return _file(text, "qgs", region)


@router.get(
    "/styles/{kind}.{fmt}", response_class=Response, responses={200: offered({}, ["qml", "sld"])}
)
@allow(Role.READER)
def style(
    state: State,
    forecasts: Forecasts,
    caller: CallerOf,
    region: RegionId,
    kind: Annotated[Styled, Path(examples=["hotspots"])],
    fmt: Annotated[Literal["qml", "sld"], Path(examples=["qml"])],
) -> Response:
    """Make a layer style for QGIS (qml) or others (sld); its classes are those of the present hour."""
    ground = ground_of_region(state, forecasts, region)
    check_kind(ground, caller, kind)
    steps = steps_of(feature_set(forecasts, region, kind, Selector(at=datetime.now(UTC))), kind)
    name = f"{region}.{kind}"
    text = (
        qml(steps, kind)
        if fmt == "qml"
        else sld(steps, kind, name, f"{ground.region.name}: {kind}")
    )
    return _file(text, fmt, f"{region}-{kind}")


def _file(text: str, fmt: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.{fmt}"'}
    return Response(text, media_type=MEDIA_TYPES[fmt], headers=headers)
