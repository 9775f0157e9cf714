"""Factors in plain words, as messages with codes that the page translates."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

from app.core.messages import Message, MessageTable

WORTH_TELLING = log(1.05)
"""Smaller effects are left out of the words; the reply's figures have them."""
TIMES_FROM = log(2.0)
EXPLANATIONS = MessageTable(
    {
        "why_long_run_times": "{times:.1f} times the city's average all year",
        "why_long_run_more": "{share:.0%} above the city's average all year",
        "why_long_run_same": "about the city's average all year",
        "why_long_run_less": "{share:.0%} below the city's average all year",
        "why_drift_times": "{times:.1f} times that by the trend of the last months",
        "why_drift_more": "{share:.0%} more by the trend of the last months",
        "why_drift_less": "{share:.0%} less by the trend of the last months",
        "why_recent_times": "{times:.1f} times that by what the weeks before the training showed",
        "why_recent_more": "{share:.0%} more by what the weeks before the training showed",
        "why_recent_less": "{share:.0%} less by what the weeks before the training showed",
        "why_near_repeats_times": "{times:.1f} times that because one incident makes others near it "
        "more likely",
        "why_near_repeats_more": "{share:.0%} more because one incident makes others near it more likely",
        "why_near_repeats_less": "{share:.0%} less because other places have had more incidents lately",
        "why_category_times": "{times:.1f} times the share of these kinds that the city has",
        "why_category_more": "{share:.0%} more of these kinds than of all incidents",
        "why_category_less": "{share:.0%} less of these kinds than of all incidents",
        "why_state_times": "{times:.1f} times that by what has arrived since the training",
        "why_state_more": "{share:.0%} more by what has arrived since the training",
        "why_state_less": "{share:.0%} less by what has arrived since the training",
        "why_own_hours_times": "at these hours {times:.1f} times its own usual share",
        "why_own_hours_more": "at these hours {share:.0%} more than its own usual share",
        "why_own_hours_less": "at these hours {share:.0%} less than its own usual share",
        "why_city_hours_times": "at these hours the whole city has {times:.1f} times its average",
        "why_city_hours_more": "at these hours the whole city has {share:.0%} more than on average",
        "why_city_hours_less": "at these hours the whole city has {share:.0%} less than on average",
        "why_near_none": "no incident within {within_m} m in the {days} days before {until}",
        "why_near_one": "one incident within {within_m} m in the {days} days before {until}",
        "why_near_many": "{n} incidents within {within_m} m in the {days} days before {until}",
        "why_unsplit": "{model} does not say what its long run is made of: it stands for all that the "
        "model knows of the place",
        "why_unsplit_older": "trained before versions said what their long run is made of: it stands for "
        "drift, recent weeks and near repeats too; train again",
        "why_kind_lasting": "lasting: in the year before more than the city's average, by more than "
        "chance, and no fall since",
        "why_kind_new": "new: more in the last three months than in the year before, by more than chance",
        "why_kind_fading": "fading: less in the last three months than in the year before, by more than "
        "chance",
        "why_kind_occasional": "occasional: neither above the city's average nor rising, by more than "
        "chance",
        "why_kind_hidden": "too few incidents around it to say whether it lasts, without showing them",
        "why_kind_of_categories": "whether it lasts is shown to readers for all incidents together only",
    }
)


def reasons(log_ratio: Mapping[str, float]) -> list[Message]:
    """Return the parts in words, in their order, without those that hardly matter."""
    found = [_message(name, value) for name, value in log_ratio.items()]
    return [message for message in found if message is not None]


def _message(name: str, value: float) -> Message | None:
    if abs(value) < WORTH_TELLING:
        return EXPLANATIONS.make("why_long_run_same") if name == "long_run" else None
    if value >= TIMES_FROM:
        return EXPLANATIONS.make(f"why_{name}_times", times=round(exp(value), 2))
    end = "more" if value > 0 else "less"
    return EXPLANATIONS.make(f"why_{name}_{end}", share=round(abs(exp(value) - 1.0), 4))


def near_message(n: int, within_m: int, days: int, until: str) -> Message:
    """Say how many incidents there were nearby lately."""
    if n > 1:
        return EXPLANATIONS.make("why_near_many", n=n, within_m=within_m, days=days, until=until)
    code = "why_near_one" if n else "why_near_none"
    return EXPLANATIONS.make(code, within_m=within_m, days=days, until=until)


def sentence(messages: list[Message]) -> str:
    """Join messages to one English sentence."""
    text = "; ".join(message.message for message in messages)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
