"""`/v1/regions/{region}/mappings`: how a source's columns are to be read."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from app.core.roles import Role
from app.http.app_state import State
from app.http.permissions import allow
from app.http.text_fields import ShortText
from app.incidents.mappings import list_mappings, remove_mapping, save_mapping
from app.readers.columns import ColumnMapping

router = APIRouter(prefix="/v1/regions/{region}/mappings", tags=["incidents"])


class Mapping(BaseModel):
    """A source's columns."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "columns": {"occurred_at": "DATE+TIME", "category": "OFFENSE"},
                    "crs": "EPSG:26910",
                    "time_format": "%m/%d/%Y %H:%M",
                }
            ]
        },
    )

    columns: Annotated[
        dict[ShortText, ShortText], Field(max_length=20, description="{field: column}")
    ] = {}
    crs: Annotated[str | None, Field(max_length=64, description="of projected x, y")] = None
    time_format: Annotated[str | None, Field(max_length=60, description="as strptime")] = None


@router.get("")
@allow(Role.INGESTER, Role.ANALYST)
def show_all(state: State, region: str) -> dict[str, Any]:
    """The mappings kept for a region."""
    with state.engine.connect() as connection:
        return {"mappings": list_mappings(connection, region)}


@router.put("/{name}")
@allow(Role.INGESTER)
def save(state: State, region: str, name: str, mapping: Mapping) -> dict[str, Any]:
    """Keep a mapping; uploads name it by `mapping=`."""
    made = ColumnMapping(mapping.columns, mapping.crs, mapping.time_format)
    save_mapping(state.engine, region, name, made)
    return made.to_json()


@router.delete("/{name}", status_code=204)
@allow(Role.INGESTER)
def remove(state: State, region: str, name: str) -> Response:
    """Forget a mapping."""
    remove_mapping(state.engine, region, name)
    return Response(status_code=204)
