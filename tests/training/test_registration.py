"""Which trained versions become champion, and which are not stored at all."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.errors import Conflict
from app.registry.champions import get_champion
from app.registry.integrity import seal_version
from app.training.promotion_policy import (
    PROMOTION_REASONS,
    REPLACES_ERASED,
    PromotionDecision,
)
from app.training.registration import (
    Fitted,
    _artifact,
    _check_not_changed,
    _verdict,
)
from app.training.validation import Validation
from models.base import FitContext
from tests.support.services.served import NEW


@pytest.fixture
def begun(served):
    """A connection whose work is undone, and the champion."""
    with served.engine.connect() as connection:
        yield connection, get_champion(connection, served.data.region.key)
        connection.rollback()


POLICY = {
    True: PROMOTION_REASONS.make("promoted_not_worse", measured=["+0.1 nats against theirs"]),
    False: PROMOTION_REASONS.make("challenger_not_finite", rival="theirs"),
}


def fitted_on(served, fixed_model, *, ahead=timedelta(0), promote=None, **request):
    """A training with the champion's data, so long after it."""
    known = {"model": "truth", "categories": None, "until": None, **request}
    data = replace(served.data, cutoff_s=int((NEW + ahead).timestamp()))
    validation = None
    if promote is not None:
        validation = Validation({}, {}, PromotionDecision(promote, POLICY[promote]))
    return Fitted(
        known, data, fixed_model(served.tables), {}, {}, validation, FitContext(data.cutoff_s), {}
    )


def verdict(served, begun, fitted, name="new"):
    connection, current = begun
    promotes, why = _verdict(connection, served.data.region.key, name, fitted, current)
    assert why.code.startswith("promoted_" if promotes else "challenger_")
    return promotes, why.message


def test_the_first_version_and_the_champion_itself_serve(served, fixed_model, begun):
    connection, current = begun
    fitted = fitted_on(served, fixed_model)
    key = served.data.region.key
    promotes, why = _verdict(connection, key, "new", fitted, None)
    assert (promotes, why.message) == (True, "first version of this region")
    assert verdict(served, begun, fitted, current.version)[0] is True


@pytest.mark.parametrize("promote", [True, False])
def test_of_equal_data_the_policy_decides(served, fixed_model, begun, promote):
    fitted = fitted_on(served, fixed_model, promote=promote)
    assert verdict(served, begun, fitted) == (promote, POLICY[promote].message)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"categories": ["theft"], "promote": True}, "trained on some categories only"),
        ({"ahead": -timedelta(seconds=1), "promote": True}, "its data ends before the champion's"),
        ({}, "not validated"),
    ],
)
def test_a_version_of_less_is_a_challenger(served, fixed_model, begun, changes, reason):
    promoted, said = verdict(served, begun, fitted_on(served, fixed_model, **changes))
    assert promoted is False
    assert said.startswith(reason)


def test_another_cell_size_replaces_the_champion_unvalidated(served, fixed_model, begun):
    fitted = fitted_on(served, fixed_model)
    data = replace(fitted.data, grid=replace(fitted.data.grid, cell_size_m=250.0))
    found = verdict(served, begun, replace(fitted, data=data))
    assert found == (True, "the region's cell size has changed")


@pytest.mark.parametrize(("categories", "promoted"), [(None, True), (["theft"], False)])
def test_a_damaged_champion_is_replaced_by_a_version_of_all(
    served, fixed_model, begun, categories, promoted
):
    connection, current = begun
    connection.execute(
        text("UPDATE model_versions SET n_incidents = 0 WHERE version = :v"), {"v": current.version}
    )
    fitted = fitted_on(served, fixed_model, categories=categories, promote=False)
    found = verdict(served, begun, fitted)
    assert found == (promoted, "the champion's record differs from what was registered")


@pytest.mark.parametrize(
    ("request_of", "promoted"), [({}, True), ({"model": "other"}, False), ({"until": "x"}, False)]
)
def test_the_same_training_without_erased_incidents_replaces_a_marked_champion(
    served, fixed_model, begun, request_of, promoted
):
    connection, current = begun
    key = served.data.region.key
    connection.execute(
        text("UPDATE model_versions SET settings = :s WHERE version = :v"),
        {"s": '{"model": "truth", "categories": null, "until": null}', "v": current.version},
    )
    seal_version(connection, key, current.version)
    erasure = connection.scalar(
        text(
            "INSERT INTO erasures (region_key, what, n_incidents) VALUES (:k, 'incident', 1) RETURNING id"
        ),
        {"k": key},
    )
    connection.execute(
        text("INSERT INTO erased_versions (erasure_id, region_key, version) VALUES (:e, :k, :v)"),
        {"e": erasure, "k": key, "v": current.version},
    )
    fitted = fitted_on(served, fixed_model, promote=False, **request_of)
    found = verdict(served, begun, fitted)
    assert found == (
        (True, PROMOTION_REASONS.templates[REPLACES_ERASED])
        if promoted
        else (False, POLICY[False].message)
    )


def test_a_region_that_changed_during_the_training_gets_no_version(served, fixed_model, begun):
    connection, _ = begun
    fitted = fitted_on(served, fixed_model)
    _check_not_changed(connection, fitted)
    connection.execute(text("UPDATE regions SET revision = revision + 1"))
    with pytest.raises(Conflict, match="changed meanwhile; train again") as refused:
        _check_not_changed(connection, fitted)
    assert refused.value.code == "region_changed"


def test_an_artifact_is_named_by_all_that_it_was_made_of(served, fixed_model):
    fitted = fitted_on(served, fixed_model)
    tables = {-1: served.tables}
    digest = _artifact(fitted, tables)[1]
    assert _artifact(fitted, tables)[1] == digest
    seeded = replace(fitted, context=replace(fitted.context, seed=1))
    later = fitted_on(served, fixed_model, ahead=timedelta(hours=1))
    others = [
        _artifact(seeded, tables)[1],
        _artifact(later, tables)[1],
        _artifact(fitted, {-1: served.tables[::-1]})[1],
        _artifact(fitted_on(served, fixed_model, model="other"), tables)[1],
    ]
    assert len({digest, *others}) == 5
