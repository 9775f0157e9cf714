"""Uploads to a small region, and what its states answer."""

from datetime import timedelta

import numpy as np

from tests.support.simulated.small_region import START, row

WEST, EAST = (10.0105, 50.0205), (10.0505, 50.0205)


AT = (START + timedelta(days=60)).isoformat()


def upload(place, n=40, day=31, where=EAST, minutes_apart=7, **more):
    at = START + timedelta(days=day)
    rows = [{**row(at + timedelta(minutes=minutes_apart * k), where), **more} for k in range(n)]
    reply = place("ingester", "POST", "/incidents", json=rows)
    assert reply.json()["accepted"] == n, reply.text
    return reply.json()


def density(place, role="reader", at=AT, **selector):
    reply = place(role, "GET", "/forecasts/density", params={"at": at, **selector})
    assert reply.status_code == 200, reply.text
    return reply


def share(reply, where=EAST):
    """The probability within half a kilometre of a place."""
    cells = reply.json()["cells"]
    near = np.hypot(
        (np.array(cells["longitude"]) - where[0]) * 71_500,
        (np.array(cells["latitude"]) - where[1]) * 111_300,
    )
    return float(np.array(cells["probability"])[near < 500].sum())


def refresh(place, role="trainer"):
    reply = place(role, "POST", "/state")
    assert reply.status_code == 200, reply.text
    return reply.json()
