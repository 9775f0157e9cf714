"""Groups, aliases and weights give readers sums of public kinds only."""

from datetime import timedelta

from tests.support.simulated.small_region import START, row, train

AT = "at=2024-02-01T10:00"


def test_no_group_alias_or_weight_tells_a_rare_kind(engine, settings, place):
    rare = [row(START + timedelta(days=5, hours=k), category="Domestic violence") for k in range(3)]
    more = [row(START + timedelta(days=7, minutes=k), category="assault") for k in range(25)]
    place("ingester", "POST", "/incidents", json=[*rare, *more])
    version, _ = train(engine, settings, place, "admin")
    groups = {"all": ["theft", "Domestic violence"], "rare": ["Domestic violence"]}
    assert place("admin", "PUT", "/categories/groups", json={"groups": groups}).status_code == 200
    weights = {"weights": {"Domestic violence": 9, "theft": 1}}
    assert place("admin", "PUT", "/categories/weights", json=weights).status_code == 200
    assert place("reader", "PUT", "/categories/weights", json=weights).status_code == 403

    def asked(role, query):
        reply = place(role, "GET", f"/forecasts/density?{AT}&model={version}&{query}")
        return reply.json() if reply.status_code == 200 else reply.status_code

    exact, shown = asked("analyst", "category=all"), asked("reader", "category=all")
    single = asked("reader", "category=theft")
    assert exact["categories"] == ["Domestic violence", "theft"]
    assert shown["categories"] == ["theft"]
    for field in ("probability", "expected_count"):
        assert shown["cells"][field] == single["cells"][field]
    assert asked("reader", "category=rare") == 404
    assert asked("reader", "category=theft&category=rare") == 404
    harm = asked("reader", "weight=harm")
    assert harm["cells"]["probability"] == single["cells"]["probability"]
    assert "Domestic" not in str(harm)
    listed = place("reader", "GET", "/categories")
    assert "Domestic" not in listed.text
    assert "Domestic" in place("analyst", "GET", "/categories").text
    moved = {"aliases": {"Domestic violence": {"category": "theft"}}}
    refused = place("admin", "PUT", "/categories/aliases", json=moved)
    assert (refused.status_code, refused.json()["code"]) == (409, "few_incidents")
    assert "3 incidents" in refused.json()["detail"]
