"""Readers see incidents in steps of twenty or more, and trainers train on no other sets."""

from datetime import UTC, datetime, timedelta

from app.services.jobs import work_on
from tests.responsible.small_region import START, row, train


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
        assert "release" in reply.json()["note"]
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
