"""Reports that are worked out when asked for change by twenty incidents or more, or not at all."""

from datetime import timedelta

from tests.support.simulated.small_region import START, row, train


def told(place, role="reader"):
    """The figures of the fairness report and of the model card."""
    report = place(role, "GET", "/fairness-report").json()
    card = place(role, "GET", f"/models/{report['model_version']}/card").json()
    del report["made_at"]
    return report["n_incidents"], report["neighbourhoods"], card["fairness"]


def test_a_report_does_not_follow_single_incidents_that_come_late(engine, settings, place):
    train(engine, settings, place, "trainer")
    before = told(place)
    assert before[0] == 300
    late = row(START + timedelta(days=10, hours=5), (10.0512, 50.0312))
    place("ingester", "POST", "/incidents", json=[late])
    assert told(place) == before
    version, _ = train(engine, settings, place, "trainer", model="uniform")
    place("trainer", "POST", f"/models/{version}/promote")
    assert told(place)[0] == 300, "made later, of the same release"
    assert told(place, "analyst")[0] == 301


def test_a_report_does_not_show_what_was_erased_or_corrected(engine, settings, place):
    at = START + timedelta(days=31)
    more = [{**row(at + timedelta(minutes=k)), "id": f"a/{k}"} for k in range(30)]
    later = [{**row(at + timedelta(days=1, minutes=k)), "id": f"b/{k}"} for k in range(30)]
    place("ingester", "POST", "/incidents", json=[*more, *later])
    train(engine, settings, place, "trainer")
    seen = [told(place)[0]]
    assert place("admin", "DELETE", "/incidents/a%2F4").status_code == 204
    seen.append(told(place)[0])
    moved = {**later[5], "longitude": 10.0512}
    assert place("ingester", "POST", "/incidents", json=[moved]).json()["corrected"] == 1
    seen.append(told(place)[0])
    assert seen == [360, 330, 300]


def test_a_region_without_a_release_has_a_report_that_shows_nothing(engine, settings, place):
    train(engine, settings, place, "trainer")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM releases")
        connection.exec_driver_sql("UPDATE incidents SET occurred_at = now() + interval '1 day'")
    report = place("reader", "GET", "/fairness-report")
    assert report.status_code == 200, report.text
    assert report.json()["n_incidents"] == 0
