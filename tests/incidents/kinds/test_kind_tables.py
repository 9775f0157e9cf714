"""Aliases, groups and weights are stored whole or refused by name, with nothing changed."""

import pytest

from app.core.errors import HotslotError, InvalidInput, LimitExceeded
from app.evaluation.fairness.policy import policy_view
from app.incidents.kinds.tables import (
    MAX_NAMES,
    MAX_WEIGHT,
    change_kinds,
    describe_kinds,
    stored_names,
)
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.regions.store import get_region


@pytest.fixture(scope="module")
def region(engine, settings):
    add_region(engine, "tables", timezone="UTC")
    rows = [
        f"2026-03-05T{i:02}:10,{13 + i / 1000},48,{kind}"
        for i, kind in enumerate(["Theft", "Fire", "Arson"])
    ]
    body = "\n".join(["occurred_at,longitude,latitude,category", *rows]).encode()
    ingest(engine, "tables", [body], UploadSource("text/csv"), settings=settings)
    return "tables"


def change(engine, region, table, names):
    return change_kinds(engine, region, table, lambda _: names)


def current(engine, region):
    with engine.connect() as connection:
        found = get_region(connection, region)
        return found, {
            table: stored_names(found, table) for table in ("aliases", "groups", "weights")
        }


CHOICES = {
    "aliases": {"Arson": {"category": "Fire"}},
    "groups": {"property": ["Theft", "Fire"]},
    "weights": {"Theft": 2.5, "Fire": 0},
}


@pytest.mark.parametrize("table", CHOICES)
def test_what_is_stored_is_read_back_and_can_be_emptied(engine, region, table):
    change(engine, region, table, CHOICES[table])
    assert current(engine, region)[1][table] == dict(sorted(CHOICES[table].items()))
    change(engine, region, table, {})
    assert current(engine, region)[1][table] == {}


def test_kinds_are_described_and_hidden_names_are_not(engine, region):
    for table, names in CHOICES.items():
        change(engine, region, table, names)
    found, _ = current(engine, region)
    with engine.connect() as connection:
        whole = describe_kinds(connection, found, None)
        shown = describe_kinds(connection, found, {"THEFT"})
    assert {one["category"]: set(one["names"]) for one in whole["categories"]} == {
        "Fire": {"Arson", "Fire"},
        "Theft": {"Theft"},
    }
    assert {k: whole[k] for k in CHOICES} == {
        k: dict(sorted(v.items())) for k, v in CHOICES.items()
    }
    assert shown == {"categories": [{"category": "Theft", "names": ["Theft"]}], "aliases": {},
                     "groups": {"property": ["Theft"]}, "weights": {"Theft": 2.5}}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("aliases", {"a": {"category": "b"}, "b": {"category": "c"}}),
        ("aliases", {"a": {"category": "x"}, "A ": {"category": "x"}}),
        ("aliases", {"a": {"category": "x", "from": "yesterday"}}),
        ("aliases", {" ": {"category": "x"}}),
        ("groups", {"Theft": ["Fire"]}),
        ("groups", {"g": []}),
        ("groups", {"g": ["h"], "h": ["Fire"]}),
        ("weights", {"Theft": -1}),
        ("weights", {"Theft": 2 * MAX_WEIGHT}),
        ("weights", {"Theft": float("nan")}),
        ("weights", {"x\x00": 1}),
        ("weights", {"x" * 10_000: 1}),
        ("weights", {f"n{i}": 1 for i in range(MAX_NAMES + 1)}),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_changes(engine, region, table, names):
    _, before = current(engine, region)
    with pytest.raises(HotslotError) as caught:
        change(engine, region, table, names)
    assert isinstance(caught.value, InvalidInput | LimitExceeded)
    assert caught.value.field == table
    assert current(engine, region)[1] == before


def test_only_a_changed_table_of_aliases_has_a_new_revision(engine, region):
    revisions = []
    for category in ("Fire", "Fire", "Theft"):
        found = change(engine, region, "aliases", {"Arson": {"category": category}})
        revisions.append(found.settings["categories"]["aliases"]["revision"])
    assert revisions[2] == revisions[1] + 1
    assert revisions[1] == revisions[0]


def test_the_learning_policy_says_what_it_means_for_each_category(engine, region):
    whole = policy_view(engine, region, exact=True)
    assert [rule["category"] for rule in whole["categories"]] == ["Arson", "Fire", "Theft"]
    hidden = policy_view(engine, region, exact=False)
    assert (hidden["keep_places"], hidden["drop_places"]) == (None, None)
    assert {one["category"] for one in hidden["categories"]} <= {"Arson", "Fire", "Theft"}
