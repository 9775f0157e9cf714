"""A card as Markdown and HTML: all facts, and no text of users acts as markup."""

from html.parser import HTMLParser

import pytest

from app.core.errors import InvalidInput
from app.evaluation.model_card.documents import MAX_ROWS, card_as, card_html, card_markdown

HOSTILE = "a|b <script>*x*</script>\n# [y](z)\x1b[31m"


def card(**more):
    made = {
        "region": "town", "model_version": "v1", "model": "stack", "purpose": "to plan",
        "prohibited_uses": ["lists of persons"], "limits": ["recorded incidents"],
        "data": {
            "n_incidents": 12_345, "trained_until": "2024-01-08T00:00:00+00:00", "data_hash": "dd",
            "categories": ["theft"], "excluded_categories": [], "patrol_categories_learnt": [],
            "discovered_weight": 0.5, "small_counts": None, "erased_since": 0,
        },
        "state": None, "evaluation": None, "memorisation": {},
        "fairness": {"disparity": {"misplaced": 0.123}, "neighbourhoods": [], "groups": {}},
        "provenance": {"device": "cpu", "libraries": {"numpy": "2"}}, "seed": 7,
        "sealed_at": "2024-01-09", "artifact_sha256": "aa", "read_on": "docs/responsible-use.md",
    }  # fmt: skip
    data = more.pop("data", {})
    return {**made, **more, "data": {**made["data"], **data}}


def part(name="Nord", **more):
    return {
        "name": name, "incident_share": 0.5, "flagged_share": 0.25, "ratio": 0.5, "ratio_lo": 0.4,
        "ratio_hi": 0.6, **more,
    }  # fmt: skip


class Page(HTMLParser):
    """Tags and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, _attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_facts_of_the_data_are_lines():
    text = card_markdown(
        card(
            data={
                "excluded_categories": ["drugs"],
                "patrol_categories_learnt": ["weapons"],
                "small_counts": {"n_cells": 1_234, "minimum_count": 3, "share_of_area": 0.5},
                "erased_since": 4,
            }
        )
    )
    for line in (
        "- 12,345 recorded incidents up to 2024-01-08",
        "- share of patrol-discovered incidents trained on: 0.5",
        "- left out because they mostly reflect patrol activity, or by the policy: drugs",
        "- **trained on although they mostly reflect patrol activity: weapons**",
        "- 1,234 cells with fewer than 3 incidents share one density (50 % of the area)",
        "- **incidents erased since: 4**",
        "- Serves as trained: no state has been made since.",
        "- device: cpu",
    ):
        assert line in text.splitlines(), line
    assert "libraries" not in text
    assert "erased since" not in card_markdown(card())


def test_a_state_and_scores_are_shown():
    state = {"state": "7", "assimilated_incidents": 1_500, "data_until": "2024-02-01"}
    scores = {"n": 1_000, "log_score": -1.23456, "cap_auc": 0.8764, "hit_rate": {"5": 0.456}}
    text = card_markdown(card(state=state, evaluation={"models": {"stack": scores}}))
    assert "- State 7: 1,500 incidents since the training, until 2024-02-01." in text
    assert "| stack | 1,000 | -1.235 | 0.876 | 45.6 % |" in text


def test_hidden_shares_and_missing_bounds_are_empty_and_groups_compared():
    neighbourhoods = [part(), part("Süd", incident_share=None), part("West", ratio_hi=None)]
    group = {"ratio": {"value": 1.25, "lo": 1.0, "hi": 1.5}}
    fair = {
        "disparity": {"misplaced": 0.123}, "neighbourhoods": neighbourhoods,
        "groups": {"tenants": group, "nobody": {"ratio": None}},
    }  # fmt: skip
    lines = card_markdown(card(fairness=fair)).splitlines()
    assert "| Nord | 50.0 % | 25.0 % | 0.50 [0.40, 0.60] |" in lines
    assert "| Süd | hidden | 25.0 % | |" in lines
    assert "| West | 50.0 % | 25.0 % |  |" in lines
    assert "Flagged where tenants live, over everyone else: 1.25 [1.00, 1.50]." in lines
    assert not any("nobody" in line for line in lines)
    assert any(line.startswith("12.3 % of the flagged area") for line in lines)


def test_many_names_end_with_their_number():
    names = [f"kind{k}" for k in range(MAX_ROWS + 3)]
    text = card_markdown(card(data={"categories": names}))
    assert f"kind{MAX_ROWS - 1} and 3 more" in text
    assert f"kind{MAX_ROWS}" not in text


def test_a_readers_card_without_digests_has_no_lines_of_them():
    shown = card()
    del shown["artifact_sha256"], shown["data"]["data_hash"]
    assert "sha256" not in card_markdown(shown)
    assert "artifact sha256 aa" in card_markdown(card())


def named(where, name):
    """A card in which something is called so."""
    return card(
        data={"categories": [name if where == "category" else "theft"]},
        memorisation={name if where == "memorisation" else "all": {"verdict": "passed", "ratio": None}},
        fairness={
            "disparity": {"misplaced": 0.0}, "groups": {},
            "neighbourhoods": [part(name if where == "neighbourhood" else "Nord")],
        },
    )  # fmt: skip


@pytest.mark.parametrize("where", ["category", "neighbourhood", "memorisation"])
def test_names_of_users_are_no_markup(where):
    plain, hostile = (Page(card_html(named(where, name))) for name in ("plain", HOSTILE))
    assert hostile.tags == plain.tags
    shown = "".join(hostile.texts)
    assert "a|b <script>*x*</script> # [y](z)\\x1b[31m" in shown
    markdown = card_markdown(named(where, HOSTILE))
    assert len(markdown.splitlines()) == len(card_markdown(named(where, "plain")).splitlines())
    assert r"a\|b \<script\>\*x\*\</script\> \# \[y\](z)" in markdown


def test_formats_are_chosen_by_name():
    assert card_as(card(), "md") == card_markdown(card())
    assert card_as(card(), "html").startswith("<!doctype html>")
    with pytest.raises(InvalidInput, match="unknown format 'pdf'; choose from json, md, html"):
        card_as(card(), "pdf")
