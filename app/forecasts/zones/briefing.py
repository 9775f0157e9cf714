"""A plan of zones as one page for the shift: map, places, hours, how sure, where it comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from app.core.output.plotting import drawing, file_of
from app.core.processes.priority import give_way
from app.core.zones import zone
from app.forecasts.zones.briefing_map import INK, LINE, QUIET, ZONE, draw_maps
from app.forecasts.zones.briefing_texts import Words
from app.forecasts.zones.documents import each_zone, head_of
from app.forecasts.zones.plan import ZonePlan

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # noqa: TID251 - a type

INCHES: dict[str, tuple[float, float]] = {"a4": (8.27, 11.69), "letter": (8.5, 11.0)}
MARGIN = 0.07
"""Of the page's width; heights are shares of the page's height."""
LINE_CHARS = 108


def zones_pdf(plan: ZonePlan) -> bytes:
    """Draw the briefing as a PDF of one page, with text that can be searched."""
    return _drawn(plan, "pdf")


def briefing_png(plan: ZonePlan) -> bytes:
    """Draw the same page as a picture."""
    return _drawn(plan, "png")


def _drawn(plan: ZonePlan, file_format: str) -> bytes:
    give_way()
    with drawing(figsize=INCHES[plan.options.paper], dpi=100) as figure:
        page = _Page(figure, plan)
        page.draw()
        give_way()
        title = {"Title": page.title} if file_format == "pdf" else {}
        return file_of(figure, file_format, title)


class _Page:
    """Writes from the top down; `y` is the height that is left, as a share of the page."""

    def __init__(self, figure: Figure, plan: ZonePlan) -> None:
        self.figure, self.plan = figure, plan
        self.words = Words(plan.options.lang)
        self.forecast = plan.forecast
        self.head = head_of(plan)
        self.zones = list(each_zone(plan))
        region = self.forecast.version.region
        self.timezone = region.timezone
        local = zone(region.timezone)
        self.begin = self.forecast.at.astimezone(local)
        self.end = self.forecast.until.astimezone(local)
        shift = self.words(self.forecast.selector.shift or "plan")
        self.title = f"{shift}, {self.words.date(self.begin)}"
        self.height = figure.get_size_inches()[1]
        self.y = 1 - 0.45 / self.height

    def text(self, text: str, size: float, *, x: float = MARGIN, **style: Any) -> None:
        """Write a line at the present height."""
        style = {"color": INK, "va": "top", **style}
        self.figure.text(x, self.y, text, fontsize=size, **style)

    def down(self, points: float) -> None:
        """Go down by so many points."""
        self.y -= points / 72 / self.height

    def lines(self, text: str, size: float, **style: Any) -> None:
        """Write a paragraph."""
        for line in textwrap.wrap(text, int(LINE_CHARS * 8.5 / size)):
            self.text(line, size, **style)
            self.down(1.45 * size)

    def draw(self) -> None:
        """Draw the page."""
        self._heading()
        give_way()
        self._maps()
        give_way()
        self._table()
        give_way()
        self._record()
        self._footer()

    def _heading(self) -> None:
        words, head = self.words, self.head
        self.text(self.title, 19, fontweight="bold")
        self.down(29)
        n = head.get("n_slots", 1)
        hours = words("hour") if n == 1 else words("hours", n=n)
        when = f"{words.span(self.begin, self.end)}, {hours}; {self.timezone} ({self._offsets()})"
        self.text(f"{self.forecast.version.region.name}   {when}", 10, color=QUIET)
        self.down(21)
        expected = head["expected_count"]
        city = words.count(head["expected_total"])
        if expected < 0.75:
            headline = words("headline_seldom", n=words.seldom(expected), city=city)
        else:
            noun = words("incident" if words.count(expected) == words.count(1.0) else "incidents")
            headline = words("headline", zones=words.count(expected), incidents=noun, city=city)
        self.text(headline[0].upper() + headline[1:], 13, fontweight="bold", color=ZONE)
        self.down(20)
        self.lines(self._how_sure(), 8.5)
        if kinds := self.head.get("categories"):
            self.lines(words("kinds", kinds=", ".join(kinds)), 8.5)
        if self.forecast.plan.harm is not None:
            self.lines(words("weighted"), 8.5)
        for line in self._follows():
            self.lines(line, 8.5)
        self.down(4)

    def _offsets(self) -> str:
        offsets = [moment.isoformat()[-6:] for moment in (self.begin, self.end)]
        return " → ".join(f"UTC{one}" for one in dict.fromkeys(offsets))

    def _how_sure(self) -> str:
        words, head = self.words, self.head
        sure = words(
            "sure",
            lo=head["expected_count_lo"],
            hi=head["expected_count_hi"],
            city_lo=round(head["expected_total_lo"]),
            city_hi=round(head["expected_total_hi"]),
        )
        free = head["share_of_free_cells"]
        inside = self.forecast.selector.inside
        share = head["share_of_incidents_expected"] / head.get("inside_share", 1.0)
        price = words(
            "price" if inside is None else "price_inside",
            inside=inside and inside.area,
            area=words.number(head["area_km2"]),
            share_area=words.percent(head["share_of_area"], 2),
            share=words.percent(share, 1),
            of_free="–" if free is None else words.percent(free),
        )
        return f"{sure} {price}"

    def _follows(self) -> Iterator[str]:
        """Yield what the plan keeps to: areas of a layer, and the plan before."""
        selector, previous = self.forecast.selector, self.plan.previous
        if selector.inside is not None:
            yield self.words("inside", area=selector.inside.area)
        if selector.within is not None:
            yield self.words("within", layer=selector.within)
        if previous is not None:
            n = len(previous["zones"])
            yield self.words("follows", n=n, stay=n - previous["moved"])

    def _maps(self) -> None:
        """Draw the city with its zones, and beside it the zones enlarged."""
        height = 0.4 if len(self.zones) <= 6 else 0.3 if len(self.zones) <= 10 else 0.22
        self.y -= height
        width = (1 - 2 * MARGIN - 0.02) / 2
        left = self.figure.add_axes((MARGIN, self.y, width, height))
        right = self.figure.add_axes((MARGIN + width + 0.02, self.y, width, height))
        aspect = (height * self.height) / (width * self.figure.get_size_inches()[0])
        ranks = [str(properties["rank"]) for _, properties in self.zones]
        draw_maps(self.plan, ranks, (left, right), aspect)
        self.down(12)

    def _table(self) -> None:
        """Write each zone: rank, place, expected count, and its hours as bars."""
        words = self.words
        at = {"rank": MARGIN, "where": MARGIN + 0.04, "expected": 0.49, "hours": 0.7}
        for name, label in (("where", "where"), ("expected", "expected"), ("hours", "by_hour")):
            self.text(words(label), 8.5, x=at[name], color=QUIET)
        self.down(14)
        room = max(self.y - 0.19, 0.1)
        step = min(0.042, room / max(len(self.zones), 1))
        for _, properties in self.zones:
            self._row(properties, at, step)
            self.y -= step
        self._hour_labels(at["hours"])

    def _row(self, row: dict[str, Any], at: dict[str, float], step: float) -> None:
        words = self.words
        size = 10 if step > 0.025 else 7.5
        self.text(str(row["rank"]), size, x=at["rank"], fontweight="bold", color=ZONE)
        where = row.get("area") or row["place"] or ""
        point = f"{row['latitude']:.4f}, {row['longitude']:.4f}"
        self.text(_shortened(where, 40) or point, size, x=at["where"], fontweight="bold")
        self.text(words.count(row["expected_count"]), size, x=at["expected"])
        if step > 0.025:
            self.down(14)
            details = [point] if where else []
            details.append(words("area", area=words.number(row["area_km2"])))
            if "status" in row:
                details.append(words(row["status"]))
            self.text("; ".join(details), 7.5, x=at["where"], color=QUIET)
            hour = datetime.fromisoformat(self.plan.hours[int(np.argmax(row["hours"]))])
            if len(row["hours"]) > 1:
                self.text(words("most", hour=f"{hour:%H:%M}"), 7.5, x=at["expected"], color=QUIET)
            self.down(-14)
        self._bars(row["hours"], at["hours"], step)

    def _bars(self, hours: list[float], x: float, step: float) -> None:
        """Draw when in the shift a zone matters, each zone on a scale of its own."""
        from matplotlib.patches import Rectangle

        width, peak = (1 - MARGIN - x) / len(hours), max(hours)
        for place, count in enumerate(hours):
            height = 0.78 * step * count / peak if peak > 0 else 0.0
            bar = Rectangle(
                (x + place * width, self.y - 0.85 * step), 0.86 * width, height,
                transform=self.figure.transFigure, color=ZONE, linewidth=0,
            )  # fmt: skip
            self.figure.add_artist(bar)

    def _hour_labels(self, x: float) -> None:
        hours = [datetime.fromisoformat(text) for text in self.plan.hours]
        width = (1 - MARGIN - x) / len(hours)
        every = -(-len(hours) // 9)
        for place in range(0, len(hours), every):
            middle = x + (place + 0.43) * width
            self.text(f"{hours[place]:%H}", 7, x=middle, color=QUIET, ha="center")
        self.down(15)

    def _record(self) -> None:
        record = self.head.get("record")
        if not record:
            return
        words = self.words
        self.text(words("record"), 9.5, fontweight="bold")
        self.down(14)
        for name in ("zones", "last_year", "last_year_hours", "free_cells"):
            one = record[name]
            if one["share"] is None:
                continue
            self.lines(
                words(
                    "record_line",
                    name=words(name),
                    hits=one["hits"],
                    n=record["incidents"],
                    share=words.percent(one["share"], 1),
                    lo=words.percent(one["lo"], 1),
                    hi=words.percent(one["hi"], 1),
                ),
                8.5,
            )
        about = words("record_about", origins=record["origins"], days=record["days"])
        self.lines(f"{about}.", 7.5, color=QUIET)

    def _footer(self) -> None:
        """Write source and warnings from the bottom up."""
        words, head = self.words, self.head
        until = datetime.fromisoformat(head["data_until"]).astimezone(self.begin.tzinfo)
        made = datetime.fromisoformat(head["generated_at"]).astimezone(self.begin.tzinfo)
        source = words(
            "source",
            model=head["model"],
            version=head["model_version"],
            state=head["state"],
            until=words.date(until),
            made=f"{made:%Y-%m-%d %H:%M}",
            region=self.forecast.version.region.name,
        )
        warnings = [words.message(warning) for warning in self.forecast.warnings]
        parts = [words("note"), source]
        if warnings:
            parts.insert(0, f"{words('warnings')}: {' '.join(warnings)}")
        wrapped = [
            line for part in parts for line in textwrap.wrap(part, int(LINE_CHARS * 8.5 / 7.5))
        ]
        wrapped = wrapped[:10]
        self.y = (0.35 + len(wrapped) * 11 / 72) / self.height
        self.figure.add_artist(_rule(self.figure, self.y + 6 / 72 / self.height))
        for line in wrapped:
            self.text(line, 7.5, color=QUIET)
            self.down(11)


def _rule(figure: Figure, y: float) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [MARGIN, 1 - MARGIN], [y, y], color=LINE, linewidth=0.8, transform=figure.transFigure
    )


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
