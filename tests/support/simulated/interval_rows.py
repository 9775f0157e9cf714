"""Rows of incidents between two times, and what is said of them."""

from __future__ import annotations

PLACE, AT = "longitude,latitude", "-84.5,39.1"


HEAD = f"occurred_from,occurred_to,category,{PLACE}"


def body(*rows, head=HEAD):
    return "\n".join([head, *(f"{row},{AT}" for row in rows)]) + "\n"


def times(door):
    """What is read back: an instant as a text, an interval as a pair, in New York's wall time."""
    return [
        one["occurred_at"][:16]
        if one["occurred_at"]
        else (one["occurred_from"][:16], one["occurred_to"][:16])
        for one in door.stored()
    ]


def codes(sent):
    return {error["row"]: (error["field"], error["code"]) for error in sent.body["errors"]}


def warnings(sent):
    return {one["code"]: one["params"] for one in sent.body["warnings"]}
