"""A request names kinds, aliases or groups; each is summed up once, with its weight, or refused by name."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput, NotFound
from app.forecasts.kinds import codes_of, harm_of, is_trained_with, shares_of
from app.forecasts.versions.loaded import LoadedVersion
from app.regions.kinds import Alias, Kinds
from app.registry.store import VersionRecord
from models.counts.model import CountModel

KNOWN = {"theft": 0, "Robbery": 1, "arson": 2, "fire": 3}
KINDS = Kinds(
    aliases={"arson": Alias("arson", "fire")},
    groups={"property": ("theft", "ARSON")},
    weights={"theft": ("theft", 2.0), "fire": ("fire", 0.5), "robbery": ("robbery", 0.0)},
    revision=3,
)
COUNTS = CountModel(
    (1.0,) * 168, (0.0,) * 4, 1.0, 1.0, 1.0,
    category_shares=tuple((share,) * 4 + (share / 2,) * 4 for share in (0.4, 0.3, 0.2, 0.1)),
)  # fmt: skip


def trained(revision=None):
    """Return a version as it is registered, trained with a revision of the aliases."""
    now = datetime(2026, 3, 5, tzinfo=UTC)
    report = {} if revision is None else {"data": {"kinds_revision": revision}}
    record = VersionRecord(
        region_key=1, version="v1", model="city", artifact_sha256="a", grid_sha256="b", run_id=None,
        data_hash="c", n_incidents=9, cutoff=now, seed=0, categories=list(KNOWN), settings={},
        provenance={}, report=report, scores={}, counts={}, gate={}, created_at=now,
        forecasts_sha256="d", sealed_at=now, seal=b"",
    )  # fmt: skip
    return LoadedVersion(region=None, record=record, ground=None, counts=COUNTS)


@pytest.mark.parametrize(("revision", "same"), [(3, True), (2, False), (None, False)])
def test_a_version_is_trained_with_one_revision_of_the_aliases(revision, same):
    assert is_trained_with(trained(revision), KINDS) is same
    assert is_trained_with(trained(), Kinds())


@pytest.mark.parametrize(
    ("asked", "before", "since"),
    [
        (("THEFT ",), (0,), (0,)),
        (("robbery", "Robbery"), (1,), (1,)),
        (("arson",), (2, 3), (3,)),
        (("fire",), (2, 3), (3,)),
        (("Property",), (0, 2, 3), (0, 3)),
        (("property", "theft", "fire"), (0, 2, 3), (0, 3)),
    ],
)
def test_names_are_the_codes_of_what_they_count_as(asked, before, since):
    """A version of before an alias still has the incidents of its name apart."""
    assert codes_of(trained(2), KINDS, KNOWN, asked) == before
    assert codes_of(trained(3), KINDS, KNOWN, asked) == since


@pytest.mark.parametrize("hidden", ["Robbery", "robbery", "no such kind", ""])
@pytest.mark.parametrize("asked", [(), ("theft",), ("property", "fire")])
def test_a_kind_that_may_not_be_seen_is_as_one_that_does_not_exist(hidden, asked):
    shown = {known: code for known, code in KNOWN.items() if known != "Robbery"}
    with pytest.raises(NotFound, match=f"has no category '{hidden}'") as caught:
        codes_of(trained(3), KINDS, shown, (*asked, hidden))
    assert caught.value.field == "category"


def test_weights_are_those_of_the_kinds_and_the_rest_is_named():
    harm = harm_of(trained(2), KINDS, KNOWN, None)
    assert harm.by_code == ((0, 2.0), (2, 0.5), (3, 0.5))
    assert (harm.named, harm.unweighted) == ((("fire", 0.5), ("theft", 2.0)), ("Robbery",))
    assert harm_of(trained(2), KINDS, KNOWN, (0, 1)).by_code == ((0, 2.0),)
    for codes in ((1,), ()):
        with pytest.raises(InvalidInput) as caught:
            harm_of(trained(2), KINDS, KNOWN, codes)
        assert caught.value.code == "no_weights"


WEIGHTS = st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 9)), max_size=4)


@given(WEIGHTS, st.lists(st.integers(0, 167), max_size=5))
def test_weighted_shares_are_sums_of_shares(weights, windows):
    shares = shares_of(COUNTS, tuple(weights), windows)
    assert shares.shape == (len(weights), len(windows))
    for row, (code, weight) in zip(shares, weights, strict=True):
        share = 0.4 - code * 0.1
        expected = [weight * share * (1 if window % 24 < 12 else 0.5) for window in windows]
        assert row == pytest.approx(expected)
