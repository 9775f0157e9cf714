"""F2: every evaluation tells whom the flagged area falls on; per head and between groups if known."""

import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.access import callers as gate
from app.cli import app as command_line
from app.core.roles import Caller, Role
from app.geo.grid import build_grid
from app.geo.neighbourhoods import divide
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.main import create_app
from app.regions.service import add_region
from app.releases import disclosure
from app.releases.small_counts import grouped_disparity, hidden, too_small
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from models.evaluation.fairness import as_if_reported, group_exposure, incident_shares
from models.evaluation.worth import GAINS
from tests.support.simulated.town import halves


@pytest.fixture(scope="module")
def client(engine, settings, town_csv):
    boundary = {"type": "FeatureCollection", "features": halves()}
    add_region(engine, "town", timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)
    add_region(
        engine, "plain", timezone=TIMEZONE, boundary=synthetic_city().area.to_geojson(),
        cell_size_m=500.0,
    )  # fmt: skip
    for region in ("town", "plain"):
        ingest_file(engine, region, town_csv, settings=settings)
        run = run_now(
            engine, settings, region, TrainingRequest(model="pooled-kde"), lambda _s, _m: None
        )
        assert run.status == "succeeded", run.message
        assert run.metrics["scores"]["neighbourhoods"]["rows"]
    with TestClient(create_app(settings, engine)) as made:
        yield made


def test_a_region_without_named_parts_is_cut_by_the_compass(client):
    found = client.get("/v1/regions/plain/fairness-report").json()
    assert not found["named_parts"]
    assert len(found["neighbourhoods"]) == 9
    for key in ("flagged_share", "incident_share", "area_share"):
        assert sum(r[key] for r in found["neighbourhoods"]) == pytest.approx(1.0)
    grid = build_grid(synthetic_city().area, 500.0)
    assert np.bincount(divide(grid, None).part, minlength=9).min() > 0


def test_report_with_and_without_a_population_layer(client):
    path = "/v1/regions/town/fairness-report"
    bare = client.get(path).json()
    assert bare["groups"] == {}
    assert all(r["flagged_km2_hours_per_1000"] is None for r in bare["neighbourhoods"])
    for r in bare["neighbourhoods"]:
        assert r["incident_share_lo"] <= r["incident_share"] <= r["incident_share_hi"]
        assert r["ratio"] == pytest.approx(r["flagged_share"] / r["incident_share"])
    layer = "Name,Population,newcomers,others\nWest,3000,2400,600\neast,1000,100,900\n"
    kept = client.put(
        "/v1/regions/town/population", content=layer, headers={"Content-Type": "text/csv"}
    )
    assert kept.status_code == 200, kept.text
    assert kept.json()["neighbourhoods"][0]["groups"] == {"newcomers": 2400, "others": 600}
    full = client.get(path).json()
    west = next(r for r in full["neighbourhoods"] if r["name"] == "west")
    assert west["population_share"] == 0.75
    assert west["flagged_km2_hours_per_1000"] == pytest.approx(
        west["flagged_km2_hours_per_week"] / 3
    )
    told = full["groups"]["newcomers"]
    assert told["ratio"]["value"] == pytest.approx(
        told["exposure"]["value"] / told["others"]["value"]
    )
    assert told["ratio"]["lo"] <= told["ratio"]["value"] <= told["ratio"]["hi"]
    for f, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        assert client.get(path, params={"f": f}).content.startswith(start)


def test_under_reporting_moves_the_flagged_area_where_less_is_reported(client):
    path = "/v1/regions/town/fairness-report"
    found = client.get(path, params={"reporting": ["west=0.4"]}).json()["under_reporting"]
    west = found["flagged_share"]["west"]
    assert west["then"] > west["now"]
    assert 0 < found["overlap"] < 1
    for wrong in ("west=0", "west=1e-320", "west=1.1", "west=nan", "nowhere=0.5", "west", "west=x"):
        assert client.get(path, params={"reporting": wrong}).status_code == 422, wrong


def test_the_command_tells_what_under_reporting_moves(client, settings, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    words = ["fairness-report", "town", "--reporting", "west=0.4"]
    shown = CliRunner().invoke(command_line, words).stdout
    assert "west: " in shown
    assert "% of the flagged area, then" in shown
    assert "east: " not in shown
    assert "flagged cells overlap by" in shown


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        ("name,population\nwest,1\n", 422),
        ("name,population\nwest,1\neast,2\nnorth,3\n", 422),
        ("name,population\nwest,-1\neast,2\n", 422),
        ("name,population\nwest,NaN\neast,2\n", 422),
        ("name,population,g\nwest,1,2\neast,2,1\n", 422),
        ("name,people\nwest,1\neast,2\n", 422),
        ('name,population\n"west,1\n', 422),
        ("", 422),
    ],
)
def test_layers_that_do_not_fit_are_refused_whole(client, layer, code):
    before = client.get("/v1/regions/town").json()["neighbourhoods"]
    reply = client.put(
        "/v1/regions/town/population", content=layer, headers={"Content-Type": "text/csv"}
    )
    assert reply.status_code == code, reply.text
    assert client.get("/v1/regions/town").json()["neighbourhoods"] == before


def test_a_geojson_layer_brings_its_own_parts(client):
    features = halves()
    for feature, n in zip(features, (10, 30), strict=True):
        feature["properties"] = {
            "name": "left" if n == 10 else "right", "population": n, "groups": {"g": n / 2},
        }  # fmt: skip
    body = json.dumps({"type": "FeatureCollection", "features": features})
    headers = {"Content-Type": "application/geo+json"}
    reply = client.put("/v1/regions/plain/population", content=body, headers=headers)
    assert reply.status_code == 200, reply.text
    found = client.get("/v1/regions/plain/fairness-report").json()
    assert {r["name"] for r in found["neighbourhoods"]} == {"left", "right"}
    assert set(found["groups"]) == {"g"}
    assert client.put("/v1/regions/plain/population", content="[]", headers=headers).is_client_error


def test_small_numbers_are_hidden_on_demand(client):
    path = "/v1/regions/town/learning-policy"
    assert client.get(path).json()["minimum_count"] == 0
    assert client.put(path, json={"minimum_count": 3}).status_code == 200
    outcomes = client.get("/v1/regions/town/forecasts/outcomes").json()
    assert outcomes["hidden_cells"] > 0
    assert all(f["properties"]["incidents"] >= 3 for f in outcomes["features"])
    row = {
        "name": "left",
        "incidents": 2,
        "incident_share": 0.1,
        "ratio": 2.0,
        "flagged_share": 0.2,
    }
    told = {"name": "left", "flagged_share": 0.2, "hidden": True}
    assert {k: v for k, v in hidden(row).items() if v is not None} == told
    client.put(path, json={})
    for wrong in ({"discovered_weight": 2}, {"minimum_count": -1}, {"patrol_categories": "x"}):
        assert client.put(path, json=wrong).status_code == 422


@pytest.mark.parametrize(
    ("counts", "minimum", "left_out"),
    [
        ([9, 8, 7], 0, set()),
        ([9, 8, 7], 5, set()),
        ([9, 8, 2], 5, {1, 2}),  # one alone is the total less the others
        ([9, 1, 2], 5, {0, 1, 2}),  # two that are three together are too few still
        ([9, 3, 4], 5, {1, 2}),
        ([3], 5, {0}),
    ],
)
def test_what_is_hidden_cannot_be_worked_out_from_the_rest(counts, minimum, left_out):
    assert too_small(counts, minimum) == left_out


def test_disparity_does_not_tell_what_is_hidden():
    """As many as could be solved for: a ratio over a known flagged share, a sum of differences."""
    flagged = np.array([0.5, 0.3, 0.1, 0.1])

    def told(*counts: int) -> dict[str, float]:
        return grouped_disparity(flagged, np.array(counts) / sum(counts), too_small(counts, 10))

    assert told(70, 17, 6, 7) == told(70, 17, 4, 9)
    assert told(70, 10, 10, 10) != told(70, 10, 11, 9), "nothing is hidden of the first"
    assert told(70, 17, 6, 7)["max_ratio"] == pytest.approx(0.3 / 0.17)


def test_scores_of_single_days_stay_inside(client):
    for path in ("models", "training-runs"):
        assert "place_reference" not in client.get(f"/v1/regions/town/{path}").text


def test_readers_are_told_rounded_means_and_nothing_of_few_incidents(client, monkeypatch):
    """One more incident would tell its log density, and so its cell, by the difference."""
    path, means = "/v1/regions/town/models", ("log_score", "cap_auc")
    exact = client.get(path).json()["models"][0]["scores"]
    assert any(exact[m] != round(exact[m], 3) for m in means), (
        "who may list incidents sees all digits"
    )
    gains = exact["worth"]["gains"]
    assert set(gains) == set(GAINS)
    nats = exact["models"]["pooled-kde"]["log_score"]
    assert gains["nats"]["mean"] == pytest.approx(exact["log_score"] - nats)
    monkeypatch.setattr(gate, "LOCAL", Caller("local", frozenset({Role.READER})))
    scores = client.get(path).json()["models"][0]["scores"]
    for name, gain in scores["worth"]["gains"].items():
        assert gain == {end: round(value, 3) for end, value in gains[name].items()}
    for name, one in scores["models"].items():
        assert [one[m] for m in means] == [round(exact["models"][name][m], 3) for m in means]
    monkeypatch.setattr(disclosure, "MIN_GROUP", scores["n"] + 1)
    few = client.get(path).json()["models"][0]["scores"]
    assert set(few) == {"n", "origin_s"}
    run = client.get("/v1/regions/town/training-runs").json()["training_runs"][0]
    assert run["metrics"]["scores"] == few
    version = client.get(path).json()["champion"]
    assert client.get(f"{path}/{version}").json()["scores"] == few
    assert client.get(f"{path}/{version}/card").json()["evaluation"] is None
    assert "too few" in client.get(f"{path}/{version}/card", params={"f": "md"}).text


def test_backtests_tell_rounded_means_and_nothing_of_few_incidents():
    def summary(n: int) -> dict[str, object]:
        return {"n": n, "log_score": -1.23456, "cap_auc": 0.98765, "hits": {"1": 1}, "seconds": 1}

    one = {**summary(40), "per_origin": [summary(20), summary(20)]}
    gain = {"mean": 0.01234, "lo": -0.00123, "hi": 0.02345}
    worth = {"a": {"n": 40, "list_share": 0.34567, "gains": {"nats": gain}}}
    differences = [{"model": "a", "against": "b", "n": 40, "log_score": 0.12345, "lo": 0.1, "p": 0}]
    result = {
        "n": 40,
        "models": {"a": one},
        "differences": differences,
        "worth": worth,
        "provenance": {"request": {"release": 3}},
        "released": None,
    }
    told = disclosure.shown_backtest(result)
    assert told["differences"][0] == {**differences[0], "log_score": 0.123}
    for shown in (told["models"]["a"], *told["models"]["a"]["per_origin"]):
        assert (shown["log_score"], shown["cap_auc"], shown["seconds"]) == (-1.235, 0.988, 1)
    rounded = {"mean": 0.012, "lo": -0.001, "hi": 0.023}
    assert told["worth"] == {"a": {"n": 40, "list_share": 0.346, "gains": {"nats": rounded}}}
    for small in ({**result, "released": {}}, {**result, "provenance": {"request": {}}}):
        told = disclosure.shown_backtest(small)
        assert (told["n"], told["models"], told["differences"]) == (0, {}, [])
        assert told["worth"] == {}
    exact = disclosure.shown_backtest(result, exact=True)
    assert exact == {k: v for k, v in result.items() if k != "released"}


def test_readers_are_told_how_many_lie_at_a_default_geocode_and_not_where():
    report = {
        "data": {"default_geocodes": [{"x_m": 1, "y_m": 2, "n_incidents": 300}], "a": 1},
        "b": 2,
    }
    told = disclosure.shown_report(report)
    assert told == {"data": {"default_geocodes": [{"n_incidents": 300}], "a": 1}, "b": 2}
    assert disclosure.shown_report(report, exact=True) == report
    assert disclosure.shown_report({}) == {}


def test_the_card_tells_all_that_it_must(client):
    path = "/v1/regions/town/models"
    version = client.get(path).json()["champion"]
    card = client.get(f"{path}/{version}/card").json()
    assert card["champion"] is True
    assert card["data"]["n_incidents"] > 4_000
    assert card["evaluation"]["models"]["pooled-kde"]["n"] > 0
    assert any("persons" in use for use in card["prohibited_uses"])
    assert card["memorisation"]["all"]["verdict"] == "passed"
    text = client.get(f"{path}/{version}/card", params={"f": "md"}).text
    page = client.get(f"{path}/{version}/card", params={"f": "html"}).text
    for word in ("Not for", "Limits", "Evaluation", "Whom it falls on", "Memorisation"):
        assert word in text
        assert word in page
    assert client.get(f"{path}/nothing/card").status_code == 404


def test_shares_sum_to_one_and_intervals_hold_the_estimate():
    rng = np.random.default_rng(0)
    part, time_s = rng.integers(0, 3, 600), np.sort(rng.integers(0, 10**7, 600))
    share, lo, hi = incident_shares(part, time_s, 4)
    assert share.sum() == pytest.approx(1.0)
    assert np.all((lo <= share) & (share <= hi))
    assert share[3] == 0.0
    nothing, _, _ = incident_shares(np.zeros(0, int), np.zeros(0, int), 2)
    assert nothing.tolist() == [0.0, 0.0]


def test_equal_groups_have_equal_exposure():
    fraction, everyone = np.array([0.1, 0.3, 0.2]), np.array([100.0, 50.0, 30.0])
    found = group_exposure(fraction, 0.4 * everyone, everyone)
    assert found["ratio"].value == pytest.approx(1.0)
    assert found["ratio"].hi == pytest.approx(1.0)
    assert group_exposure(fraction, everyone, everyone)["ratio"] is None
    moved = as_if_reported(np.array([[0.5, 0.5]]), np.array([0, 1]), np.array([0.5, 1.0]))
    np.testing.assert_allclose(moved, [[2 / 3, 1 / 3]])


def test_changes_of_policy_and_population_are_audited(client, engine):
    from app.audit.store import entries

    client.put("/v1/regions/town/learning-policy", json={"patrol_categories": "include"})
    client.put("/v1/regions/town/learning-policy", json={})
    with engine.connect() as connection:
        found = [(e.action, json.loads(e.details)) for e in entries(connection, "town")]
    changes = [d["patrol_categories"] for action, d in found if action == "learning_policy.changed"]
    assert changes[-2:] == ["include", "exclude"]
    assert any(action == "population.changed" for action, _ in found)
