"""Feedback audit: reports that do not follow patrols, discoveries that do, and readers who see neither."""

import json
from datetime import timedelta

import numpy as np
import pytest

from app.evaluation.fairness.presence import Evidence, presence_audit
from app.evaluation.fairness.service import fairness_report
from app.incidents.service import UploadSource, ingest
from tests.support.services.served import NEW, served

__all__ = ["served"]


@pytest.fixture(scope="module")
def patrolled(served, settings):
    """Patrols of the busiest cells, at random in half of the evenings of half a year; what they found."""
    settings.presence_retention_days = 36_500
    rng = np.random.default_rng(4)
    busy = np.argsort(served.tables.mean(axis=0))[::-1][:12]
    longitude, latitude = served.grid.centres_degrees
    stays, found = [], []
    for day in range(1, 180):
        if rng.random() < 0.5:
            continue
        cell = int(rng.choice(busy))
        start = NEW - timedelta(days=day) + timedelta(hours=int(rng.integers(16)))
        stays.append(
            {
                "from": start.isoformat(),
                "to": (start + timedelta(hours=8)).isoformat(),
                "activity": "patrol",
                "cells": served.grid.cell_id[busy].tolist(),
            }
        )
        at = start + timedelta(hours=float(rng.uniform(0, 8)))
        found.append(f"{at.isoformat()},{longitude[cell]},{latitude[cell]},theft,discovered")
    body = "occurred_at,longitude,latitude,category,source\n" + "\n".join(found)
    ingest(served.engine, "town", [body.encode()], UploadSource("text/csv"), settings=settings)
    reply = served.client.post("/v1/regions/town/presence", json=stays)
    assert reply.json()["accepted"] == len(stays), reply.text
    return len(found), 8 * len(stays)


def test_reports_do_not_follow_patrols_and_discoveries_do(served, patrolled):
    n_found, hours = patrolled
    report = fairness_report(served.engine, "town")
    told = report["presence"]
    assert told["unit_hours"] == pytest.approx(hours)
    assert told["cells_visited"] == 12
    reported, discovered = (told["rates"][name] for name in ("reported", "discovered"))
    where = ("present", "absent", "elsewhere")
    assert sum(reported[one]["incidents"] for one in where) == report["n_incidents"]
    assert sum(discovered[one]["incidents"] for one in where) == pytest.approx(n_found, abs=0.01)
    assert discovered["present"]["incidents"] > 0.85 * n_found
    assert discovered["elsewhere"]["incidents"] == pytest.approx(0, abs=1e-6)
    assert reported["ratio_lo"] < 1.05
    assert reported["ratio_hi"] > 0.95
    assert discovered["ratio"] is None or discovered["ratio"] > 5
    assert told["unit_hours_in_hotspots"] <= told["unit_hours_inside"]
    shares = [row["presence_share"] for row in report["neighbourhoods"]]
    assert sum(shares) == pytest.approx(1)
    json.dumps(report)


def test_readers_see_nothing_of_it(served, patrolled):
    report = fairness_report(served.engine, "town", exact=False)
    assert report["presence"] is None
    assert {row["presence_share"] for row in report["neighbourhoods"]} == {None}


def test_nobody_there_is_no_audit(served):
    columns = Evidence.__dataclass_fields__.keys()
    of = Evidence(**dict.fromkeys(columns - {"region", "start", "end"}), region=served.data.region,
                  start=NEW - timedelta(days=9_000), end=NEW - timedelta(days=8_999))  # fmt: skip
    assert presence_audit(served.engine, of) is None
