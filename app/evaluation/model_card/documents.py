"""A model card as Markdown and as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from app.core.errors import InvalidInput
from app.core.output.html_page import page
from app.core.output.plain_text import on_one_line, with_bounds
from app.core.texts import shortened

MAX_ROWS = 12


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
        ratio = with_bounds(row["ratio"], row["ratio_lo"], row["ratio_hi"])
        lines.append(
            f"| {_plain(row['name'])} | {100 * row['incident_share']:.1f} % | "
            f"{100 * row['flagged_share']:.1f} % | {ratio} |"
        )
    for name, comparison in fair["groups"].items():
        if r := comparison["ratio"]:
            bounds = with_bounds(r["value"], r["lo"], r["hi"])
            lines.append(f"\nFlagged where {_plain(name)} live, over everyone else: {bounds}.")
    return (
        f"{misplaced:.1f} % of the flagged area would have to move to match the shares of "
        "incidents.\n\n" + "\n".join(lines)
    )


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
