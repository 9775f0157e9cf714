"""Names of erased categories go out of reports, texts and requests, and out of nothing else."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.regions.service import add_region
from app.regions.store import get_region
from app.registry.erasure_texts import GONE
from app.registry.erasure_traces import (
    FEW,
    FEW_OF_CATEGORY,
    _without,
    drop_backtests,
    forget_names,
)

NAME, OTHER = "O'Brien's case", "theft"
JSON = st.recursive(
    st.none() | st.integers() | st.sampled_from([NAME, OTHER, "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "categories", "memorisation", NAME]), inner, max_size=3)
    ),
    max_leaves=10,
)  # fmt: skip


@given(JSON)
def test_json_without_the_names_is_unchanged_and_twice_is_once(value):
    assert _without(value, set()) == value
    once = _without(value, {NAME})
    assert _without(once, {NAME}) == once


def test_names_go_where_categories_are_listed_or_have_facts():
    report = {
        "categories": [OTHER, NAME],
        "data": {"excluded_categories": [NAME], "note": NAME, "n": 3},
        "memorisation": {NAME: {"ratio": 1}, "all": {"ratio": 2}},
        "per_categories": {NAME: 0.5, OTHER: 0.5},
        "other": {NAME: 1},
    }
    assert _without(report, {NAME}) == {
        "categories": [OTHER],
        "data": {"excluded_categories": [], "note": NAME, "n": 3},
        "memorisation": {"all": {"ratio": 2}},
        "per_categories": {OTHER: 0.5},
        "other": {NAME: 1},
    }


@pytest.fixture(scope="module")
def keys(engine):
    for name in ("mine", "theirs"):
        add_region(engine, name, timezone="UTC")
    with engine.connect() as connection:
        return tuple(get_region(connection, name).key for name in ("mine", "theirs"))


@pytest.fixture
def connection(engine):
    """A transaction whose work is undone."""
    with engine.connect() as opened:
        yield opened
        opened.rollback()


def run_of(connection, key, categories, status="queued", message="queued"):
    made = uuid.uuid4()
    connection.execute(
        text(
            "INSERT INTO training_runs (id, region_key, status, message, request)"
            " VALUES (:id, :key, :status, :message, :request)"
        ),
        {
            "id": made, "key": key, "status": status, "message": message,
            "request": json.dumps({"model": "stack", "categories": categories}),
        },
    )  # fmt: skip
    return made


def found(connection, run):
    query = "SELECT request -> 'categories' AS categories, status, message FROM training_runs WHERE id = :id"
    return tuple(connection.execute(text(query), {"id": run}).one())


def test_requests_lose_the_names_and_a_queued_run_of_nothing_else_is_cancelled(connection, keys):
    mine, theirs = keys
    both = run_of(connection, mine, [OTHER, NAME])
    only = run_of(connection, mine, [NAME])
    done = run_of(connection, mine, [NAME], "succeeded", "done")
    all_of_them = run_of(connection, mine, None)
    foreign = run_of(connection, theirs, [NAME])
    forget_names(connection, mine, [NAME])
    assert found(connection, both) == ([OTHER], "queued", "queued")
    assert found(connection, only) == (None, "cancelled", "its categories were erased")
    assert found(connection, done) == (None, "succeeded", "done")
    assert found(connection, all_of_them) == (None, "queued", "queued")
    assert found(connection, foreign) == ([NAME], "queued", "queued")


def test_quoted_names_in_texts_are_blanked_in_this_region_alone(connection, keys):
    mine, _ = keys
    message = f"category {NAME!r} and {OTHER!r}: {NAME!r}"
    run, foreign = (run_of(connection, key, None, "failed", message) for key in keys)
    unquoted = run_of(connection, mine, None, "failed", f"no {NAME} here")
    forget_names(connection, mine, [NAME, "a.c"])
    assert found(connection, run)[2] == f"category {GONE} and 'theft': {GONE}"
    assert found(connection, foreign)[2] == message
    assert found(connection, unquoted)[2] == f"no {NAME} here"


def test_a_release_forgets_a_names_count(connection, keys):
    mine, theirs = keys
    for key in keys:
        connection.execute(
            text(
                "INSERT INTO releases (region_key, seq, until, categories) VALUES (:k, 1, now(), :c)"
            ),
            {"k": key, "c": json.dumps({NAME: 3, OTHER: 40})},
        )
    forget_names(connection, mine, [NAME])
    held = dict(connection.execute(text("SELECT region_key, categories FROM releases")).all())
    assert held == {mine: {OTHER: 40}, theirs: {NAME: 3, OTHER: 40}}
    forget_names(connection, theirs, [])
    assert (
        connection.scalar(text("SELECT count(*) FROM releases WHERE categories ? :n"), {"n": NAME})
        == 1
    )


AT = datetime(2024, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("result", "finished", "dropped"),
    [
        ({"n": FEW - 1}, AT, True),
        ({"n": FEW}, AT, False),
        ({"n": FEW, "provenance": {"n_incidents": FEW - 1}}, AT, True),
        ({"n": FEW, "models": {"a": {"per_origin": [{"n": FEW_OF_CATEGORY - 1}]}}}, AT, True),
        ({"n": FEW, "models": {"a": {"per_origin": [{"n": FEW_OF_CATEGORY}]}}}, AT, False),
        ({"n": 1}, AT - timedelta(seconds=1), False),
    ],
)
def test_results_of_few_incidents_go_if_they_may_hold_the_erased_ones(
    connection, keys, result, finished, dropped
):
    mine, _ = keys
    connection.execute(
        text(
            "INSERT INTO backtests (id, region_key, status, message, request, result, finished_at)"
            " VALUES (gen_random_uuid(), :key, 'succeeded', 'done', '{}', :result, :at)"
        ),
        {"key": mine, "result": json.dumps(result), "at": finished},
    )
    assert drop_backtests(connection, mine, AT) == int(dropped)
    left, message = connection.execute(text("SELECT result, message FROM backtests")).one()
    assert left == (None if dropped else result)
    assert ("some of which were erased" in message) is dropped
