"""Reply models: their composed examples are complete and fit their own schemas."""

from datetime import datetime

import jsonschema
import pytest

from app.access import schemas as access
from app.audit import schemas as audit
from app.data_quality import schemas as data_quality
from app.erasure import schemas as erasure
from app.evaluation.backtests import schemas as backtests
from app.evaluation.fairness import schemas as fairness
from app.evaluation.worth import schemas as worth
from app.forecasts import schemas as forecasts
from app.forecasts.areas import schemas as forecast_areas
from app.forecasts.evaluations import schemas as evaluations
from app.forecasts.explain import schemas as forecast_explain
from app.forecasts.streets import schemas as forecast_streets
from app.forecasts.zones import schemas as forecast_zones
from app.http.schemas import Instant, Reply, example_of, links, offered
from app.incidents import schemas as incidents
from app.monitoring import schemas as monitoring
from app.region_edits import schemas as region_edits
from app.regions import schemas as regions
from app.register import schemas as register
from app.runs import schemas as runs
from app.sync import schemas as sync
from app.training import schemas as training

MODULES = (
    access,
    audit,
    backtests,
    data_quality,
    erasure,
    fairness,
    forecasts,
    forecast_areas,
    forecast_explain,
    forecast_streets,
    forecast_zones,
    evaluations,
    incidents,
    monitoring,
    region_edits,
    register,
    regions,
    runs,
    sync,
    training,
    worth,
)
REPLIES = [
    model
    for module in MODULES
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Reply) and model.__module__ == module.__name__
]


@pytest.mark.parametrize("model", REPLIES, ids=lambda model: model.__name__)
def test_the_example_of_a_reply_fits_its_schema(model):
    jsonschema.validate(example_of(model), model.model_json_schema(mode="serialization"))


def test_examples_come_from_fields_and_types():
    class Inner(Reply):
        at: Instant
        flags: list[bool]

    class Outer(Reply):
        inner: Inner | None
        note: str | None = None

    inner = {"at": "2026-01-10T23:00:00+00:00", "flags": [False]}
    assert example_of(Outer) == {"inner": inner}


def test_instants_keep_their_offset():
    class One(Reply):
        at: Instant

    text = "2026-01-10T23:00:00.000001-05:00"
    assert One(at=datetime.fromisoformat(text)).model_dump_json() == f'{{"at":"{text}"}}'


def test_members_that_are_not_declared_are_left_out():
    shown = runs.RunReply.model_validate({**example_of(runs.RunReply), "region_key": 7})
    assert "region_key" not in shown.model_dump()


def test_offered_formats_and_links():
    content = offered({"json": runs.RunReply}, ["csv", "tif"], csv="a\n1\n")["content"]
    assert content == {
        "application/json": {"schema": {"$ref": "#/components/schemas/RunReply"}},
        "text/csv": {"schema": {"type": "string"}, "example": "a\n1\n"},
        "image/tiff": {"schema": {"type": "string", "format": "binary"}},
    }
    assert links({"a": "$b"}, "x") == {"x": {"operationId": "x", "parameters": {"a": "$b"}}}
