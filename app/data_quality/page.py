"""A data report as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from app.core.output.html_page import page, percent, svg, table
from app.data_quality.plots import data_report_plot

MAX_CATEGORIES = 30
Report = Mapping[str, Any]


def data_report_page(report: Report) -> str:
    """Render a report's JSON as a page."""
    region, uploads = escape(report["region"]), report["uploads"]
    title = f"Data report of {region}"
    if report["upload"] is not None:
        title += f", upload {report['upload']}"
    incidents = report["incidents"]
    span = ""
    if incidents["n"]:
        span = f" from {incidents['first_at'][:10]} to {incidents['last_at'][:10]}"
    made = f"({escape(report['timezone'])}). Made {report['generated_at']}."
    parts = [
        f"<h1>{title}</h1><p>{incidents['n']:,} incidents{span} {made}</p>",
        _verdicts(report["verdicts"]),
        _findings(report["findings"]),
        svg(data_report_plot(report, "svg")),
        _uploads(uploads),
        _times(report),
        _precision(report["time_precision"]),
        _places(report["places"]),
        _late(report["late_reports"]),
        _breaks(report),
        _categories(incidents, report["kinds"]),
        _errors(uploads["errors"]),
    ]
    return page(title, parts)


def _verdicts(found: Report) -> str:
    lines = (found[name]["message"] for name in ("hour", "place", "next_step"))
    return "<p><strong>" + "<br>".join(map(escape, dict.fromkeys(lines))) + "</strong></p>"


def _findings(found: list[dict[str, Any]]) -> str:
    if not found:
        return "<p>Nothing stands out.</p>"
    return "<ul>" + "".join(f"<li>{escape(one['message'])}</li>" for one in found) + "</ul>"


def _uploads(uploads: Report) -> str:
    names = ("received", "accepted", "corrected", "duplicates", "rejected")
    rows = [["all", "", "", *(f"{uploads[n]:,}" for n in names)]]
    rows += [
        [u["id"], u["source"] or "", u["created_at"][:16], *(f"{u[n]:,}" for n in names)]
        for u in uploads["newest"]
    ]
    return table(
        f"{uploads['n']:,} uploads; received = accepted + duplicates + rejected",
        ["upload", "file", "at", *names],
        rows,
    )


def _times(report: Report) -> str:
    rows = [
        [
            minute["at"],
            f"{minute['n']:,}",
            percent(minute["share"]),
            "" if minute["times_expected"] is None else f"{minute['times_expected']:.1f}",
            "yes" if minute["spike"] else "",
        ]
        for minute in report["times"]["told"]
    ]
    return table(
        "times of day: share of all, and ratio to the same minute of the hours around",
        ["at", "incidents", "share", "times expected", "spike"],
        rows,
    )


def _precision(times: Report) -> str:
    """Return how precise times are, in all and by kind."""
    rows = [["all", *_of_times(times["all"])]]
    kinds = times["kinds"] if len(times["kinds"]) > 1 else []
    rows += [[_kind_name(one), *_of_times(one)] for one in kinds[:MAX_CATEGORIES]]
    left = percent(times["all"]["hour_information"])
    sentence = (
        f"Of the information on the hour of the week {left} is left: one less the entropy of an even "
        "spread over each incident's hours (exact 100 %, a day 38 %, a week 0 %)."
    )
    head = [
        "kind", "incidents", "exact", "intervals", "dates alone", "placeholders", "left of the hour",
        "median hours", "90 %", "over 24 h",
    ]  # fmt: skip
    caption = (
        "what is known of times; hours are those of intervals, placeholders unknown times at midnight or "
        "noon beyond what the hours around suggest"
    )
    return f"<h2>Precision of times</h2><p>{sentence}</p>" + table(caption, head, rows)


def _kind_name(one: Report) -> str:
    return "all others" if one["category"] is None else str(one["category"])


def _of_times(one: Report) -> list[str]:
    shares = [one[f"{name}_share"] for name in ("exact", "interval", "date_only", "placeholder")]
    hours = [one["median_interval_hours"], one["p90_interval_hours"]]
    long = one["over_day_share"]
    return [
        f"{one['n']:,}",
        *map(percent, [*shares, one["hour_information"]]),
        *("" if h is None else f"{h:,.1f}" for h in hours),
        "" if long is None else percent(long),
    ]


def _places(places: Report) -> str:
    nearest, decimals = places["nearest_m"], places["decimals"]
    repeated = percent(places["share_on_repeated"])
    facts = [f"{places['distinct']:,} distinct points; {repeated} of incidents share theirs"]
    if nearest is not None:
        facts.append(f"a point's nearest neighbour is typically {nearest:,.0f} m away")
    if decimals is not None:
        facts.append(f"coordinates have {decimals} decimals ({places['step_m']:,.0f} m)")
    named = {(p["longitude"], p["latitude"]): _treatment(p) for p in places["full"]}
    rows = [
        [
            f"{p['longitude']:.5f}, {p['latitude']:.5f}",
            f"{p['n']:,}",
            named.get((p["longitude"], p["latitude"]), ""),
        ]
        for p in places["fullest"]
    ]
    listed = table("points with most incidents", ["longitude, latitude", "incidents", ""], rows)
    return f"<h2>Places</h2><p>{escape('; '.join(facts))}.</p>{listed}"


def _treatment(place: Report) -> str:
    """Return how fits treat a full place."""
    if place["reason"] == "policy":
        return "left out by the policy" if place["default"] else "learnt from by the policy"
    return "default geocode, left out" if place["default"] else "learnt from"


def _late(late: Report) -> str:
    hours = [late[name] for name in ("median_hours", "p90_hours", "p99_hours")]
    note = f"<p>{escape(late['note']['message'])}.</p>" if late["note"] else ""
    if hours[0] is None:
        return f"<h2>Late reports</h2>{note}"
    rows = [[f"{late['n']:,}", *(f"{h:,.0f}" for h in hours)]]
    caption = "hours from the incident to its arrival"
    return (
        "<h2>Late reports</h2>" + table(caption, ["incidents", "50 %", "90 %", "99 %"], rows) + note
    )


def _breaks(report: Report) -> str:
    rows = [
        [b["month"], f"{b['before_per_day']:,.1f}", f"{b['after_per_day']:,.1f}"]
        for b in report["breaks"]
    ]
    early = report["dated_early"]
    years = ", ".join(f"{year}: {n:,}" for year, n in early["years"].items())
    before = f"<p>Dated before {early['before']}: {escape(years)}.</p>" if years else ""
    caption = "months in which the number of incidents a day changed permanently"
    return "<h2>Volume</h2>" + before + table(caption, ["month", "before", "after"], rows)


def _categories(incidents: Report, kinds: Report) -> str:
    rules = {rule["category"]: rule for rule in kinds["rules"]}
    shown = list(incidents["categories"].items())
    rows = [[name, f"{n:,}", *_rule(rules[name])] for name, n in shown[:MAX_CATEGORIES]]
    if len(shown) > MAX_CATEGORIES:
        rest = shown[MAX_CATEGORIES:]
        rows.append([f"{len(rest)} more", f"{sum(n for _, n in rest):,}", "", "", ""])
    head = ["category", "incidents", "class", "by the words", "learnt from"]
    return table("categories", head, rows)


def _rule(rule: Report) -> list[str]:
    learnt = "yes" if rule["learnt"] else "no"
    return [
        rule["offence_class"],
        rule["rule"],
        f"{learnt}, by the policy" if rule["by_policy"] else learnt,
    ]


def _errors(errors: list[dict[str, Any]]) -> str:
    rows = [[e["upload"], e["row"], e["field"], e["code"], e["message"]] for e in errors]
    caption = "rejected rows (the first of the newest uploads)"
    return table(caption, ["upload", "row", "field", "code", "message"], rows)
