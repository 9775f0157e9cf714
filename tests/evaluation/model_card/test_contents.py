"""What a card says of a version, and what readers get of it."""

import pytest

from app.core.errors import NotFound, NotReady
from app.evaluation.model_card.contents import LIMITS, PROHIBITED, model_card
from tests.support.simulated.small_region import place, train

__all__ = ["place"]


def test_a_region_without_versions_has_no_card(engine, place):
    with pytest.raises(NotReady):
        model_card(engine, "small")
    with pytest.raises(NotFound):
        model_card(engine, "nowhere")


def test_a_card_describes_the_champion_and_readers_get_no_digests(engine, settings, place):
    version, _ = train(engine, settings, place, "trainer")
    card = model_card(engine, "small")
    assert (card["model_version"], card["model"], card["champion"]) == (version, "pooled-kde", True)
    assert card["prohibited_uses"] == list(PROHIBITED)
    assert card["limits"] == list(LIMITS)
    assert card["state"] is None, "it serves as trained"
    assert card["evaluation"] is None, "it was not validated"
    assert card["data"]["erased_since"] == 0
    shown = model_card(engine, "small", version, exact=False)
    assert shown["model_version"] == version
    assert card.keys() - shown.keys() == {"artifact_sha256"}
    assert card["data"].keys() - shown["data"].keys() == {"data_hash"}
