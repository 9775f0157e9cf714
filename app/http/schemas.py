"""How replies describe themselves in the OpenAPI document: models, examples, formats, links."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from app.core.media_types import BINARY, MEDIA_TYPES, media_type_of

Responses = dict[int | str, dict[str, Any]]
Instant = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, return_type=str),
    Field(examples=["2026-01-10T23:00:00+00:00"]),
]
"""A time in a reply, in ISO 8601 with its offset."""
Version = Annotated[str, Field(examples=["stack-20220101T050000Z-0c4cc6f7d471dba589"])]
Names = Annotated[list[str], Field(examples=[["Assault", "Auto Theft"]])]
_referenced: dict[type[BaseModel], JsonSchemaMode] = {}


def _add_example(schema: dict[str, Any], model: type[BaseModel]) -> None:
    schema["examples"] = [example_of(model)]


class Reply(BaseModel):
    """Base of replies: a later version may add members, but removes none.

    Its example in the document is composed of those of its fields. FastAPI leaves null members out
    of examples, so that nullable fields need one with a value.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra=_add_example)


class MessageReply(Reply):
    """A message: programs read `code` and `params`, people `message`."""

    code: str = Field(examples=["thin_data"])
    params: dict[str, Any] = Field(examples=[{"n": 1200}])
    message: str = Field(examples=["thin data: trained on 1200 incidents"])


class Request(BaseModel):
    """Base of request bodies: unknown members, and values of another type, are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_add_example)


class Feature(Reply):
    """A GeoJSON feature."""

    type: Literal["Feature"]
    properties: dict[str, Any] | None
    geometry: dict[str, Any] | None = Field(
        examples=[{"type": "Point", "coordinates": [-79.38, 43.65]}]
    )


class FeatureCollection(Reply):
    """A GeoJSON FeatureCollection; further members say what it is about."""

    type: Literal["FeatureCollection"]
    features: list[Feature]


def one_feature(geometry: dict[str, Any], **properties: Any) -> list[Any]:
    """Make an example of GeoJSON features: a list of one."""
    return [{"type": "Feature", "properties": properties, "geometry": geometry}]


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    """Compose an example of a model from the examples, else the types, of its fields.

    Optional fields without an example are left out.
    """
    return {
        field.serialization_alias or name: (
            field.examples[0] if field.examples else _type_example(field.annotation)
        )
        for name, field in model.model_fields.items()
        if field.examples or field.is_required()
    }


def _type_example(annotation: Any) -> Any:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        examples = [e for part in parts if isinstance(part, FieldInfo) for e in part.examples or ()]
        return examples[0] if examples else _type_example(parts[0])
    if origin in (Union, UnionType):
        return _type_example(parts[0])
    if origin is Literal:
        return parts[0]
    if origin is list:
        return [_type_example(parts[0])]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return example_of(annotation)
    return (origin or annotation)()


def reference(model: type[BaseModel], mode: JsonSchemaMode = "serialization") -> dict[str, str]:
    """Refer to a model that FastAPI does not see; `referenced_schemas` gives its schema."""
    _referenced[model] = mode
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def referenced_schemas() -> dict[str, Any]:
    """Return the schemas of all models that were referred to, by name."""
    template = "#/components/schemas/{model}"
    _, found = models_json_schema(list(_referenced.items()), ref_template=template)
    return dict(found["$defs"])


def offered(
    models: dict[str, type[BaseModel]], formats: Sequence[str] = (), csv: str | None = None
) -> dict[str, Any]:
    """Describe a reply of several formats.

    Args:
        models: {format: model} of those that are JSON.
        formats: the others; see `MEDIA_TYPES`.
        csv: an example of the CSV.
    """
    content: dict[str, Any] = {
        MEDIA_TYPES[name]: {"schema": reference(model)} for name, model in models.items()
    }
    for name in formats:
        binary = {"format": "binary"} if name in BINARY else {}
        content[media_type_of(MEDIA_TYPES[name])] = {"schema": {"type": "string", **binary}}
    if csv is not None:
        content[MEDIA_TYPES["csv"]]["example"] = csv
    return {"description": "Successful Response", "content": content}


def links(parameters: dict[str, str], *operations: str) -> dict[str, Any]:
    """Link a reply to operations that take its members as parameters.

    Args:
        parameters: {parameter: runtime expression}, as in `{"region": "$response.body#/id"}`.
        operations: their ids.
    """
    return {name: {"operationId": name, "parameters": parameters} for name in operations}
