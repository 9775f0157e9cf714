"""A kind is renamed on 1 September: the report and the forecast say so (case 40)."""

import random
from datetime import date, timedelta

import pytest

from tests.cases.reports import answers, findings, forecast, report, warned

CHANGE = date(2026, 9, 1)


def _csv(per_month=100, old="Assault", new="Assault, common", spread=1.0):
    draw = random.Random(0)
    rows = ["datetime,longitude,latitude,type"]
    for k in range(363):
        day = date(2025, 12, 1) + timedelta(days=k)
        for kind in ("Theft", old if day < CHANGE else new):
            for _ in range(draw.choice((per_month // 30, per_month // 30 + 1))):
                at = f"{day}T{draw.choice((*range(24), *range(17, 24))):02}:{draw.randint(0, 59):02}:00"
                where = f"{draw.uniform(-84.52, -84.45):.6f},{draw.uniform(39.09, 39.14):.6f}"
                rows.append(f'{at},{where},"{kind}"')
    return "\n".join(rows)


@pytest.mark.slow
def test_a_kind_renamed_half_way_is_named_with_its_dates(doors, engine, settings):
    door = doors()
    assert door.send("a.csv", _csv()).body["rejected"] == 0
    found = report(door)
    assert findings(found)["kind_renamed"] == {
        "ended": "Assault",
        "began": "Assault, common",
        "ended_on": "2026-08-31",
        "began_on": "2026-09-01",
    }
    assert answers(found)[2] == "next_merge_kinds"
    told = warned(forecast(door, engine, settings, "2026-11-27T22:00"))["kinds_renamed"]
    assert (told["ended"], told["began"]) == ("Assault", "Assault, common")
    assert abs(date.fromisoformat(told["about"]) - CHANGE) <= timedelta(days=10)


@pytest.mark.slow
def test_kinds_that_go_on_are_not_renamed(doors):
    door = doors()
    door.send("a.csv", _csv(new="Assault"))
    found = report(door)
    assert found["kinds"]["renamed"] == []
    assert found["breaks"] == []
