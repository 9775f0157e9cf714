"""Readers see incidents in steps of twenty or more, and trainers train on no other sets."""

from datetime import UTC, datetime, timedelta

import pytest

from app.worker.jobs import work_on
from tests.support.simulated.small_region import START, row, train


@pytest.mark.slow
def test_a_reader_sees_no_second_no_rare_kind_and_no_single_arrival(place):
    before = place("reader", "GET", "").json()
    assert before["incidents"] == 300
    assert before["first_at"] == "2024-01-01T00:00:00+00:00"
    assert before["last_at"] == "2024-01-30T00:00:00+00:00"
    at = datetime(2024, 2, 3, 23, 41, 7, tzinfo=UTC)
    for k in range(19):
        place(
            "ingester",
            "POST",
            "/incidents",
            json=[row(at + timedelta(minutes=k), category="secret kind")],
        )
        for role in ("reader", "trainer", "ingester"):
            assert place(role, "GET", "").json() == before
    place("ingester", "POST", "/incidents", json=[row(at + timedelta(hours=1))])
    after = place("reader", "GET", "").json()
    assert after["incidents"] == 320
    assert after["last_at"] == "2024-02-04T00:00:00+00:00"
    assert after["categories"] == {"other": 320}, "nineteen would be the total minus the rest"
    exact = place("analyst", "GET", "").json()
    assert exact["categories"] == {"secret kind": 19, "theft": 301}
    assert exact["last_at"] == "2024-02-04T00:41:07+00:00"


def test_until_moves_to_a_release(engine, settings, place):
    """M1: a second more or less must not tell whether an incident happened in it."""
    at = datetime(2024, 1, 28, 23, 41, 7, tzinfo=UTC)
    place("ingester", "POST", "/incidents", json=[row(at, (10.0512, 50.0312))])
    seen = set()
    for second in (0, 1):
        until = (at + timedelta(seconds=second)).isoformat()
        version, reply = train(engine, settings, place, "trainer", until=until)
        assert reply.json()["request"]["until"] == "2024-01-27T00:00:00+00:00"
        assert reply.json()["note"]["code"] == "until_moved_to_release"
        seen.add(version)
    assert len(seen) == 1
    shown = place("reader", "GET", f"/models/{version}").json()
    assert shown["n_incidents"] == 260
    assert shown["trained_until"] == "2024-01-27T00:00:00+00:00"


def test_a_trainer_cannot_name_a_rare_category(engine, settings, place):
    place("ingester", "POST", "/incidents", json=[row(START, category="Domestic violence")])
    place(
        "ingester", "POST", "/incidents", json=[row(START + timedelta(hours=k)) for k in range(40)]
    )
    for name in ("Domestic violence", "no such kind"):
        _, reply = train(engine, settings, place, "trainer", categories=[name])
        assert reply.status_code == 422, reply.text
        assert reply.json()["code"] == "too_few_of_category"
    version, _ = train(engine, settings, place, "admin", categories=["Domestic violence"])
    assert place("reader", "GET", f"/models/{version}").status_code == 404
    assert place("trainer", "POST", f"/models/{version}/promote").status_code == 404


@pytest.mark.slow
def test_repeated_trainings_over_arrivals_differ_by_twenty_or_not_at_all(engine, settings, place):
    first, _ = train(engine, settings, place, "trainer")
    for k in range(19):
        late = START + timedelta(days=k, minutes=7)
        place("ingester", "POST", "/incidents", json=[row(late, (10.0512, 50.0312))])
        if k in (0, 18):
            assert train(engine, settings, place, "trainer")[0] == first
    place("ingester", "POST", "/incidents", json=[row(START, (10.0513, 50.0312))])
    second, _ = train(engine, settings, place, "trainer")
    counts = [place("reader", "GET", f"/models/{v}").json()["n_incidents"] for v in (first, second)]
    assert counts == [300, 320]


@pytest.mark.slow
def test_a_reader_sees_an_exact_version_only_when_twenty_are_new(engine, settings, place):
    first, _ = train(engine, settings, place, "admin")
    place("ingester", "POST", "/incidents", json=[row(START + timedelta(days=29, hours=23.9))])
    second, _ = train(engine, settings, place, "admin")
    place("admin", "POST", f"/models/{second}/promote")
    density = "/forecasts/density?at=2024-02-01T10:00"
    assert place("admin", "GET", density).json()["model_version"] == second
    for role in ("reader", "trainer"):
        assert place(role, "GET", density).json()["model_version"] == first
        assert place(role, "GET", f"{density}&model={second}").status_code == 404
        listed = place(role, "GET", "/models").json()
        assert [one["version"] for one in listed["models"]] == [first]
        assert listed["champion"] == place(role, "GET", "").json()["champion"] == first
    more = [row(START + timedelta(days=20, minutes=k)) for k in range(19)]
    place("ingester", "POST", "/incidents", json=more)
    third, _ = train(engine, settings, place, "admin")
    assert place("reader", "GET", f"{density}&model={third}").status_code == 200


def test_a_corrected_incident_is_not_told_by_training_a_release_again(engine, settings, place):
    named = {**row(START + timedelta(days=3)), "external_id": "A-1"}
    many = [row(START + timedelta(days=4, minutes=k)) for k in range(30)]
    place("ingester", "POST", "/incidents", json=[named, *many])
    train(engine, settings, place, "trainer")
    place("ingester", "POST", "/incidents", json=[{**named, "longitude": 10.05}])
    reply = place(
        "trainer", "POST", "/training-runs", json={"model": "pooled-kde", "validate": False}
    )
    work_on(engine, settings, "train", reply.json()["id"])
    run = place("admin", "GET", f"/training-runs/{reply.json()['id']}").json()
    assert run["status"] == "failed"
    assert "corrected" in run["message"]


DOORS = (
    "",
    "/models",
    "/models/{v}",
    "/models/{v}/card",
    "/models/{v}/card?f=html",
    "/fairness-report",
    "/worth",
    "/training-runs",
    "/alarms",
    "/forecasts/density?at=2024-02-01T10:00",
    "/forecasts/density?at=2024-02-01T10:00&f=csv",
    "/forecasts/hotspots?at=2024-02-01T10:00",
)


@pytest.mark.slow
def test_no_door_names_a_rare_category(engine, settings, place):
    """M3: kinds of few incidents are part of `other`, in versions that anyone made."""
    rare = [row(START + timedelta(days=5, hours=k), category="Domestic violence") for k in range(3)]
    drugs = [row(START + timedelta(days=6), category="Drugs possession")]
    more = [row(START + timedelta(days=7, minutes=k), category="assault") for k in range(25)]
    place("ingester", "POST", "/incidents", json=[*rare, *drugs, *more])
    versions = [train(engine, settings, place, role)[0] for role in ("admin", "trainer")]
    secret = ("Domestic", "Drugs")
    for version in versions:
        place("admin", "POST", f"/models/{version}/promote")
        for door in DOORS:
            for role in ("reader", "trainer", "ingester"):
                reply = place(role, "GET", door.format(v=version))
                may = role != "ingester" or not door
                assert reply.status_code == (200 if may else 403), reply.text
                shown = reply.text + str(reply.headers)
                assert not any(one in shown for one in secret), (door, role)
        asked = f"/forecasts/density?at=2024-02-01T10:00&model={version}&category="
        messages = set()
        for name in ("Domestic violence", "no such kind"):
            exact = place("analyst", "GET", asked + name)
            assert (exact.status_code == 200) == (name[0] == "D" and version == versions[0])
            reply = place("reader", "GET", asked + name)
            assert reply.status_code == 404
            messages.add(reply.json()["detail"].replace(name, ""))
        assert len(messages) == 1, "a rare kind is refused as one that is not there"
        assert place("reader", "GET", asked + "assault").status_code == 404, "not yet released"
    trained = place("analyst", "GET", f"/models/{versions[1]}").json()
    assert trained["categories"][-1] == "other"


@pytest.mark.slow
def test_the_report_of_places_is_audited_and_shows_no_single_incident(place):
    twice = [row(START + timedelta(days=9, minutes=k), (10.0333333, 50.0222222)) for k in range(2)]
    place("ingester", "POST", "/incidents", json=twice)
    place("ingester", "POST", "/incidents", json=[row(START, (10.0123456, 50.0123456))])
    report = place("analyst", "GET", "/data-report").json()
    assert report["places"]["fullest"]
    assert min(one["n"] for one in report["places"]["fullest"]) >= 2
    assert "10.0123456" not in place("analyst", "GET", "/data-report?f=html").text
    log = place.client.get("/v1/audit?limit=20", headers=place.headers("admin")).json()
    assert [one["action"] for one in log["entries"]].count("data_report.read") == 2


def test_a_trainer_of_a_region_with_too_few_incidents_is_told_why(engine, settings, place):
    early = (START + timedelta(days=1)).isoformat()
    asked = {"model": "pooled-kde", "validate": False, "until": early}
    reply = place("trainer", "POST", "/training-runs", json=asked)
    assert reply.status_code == 202, reply.text
    work_on(engine, settings, "train", reply.json()["id"])
    run = place("trainer", "GET", f"/training-runs/{reply.json()['id']}").json()
    assert run["status"] == "failed"
    assert "fewer than 20 incidents are released" in run["message"]
