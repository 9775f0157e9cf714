"""A key confined to one region does nothing to another: by path, by body, by query, by listing."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.sync.schedule import claim_here
from app.sync.service import add_source
from app.sync.spec import SourceSpec
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.services.portals import COLUMNS

HEAD = "occurred_at,longitude,latitude,category,external_id\n"
ROW = "2024-01-01T10:{:02d}:00Z,{:.4f},{:.4f},theft,{}\n"
THEIRS = HEAD + "".join(
    ROW.format(n, 12.5 + n % 6 / 100, 41.9 + n // 6 / 100, f"theirs{n}") for n in range(36)
)
CSV = {"Content-Type": "text/csv"}
NO_RUN = "00000000-0000-4000-8000-000000000000"
MINE, OTHER = "/v1/regions/here", "/v1/regions/there"


@pytest.fixture(scope="module")
def others(guarded):
    """What belongs to `there`, as keys without a scope made it."""
    admin = guarded.keys["admin"]

    def made(path, **body):
        reply = guarded.ask("POST", f"{OTHER}/{path}", admin, json=body)
        assert reply.status_code == 202, reply.text
        return reply.json()["id"]

    key = {**CSV, "Idempotency-Key": "same"}
    sent = guarded.ask("POST", f"{OTHER}/incidents", admin, content=THEIRS, headers=key)
    assert sent.json()["accepted"] == 36, sent.text
    spec = SourceSpec("socrata", "http://127.0.0.1:9/resource/abcd-1234.json", columns=COLUMNS)
    allowing = guarded.settings.model_copy(update={"sync_allow_loopback": True})
    add_source(guarded.engine, allowing, "there", "portal", spec)
    request = TrainingRequest("uniform", validate=False)
    run = run_now(guarded.engine, guarded.settings, "there", request, lambda _s, _m: None)
    assert run.status == "succeeded", run.message
    return {
        "version": run.model_version,
        "training-runs": made("training-runs", model="uniform"),
        "backtests": made("backtests", models=["uniform", "pooled-kde"]),
        "sync-runs": str(claim_here(guarded.engine, "there", "portal", full=True).id),
    }


def contents(engine, region):
    """All that is stored of a region, as text, but for the audit log."""
    with engine.connect() as connection:
        key = connection.scalar(text("SELECT key FROM regions WHERE id = :id"), {"id": region})
        names = connection.scalars(
            text(
                "SELECT table_name FROM information_schema.columns"
                " WHERE column_name = 'region_key' AND table_schema = 'public' ORDER BY 1"
            )
        ).all()
        rows = 'SELECT t::text FROM "{}" AS t WHERE region_key = :key ORDER BY 1'
        return {
            name: connection.scalars(text(rows.format(name)), {"key": key}).all() for name in names
        }


@pytest.fixture
def untouched(guarded, others):
    before = contents(guarded.engine, "there")
    assert sum(map(len, before.values())) >= 4
    yield
    assert contents(guarded.engine, "there") == before


@pytest.mark.parametrize("kind", ["training-runs", "backtests", "sync-runs"])
def test_runs_of_another_region_are_not_found_under_its_own(guarded, others, untouched, kind):
    key, path = guarded.keys["admin here"], f"{MINE}/{kind}/{others[kind]}"
    tails = {"training-runs": ["", "/events"], "backtests": ["", "/cap", "/calibration", "/report"]}
    for tail in tails.get(kind, [""]):
        reply = guarded.ask("GET", path + tail, key)
        assert reply.status_code == 404, (tail, reply.text)
        absent = guarded.ask("GET", path.replace(others[kind], NO_RUN) + tail, key)
        told = absent.json()["detail"].replace(NO_RUN, others[kind])
        assert told == reply.json()["detail"], "as if there were none"
    if kind != "sync-runs":
        assert guarded.ask("DELETE", path, key).status_code == 404
    assert others[kind] not in guarded.ask("GET", f"{MINE}/{kind}", key).text


def test_incidents_of_another_region_are_neither_listed_nor_erased(guarded, untouched):
    key = guarded.keys["admin here"]
    assert guarded.ask("DELETE", f"{MINE}/incidents/theirs1", key).status_code == 404
    for query in ("", "?region=there", "?region_id=there", "?category=theft&region=there"):
        listed = guarded.ask("GET", f"{MINE}/incidents{query}", key)
        assert "theirs" not in listed.text
        assert "41.9" not in listed.text
    for report in (
        "data-report",
        "hour-of-week",
        "erasures",
        "fairness-report",
        "worth",
        "alarms",
        "models",
        "schedule",
    ):
        assert "theirs" not in guarded.ask("GET", f"{MINE}/{report}?region=there", key).text


def test_an_idempotency_key_of_another_region_is_free(guarded, untouched):
    """Neither its reply nor that it was used is told."""
    body, headers = HEAD + ROW.format(1, 2.3, 48.8, "own"), {**CSV, "Idempotency-Key": "same"}
    key = guarded.keys["ingester here"]
    sent = guarded.ask("POST", f"{MINE}/incidents", key, content=body, headers=headers)
    assert (sent.status_code, sent.json()["accepted"]) == (200, 1), sent.text


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [
        ("POST", "training-runs", {"model": "uniform", "region": "there"}, (422, "invalid_input")),
        (
            "POST",
            "backtests",
            {"models": ["uniform", "pooled-kde"], "region": "there"},
            (422, "invalid_input"),
        ),
        ("POST", "sync-runs", {"source": "portal"}, (404, "not_found")),
        ("POST", "sync-runs", {"source": "portal", "region": "there"}, (422, "invalid_input")),
        ("POST", "forecasts/score", {"incidents": [], "region": "there"}, (422, "invalid_input")),
        (
            "POST",
            "forecasts/areas",
            {"type": "FeatureCollection", "features": [], "region": "there"},
            (422, "invalid_input"),
        ),
        (
            "PUT",
            "schedule",
            {"model": "uniform", "cron": "0 * * * *", "region": "there"},
            (422, "invalid_input"),
        ),
        ("PUT", "learning-policy", {"minimum_count": 3, "region": "there"}, (422, "invalid_input")),
        ("POST", "models/rollback", {"region": "there"}, (409, "no_model")),
    ],
)
def test_a_body_cannot_name_another_region(guarded, untouched, method, path, body, refusal):
    reply = guarded.ask(
        method, f"{MINE}/{path}?region=there", guarded.keys["admin here"], json=body
    )
    assert (reply.status_code, reply.json()["code"]) == refusal, reply.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/regions", {"id": "third", "name": "x", "timezone": "UTC", "boundary": None}),
        ("POST", "/v1/regions", {"id": "there", "name": "x", "timezone": "UTC", "boundary": None}),
        ("POST", "/v1/keys", {"name": "mine", "roles": ["reader"], "regions": ["there"]}),
        ("POST", "/v1/keys", {"name": "mine", "roles": ["admin"], "regions": ["here"]}),
        ("GET", "/v1/keys", None),
        ("GET", "/metrics", None),
    ],
)
def test_what_belongs_to_no_region_needs_a_key_without_scope(
    guarded, untouched, method, path, body
):
    key = guarded.keys["admin here"]
    assert guarded.ask(method, path, key, json=body).status_code == 403
    listed = guarded.ask("GET", "/v1/regions?region=there", key)
    assert "there" not in listed.text.replace("region=there", "")


def test_a_version_of_another_region_is_not_found(guarded, others, untouched):
    key, name = guarded.keys["admin here"], others["version"]
    assert guarded.ask("GET", f"{OTHER}/models/{name}", guarded.keys["admin"]).status_code == 200
    for method, path in (
        ("GET", f"models/{name}"),
        ("GET", f"models/{name}/card"),
        ("POST", f"models/{name}/promote"),
        ("GET", f"models/{name}/live-scores"),
        ("GET", f"forecasts/density?window=1&model={name}"),
    ):
        reply = guarded.ask(method, f"{MINE}/{path}", key)
        assert reply.status_code == 404, (path, reply.text)
    assert name not in guarded.ask("GET", f"{MINE}/models", key).text


@pytest.mark.slow
def test_forwarded_addresses_buy_no_requests(guarded):
    """Rates are held by key: what a request says of its origin does not count."""
    key = guarded.make("reader", rate_per_s=0.001)
    burst = guarded.settings.rate_limit_burst

    def ask(n, **headers):
        claims = {"X-Forwarded-For": f"10.0.{n // 250}.{n % 250}", "X-Real-IP": f"10.1.0.{n % 250}",
                  "Forwarded": f"for=10.2.0.{n % 250}", "Via": "1.1 proxy", **headers}  # fmt: skip
        return guarded.ask("GET", "/v1/me", key, headers=claims).status_code

    assert {ask(n) for n in range(burst)} == {200}
    assert {ask(burst + n) for n in range(20)} == {429}
    assert ask(0, Authorization=f"Bearer {key}") == 429
    assert (
        guarded.client.get("/v1/me", headers={"Authorization": f"Bearer {key}"}).status_code == 429
    )
