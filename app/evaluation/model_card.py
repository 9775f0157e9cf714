"""A version's model card: data, evaluation, fairness, limits and prohibited uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from sqlalchemy import Engine

from app.core.errors import InvalidInput
from app.core.output.html_page import page
from app.core.output.plain_text import on_one_line
from app.core.texts import shortened
from app.evaluation.fairness.service import fairness_report
from app.incidents.releases import known_categories
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.erasure_marks import shown_marks
from app.registry.visibility import served
from app.releases.disclosure import shown_card, shown_validation
from app.states.service import last_state
from app.states.store import State

PURPOSE = (
    "Forecasts of how likely recorded incidents are, by cell (100 m or more) and hour of the week, to "
    "plan prevention, services and patrols, to study places, and to check such forecasts."
)
PROHIBITED = (
    "Predictions, scores or lists of persons: the model is about places and hours, not individuals.",
    "Grounds for a stop, a search, an arrest or a raid: a forecast is not a suspicion.",
    "Decisions based on the forecast alone, without a person who is accountable for them.",
    "Surveillance of a group, a protest, a place of worship, a union or a newsroom.",
    "Use where the law or the local authority forbids place-based prediction.",
)
LIMITS = (
    "It is trained on recorded incidents, not crime: unreported crime is not forecast.",
    "It describes where and when, not why, and says nothing about the effect of any measure.",
    "A cell with a high probability has no incident in most hours.",
    "It becomes outdated: each forecast states the age of its data.",
)
READ_ON = "docs/responsible-use.md"
MAX_ROWS = 12


def model_card(
    engine: Engine, region_id: str, selector: str | None = None, *, exact: bool = True
) -> dict[str, Any]:
    """Return the card of a version (None: the champion), JSON-ready.

    Args:
        engine: the database.
        region_id: the region.
        selector: a version or a model's name; None: the champion.
        exact: the caller may list incidents; others get a redacted card (`disclosure`).

    Raises:
        NotFound: the region or version does not exist.
        NotReady: the region has no version yet.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        version = registry.get_version(connection, region.key, selector)
        shown = known_categories(connection, region)
        current = served(connection, region.key)
        state = _state(last_state(connection, region, version))
        erased = shown_marks(connection, region.key, exact=exact).get(version.version, 0)
    report = fairness_report(engine, region_id, version.version, exact=exact)
    card = {
        "region": region.id,
        "model_version": version.version,
        "model": version.model,
        "champion": current == version.version,
        "purpose": PURPOSE,
        "prohibited_uses": list(PROHIBITED),
        "limits": list(LIMITS),
        "data": _data(version, erased),
        "state": state,
        "evaluation": _evaluation(version),
        "memorisation": version.report.get("memorisation", {}),
        "fairness": {
            "disparity": report["disparity"],
            "neighbourhoods": report["neighbourhoods"],
            "groups": report["groups"],
            "n_incidents": report["n_incidents"],
        },
        "provenance": version.provenance,
        "settings": version.settings,
        "seed": version.seed,
        "sealed_at": version.sealed_at.isoformat(),
        "artifact_sha256": version.artifact_sha256,
        "read_on": READ_ON,
    }
    return card if exact else shown_card(card, shown)


def _data(version: registry.VersionRecord, erased: int) -> dict[str, Any]:
    """Return what the version learnt from; `erased` of its incidents are erased since."""
    data = version.report.get("data", {})
    return {
        "n_incidents": version.n_incidents,
        "trained_until": version.cutoff.isoformat(),
        "data_hash": version.data_hash,
        "categories": version.categories,
        "excluded_categories": data.get("excluded_categories", []),
        "patrol_categories_learnt": data.get("patrol_categories", []),
        "discovered_weight": data.get("discovered_weight", 0.0),
        "outside_study_area": data.get("outside_study_area"),
        "default_geocodes": len(data.get("default_geocodes", [])),
        "small_counts": version.report.get("small_counts"),
        "erased_since": erased,
    }


def _state(found: State | None) -> dict[str, Any] | None:
    """Return what a card says of a state; None if the version serves as trained."""
    if found is None:
        return None
    return {
        "state": found.id,
        "data_until": found.data_until.isoformat(),
        "assimilated_incidents": found.n_incidents,
        "memory_days": found.density.memory_days.tolist(),
    }


def _evaluation(version: registry.VersionRecord) -> dict[str, Any] | None:
    """Return the scores of fits to earlier incidents on the 28 days before the data end."""
    scores = shown_validation(version.scores)
    if not scores.get("models"):
        return None
    wanted = ("n", "log_score", "cap_auc", "hit_rate", "pai")
    return {
        "models": {m: {k: s[k] for k in wanted} for m, s in scores["models"].items()},
        "differences": scores.get("differences", {}),
    }


def card_markdown(card: dict[str, Any]) -> str:
    """Format the card as Markdown."""
    data, fair = card["data"], card["fairness"]
    parts = [
        f"# Model card: {_plain(card['region'])}, {_plain(card['model_version'])}",
        f"{card['purpose']}",
        _list("Not for", card["prohibited_uses"]),
        _list("Limits", card["limits"]),
        _list("Data", [*_data_lines(data), *_state_lines(card["state"])]),
        "## Evaluation\n\n" + _evaluation_markdown(card["evaluation"]),
        _list("Memorisation of places", _memorisation_lines(card["memorisation"])),
        "## Whom it falls on\n\n" + _fairness_markdown(fair),
        _list("Provenance", _provenance_lines(card)),
        f"More: {card['read_on']}.",
    ]
    return "\n\n".join(parts) + "\n"


def _state_lines(state: dict[str, Any] | None) -> list[str]:
    if state is None:
        return ["Serves as trained: no state has been made since."]
    known = f"{state['assimilated_incidents']:,} incidents since the training"
    return [f"State {state['state']}: {known}, until {state['data_until']}."]


def _plain(text: object) -> str:
    """Escape text of users (categories, names) for Markdown."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", on_one_line(" ".join(str(text).split())))


def _list(title: str, lines: Iterable[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(_plain(n) for n in names[:MAX_ROWS])
    return shown + (f" and {len(names) - MAX_ROWS} more" if len(names) > MAX_ROWS else "")


def _data_lines(data: dict[str, Any]) -> list[str]:
    lines = [
        f"{data['n_incidents']:,} recorded incidents up to {data['trained_until'][:10]}",
        f"categories: {_names(data['categories'])}",
        f"share of patrol-discovered incidents trained on: {data['discovered_weight']:g}",
    ]
    if data["excluded_categories"]:
        names = _names(data["excluded_categories"])
        lines.append(
            f"left out because they mostly reflect patrol activity, or by the policy: {names}"
        )
    if data["patrol_categories_learnt"]:
        names = _names(data["patrol_categories_learnt"])
        lines.append(f"**trained on although they mostly reflect patrol activity: {names}**")
    if small := data["small_counts"]:
        lines.append(
            f"{small['n_cells']:,} cells with fewer than {small['minimum_count']} incidents share one "
            f"density ({100 * small['share_of_area']:.0f} % of the area)"
        )
    if data["erased_since"]:
        lines.append(f"**incidents erased since: {data['erased_since']}**")
    return lines


def _evaluation_markdown(found: dict[str, Any] | None) -> str:
    if found is None:
        return "This version was not scored before it was registered, or on too few incidents."
    lines = [
        "| model | incidents | log score | CAP-AUC | hits in top 5 % |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {m} | {s['n']:,} | {s['log_score']:.3f} | {s['cap_auc']:.3f} | "
        f"{100 * s['hit_rate']['5']:.1f} % |"
        for m, s in found["models"].items()
    ]
    heading = "On the 28 days before the data end, by fits to earlier incidents only."
    return f"{heading}\n\n" + "\n".join(lines)


def _memorisation_lines(found: dict[str, Any]) -> list[str]:
    if not found:
        return ["not tested: too few incidents, or an older version"]
    return [
        f"{_plain(name)}: {test['verdict']}; samples within 25 m of training incidents "
        + ("" if test["ratio"] is None else f"{test['ratio']:.2f} times ")
        + "as often as new incidents"
        for name, test in found.items()
    ]


def _fairness_markdown(fair: dict[str, Any]) -> str:
    misplaced = 100 * fair["disparity"]["misplaced"]
    lines = ["| neighbourhood | incidents | flagged | ratio [95 %] |", "|---|---|---|---|"]
    for row in fair["neighbourhoods"][:MAX_ROWS]:
        if row["incident_share"] is None:
            lines.append(
                f"| {_plain(row['name'])} | hidden | {100 * row['flagged_share']:.1f} % | |"
            )
            continue
        lines.append(
            f"| {_plain(row['name'])} | {100 * row['incident_share']:.1f} % | "
            f"{100 * row['flagged_share']:.1f} % | {_bounds(row)} |"
        )
    for name, comparison in fair["groups"].items():
        if r := comparison["ratio"]:
            bounds = f"{r['value']:.2f} [{r['lo']:.2f}, {r['hi']:.2f}]"
            lines.append(f"\nFlagged where {_plain(name)} live, over everyone else: {bounds}.")
    return (
        f"{misplaced:.1f} % of the flagged area would have to move to match the shares of "
        "incidents.\n\n" + "\n".join(lines)
    )


def _bounds(row: dict[str, Any]) -> str:
    if None in (row["ratio"], row["ratio_lo"], row["ratio_hi"]):
        return ""
    return f"{row['ratio']:.2f} [{row['ratio_lo']:.2f}, {row['ratio_hi']:.2f}]"


def _provenance_lines(card: dict[str, Any]) -> list[str]:
    return [
        f"model {card['model']}, seed {card['seed']}",
        *_digest_lines(card),
        f"its record is checked against a digest of {card['sealed_at']}",
        *(f"{k}: {_plain(v)}" for k, v in card["provenance"].items() if not isinstance(v, dict)),
    ]


def _digest_lines(card: dict[str, Any]) -> list[str]:
    """Return digests, if the card has them."""
    if "artifact_sha256" not in card:
        return []
    keyed = f"keyed digest of the data {card['data']['data_hash']}"
    return [f"artifact sha256 {card['artifact_sha256']}", keyed]


def card_html(card: dict[str, Any]) -> str:
    """Format the card as a self-contained HTML page with the text of the Markdown."""
    title = f"Model card of {card['region']}, {card['model_version']}"
    blocks = card_markdown(card).strip().split("\n\n")
    return page(escape(title), map(_block, blocks), style="td,th{text-align:left}")


def _block(block: str) -> str:
    if block.startswith("#"):
        level = len(block) - len(block.lstrip("#"))
        return f"<h{level}>{_inline(block[level:])}</h{level}>"
    lines = block.splitlines()
    if block.startswith("- "):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    if block.startswith("|"):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if "|---" not in line]
        cells = ["".join(f"<td>{_inline(c)}</td>" for c in row) for row in rows]
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    plain = escape(re.sub(r"\\([\\`*_\[\]<>#|])", r"\1", text.strip()))
    return re.sub(r"^\*\*(.*)\*\*$", r"<b>\1</b>", plain)


CARD_FORMATS = {"md": card_markdown, "html": card_html}


def card_as(card: dict[str, Any], name: str) -> str:
    """Format the card as `md` or `html`.

    Raises:
        InvalidInput: the format is unknown.
    """
    if name not in CARD_FORMATS:
        raise InvalidInput(
            f"unknown format {shortened(name)}; choose from json, {', '.join(CARD_FORMATS)}",
            field="f",
        )
    return CARD_FORMATS[name](card)
