"""A region with more categories than two bytes count, from before their number was limited."""

from __future__ import annotations

import time

import httpx
import pytest
from sqlalchemy import text

from app.access.service import NewKey, create_key
from app.core.roles import Role
from app.regions.store import get_region
from app.worker.jobs import work_on
from tests.support.simulated.incident_rows import HEAD, row

N = 33_000
"""Categories with one incident each, besides theft."""
N_THEFTS = 2_000


@pytest.fixture(scope="module")
def region(client, engine) -> str:
    told = client.post("/v1/regions", json={"id": "legacy", "timezone": "UTC", "cell_size_m": 1000})
    assert told.status_code == 201
    body = HEAD + "".join(row(i % 1440, "theft", f"t{i}") + "\n" for i in range(N_THEFTS))
    sent = client.post(
        "/v1/regions/legacy/incidents", content=body, headers={"Content-Type": "text/csv"}
    )
    assert sent.status_code == 200
    with engine.begin() as connection:
        values = {"region": get_region(connection, "legacy").key, "n": N}
        connection.execute(
            text(
                "INSERT INTO categories (region_key, name)"
                " SELECT :region, 'n' || n FROM generate_series(1, :n) AS n"
            ),
            values,
        )
        connection.execute(
            text(
                "INSERT INTO incidents (region_key, occurred_at, longitude, latitude, x_m, y_m,"
                ' "window", category_key, external_id, dedup_key, occurrence, upload_id)'
                " SELECT :region, i.occurred_at + (c.key % 90) * interval '1 day',"
                " longitude + c.key % 97 / 4000.0, latitude + c.key % 89 / 4000.0,"
                " x_m + c.key % 97 * 27, y_m + c.key % 89 * 27,"
                ' (i."window" + c.key % 90 * 24) % 168, c.key, c.name, gen_random_uuid(), 1, upload_id'
                " FROM incidents AS i, categories AS c"
                " WHERE i.region_key = :region AND i.external_id = 't1'"
                " AND c.region_key = :region AND c.name <> 'theft'"
            ),
            values,
        )
    return "/v1/regions/legacy"


@pytest.fixture(scope="module")
def ask(client, engine, region):
    """Asks as a role; what takes long for want of a limit shows here too."""
    keys = {r: create_key(engine, NewKey("t", (r,), rate_per_s=0)).text for r in Role}

    def asked(role: str, method: str, path: str, **options) -> httpx.Response:
        started = time.monotonic()
        told = client.request(
            method,
            region + path,
            headers={"X-API-Key": keys[Role(role)], **options.pop("headers", {})},
            **options,
        )
        assert time.monotonic() - started < 60, path
        return told

    return asked


@pytest.fixture(scope="module")
def trained(ask, engine, settings) -> dict[str, str]:
    """Versions by model: of all, with its validation, and one with a density of each large category."""
    versions = {}
    for role, body in (
        ("admin", {"model": "stack", "validate": False, "until": "2024-01-08T00:00:00Z"}),
        ("admin", {"model": "uniform"}),
        ("trainer", {"model": "history"}),
    ):
        queued = ask(role, "POST", "/training-runs", json=body)
        assert queued.status_code == 202
        work_on(engine, settings, "train", queued.json()["id"])
        run = ask("admin", "GET", f"/training-runs/{queued.json()['id']}").json()
        assert run["status"] == "succeeded", run["message"]
        versions[body["model"]] = run["model_version"]
    return versions


def test_each_training_knows_all_names(ask, trained):
    told = ask("admin", "GET", "/models").json()["models"]
    names = {m["model"]: m["categories"] for m in told}
    assert set(names) == set(trained)
    assert len(set(names["uniform"])) == N + 1
    assert len(set(names["stack"])) == N + 1
    assert set(names["history"]) == {"other", "theft"}, "a trainer's has the common ones"
    told = ask("reader", "GET", "/models").json()["models"]
    assert all(set(m["categories"]) <= {"other", "theft"} for m in told)


@pytest.mark.parametrize("category", ["theft", "n1", f"n{N}"])
def test_a_forecast_of_any_category_is_a_forecast(ask, trained, category):
    """`theft` comes last by name: its code takes more than two bytes hold."""
    asked = {"window": 3, "model": trained["stack"], "category": category}
    told = ask("analyst", "GET", "/forecasts/density", params=asked)
    assert told.status_code == 200, told.text
    assert sum(told.json()["cells"]["probability"]) == pytest.approx(1, abs=1e-6)
    assert ask("analyst", "GET", "/forecasts/hotspots", params=asked).status_code == 200
    told = ask("analyst", "GET", "/forecasts/samples", params={**asked, "n": 3})
    assert told.status_code == 200
    told = ask(
        "analyst",
        "POST",
        "/forecasts/score",
        params={"model": trained["stack"]},
        json={
            "incidents": [
                {
                    "occurred_at": "2024-01-05T10:00:00Z",
                    "longitude": -74.06,
                    "latitude": 4.65,
                    "category": category,
                }
            ]
        },
    )
    assert told.status_code == 200, told.text


def test_a_category_too_many_of_a_forecast_or_training_is_refused_by_name(ask, trained):
    told = ask("analyst", "GET", "/forecasts/density", params={"window": 3, "category": "nowhere"})
    assert told.status_code == 404
    assert "nowhere" in told.json()["detail"]
    body = {"model": "uniform", "categories": [f"n{i}" for i in range(1, 202)]}
    assert ask("admin", "POST", "/training-runs", json=body).status_code == 422


@pytest.mark.parametrize("role", ["reader", "admin"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/models",
        "/training-runs",
        "/backtests",
        "/fairness-report",
        "/learning-policy",
        "/alarms",
        "/forecasts/density?window=3",
        "/forecasts/hotspots?window=3&category=theft",
    ],
)
def test_what_readers_ask_is_answered(ask, trained, role, path):
    told = ask(role, "GET", path)
    assert told.status_code == 200, told.text[:300]
    if role == "reader":
        assert len(told.content) < 1 << 20


@pytest.mark.parametrize(
    "path",
    [
        "/data-report",
        "/hour-of-week",
        "/incidents?limit=5",
        f"/incidents?category=n{N}",
        "/forecasts/outcomes?from=2024-01-05T10:00:00Z&to=2024-01-06T10:00:00Z",
        "/erasures",
    ],
)
def test_what_analysts_ask_is_answered(ask, trained, path):
    told = ask("analyst", "GET", path)
    assert told.status_code == 200, told.text[:300]


def test_a_card_is_answered(ask, trained):
    for role in ("reader", "admin"):
        told = ask(role, "GET", f"/models/{trained['uniform']}/card")
        assert told.status_code == 200, told.text[:300]


def test_a_backtest_ends(ask, trained, engine, settings):
    body = {"models": ["uniform"], "n_origins": 1, "horizon_days": 7}
    queued = ask("analyst", "POST", "/backtests", json=body)
    assert queued.status_code == 202
    work_on(engine, settings, "backtest", queued.json()["id"])
    run = ask("analyst", "GET", f"/backtests/{queued.json()['id']}").json()
    assert run["status"] == "succeeded", run["message"]


def test_further_rows_are_taken_and_further_names_refused(ask, trained):
    body = HEAD + "\n".join(
        [row(1, "theft", "new-1"), row(2, "n7", "new-2"), row(3, "more", "new-3")]
    )
    told = ask(
        "ingester", "POST", "/incidents", content=body, headers={"Content-Type": "text/csv"}
    ).json()
    assert (told["accepted"], told["rejected"]) == (2, 1)
    assert told["rejected_by_code"] == {"too_many_categories": 1}
    assert ask("admin", "DELETE", "/incidents/n1").status_code == 204
    assert ask("analyst", "GET", "/incidents?category=n1").json()["features"] == []


def test_the_upload_that_brought_them_can_be_erased(ask, trained, engine):
    """Last: it takes the region's incidents, their names and the versions that know them."""
    assert ask("admin", "DELETE", "/uploads/1").status_code == 200
    with engine.connect() as connection:
        assert set(connection.scalars(text("SELECT name FROM categories"))) <= {"theft", "n7"}
    assert ask("admin", "GET", "").json()["incidents"] <= 2
