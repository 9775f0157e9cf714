"""Query parameters become one selector, whatever their order, and refusals name theirs."""

from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.forecasts.plan import Selector
from app.forecasts.selectors import PlainSelected, Selected
from app.http.problems import add_problem_handlers


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    found = []

    @app.get("/all")
    async def _all(selected: Selected) -> None:
        found.append(selected)

    @app.get("/plain")
    async def _plain(selected: PlainSelected) -> None:
        found.append(selected)

    add_problem_handlers(app)
    with TestClient(app) as client:
        client.found = found
        yield client


def selected(client, query, path="/all"):
    reply = client.get(f"{path}?{query}")
    assert reply.status_code == 200, reply.text
    return client.found[-1]


def test_nothing_given_is_the_default(client):
    assert selected(client, "") == selected(client, "", "/plain") == Selector()


def test_every_parameter_reaches_its_member(client):
    query = (
        "at=2026-01-10T23:00&window=3&from=2026-01-01&to=2026-01-02T00:00Z&cell_size_m=250"
        "&grid=h3&resolution=8&bbox=-74.1,4.5,-74,4.7&category=theft&category=arson&model=stack"
        "&as_of=2025-12-31&state=frozen"
    )
    wanted = Selector(
        at=datetime(2026, 1, 10, 23), window=3, start=datetime(2026, 1, 1),
        end=datetime(2026, 1, 2, tzinfo=UTC), cell_size_m=250.0, grid="h3", resolution=8,
        bbox=(-74.1, 4.5, -74.0, 4.7), category=("theft", "arson"), model="stack",
        as_of=datetime(2025, 12, 31), state="frozen",
    )  # fmt: skip
    assert asdict(selected(client, query)) == asdict(wanted)
    parts = query.split("&")
    assert selected(client, "&".join(reversed(parts))).category == ("arson", "theft")


def test_calls_on_the_models_own_cells_take_a_box_and_no_size(client):
    plain = selected(client, "bbox=1,2,3,4&cell_size_m=250&grid=h3&resolution=8", "/plain")
    assert plain == Selector(bbox=(1.0, 2.0, 3.0, 4.0))


@pytest.mark.parametrize("path", ["/all", "/plain"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("at=yesterday", "at"),
        ("at=2026-02-30", "at"),
        ("from=1", "from"),
        ("to=2026-01-01T25:00", "to"),
        ("as_of=now", "as_of"),
        ("window=168", "window"),
        ("window=-1", "window"),
        ("state=7%27", "state"),
        ("bbox=1,2,3", "bbox"),
        ("bbox=1,4,3,2", "bbox"),
        ("&".join(["category=x"] * 21), "category"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_parameter(client, path, query, field):
    reply = client.get(f"{path}?{query}")
    assert (reply.status_code, reply.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("query", "field"),
    [("grid=hex", "grid"), ("resolution=16", "resolution"), ("cell_size_m=inf", "cell_size_m")],
)
def test_wrong_cells_are_refused_by_name(client, query, field):
    reply = client.get(f"/all?{query}")
    assert (reply.status_code, reply.json()["field"]) == (422, field)
