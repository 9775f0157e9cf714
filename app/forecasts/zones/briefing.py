"""A plan of zones as one page for the shift: map, places, hours, how sure, where it comes from."""

from __future__ import annotations

import textwrap
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from app.core.output.plotting import drawing, file_of
from app.core.priority import give_way
from app.core.zones import zone
from app.forecasts.zones.briefing_texts import Words
from app.forecasts.zones.documents import each_zone, head_of
from app.forecasts.zones.plan import ZonePlan
from app.geo.hexagons import projected

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure  # noqa: TID251 - a type

INCHES: dict[str, tuple[float, float]] = {"a4": (8.27, 11.69), "letter": (8.5, 11.0)}
INK, QUIET, LINE, LAND, ZONE = "#16202a", "#5b6773", "#c9d1d8", "#f3f5f7", "#c2410c"
MARGIN = 0.07
"""Of the page's width; heights are shares of the page's height."""
MIN_VIEW_M = 2_500.0
NAMED_SHARE = 0.03
"""Of the view: a neighbourhood that covers less of it has no name there."""
BAR_KM = (0.2, 0.5, 1, 2, 5, 10, 20, 50)
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
        price = words(
            "price",
            area=words.number(head["area_km2"]),
            share_area=words.percent(head["share_of_area"], 2),
            share=words.percent(head["share_of_incidents_expected"], 1),
            of_free="–" if free is None else words.percent(free),
        )
        return f"{sure} {price}"

    def _maps(self) -> None:
        """Draw the city with its zones, and beside it the zones enlarged."""
        height = 0.4 if len(self.zones) <= 6 else 0.3 if len(self.zones) <= 10 else 0.22
        self.y -= height
        polygons = self.forecast.cells.polygons_degrees()
        crs = self.forecast.cells.crs
        shapes = projected(
            np.array([shapely.union_all(polygons[rows]) for rows, _ in self.zones]), crs
        )
        city = self.forecast.version.area.polygon_m
        width = (1 - 2 * MARGIN - 0.02) / 2
        left = self.figure.add_axes((MARGIN, self.y, width, height))
        right = self.figure.add_axes((MARGIN + width + 0.02, self.y, width, height))
        aspect = (height * self.height) / (width * self.figure.get_size_inches()[0])
        view = _view(shapely.total_bounds(shapes), aspect, MIN_VIEW_M)
        _draw_city(left, city, _view(np.array(city.bounds), aspect, 0.0))
        _draw_city(right, city, view)
        self._neighbourhoods(right, view, shapely.union_all(shapes))
        west, south, east, north = view
        left.plot(
            [west, east, east, west, west], [south, south, north, north, south],
            color=INK, linewidth=0.8, linestyle=(0, (3, 2)),
        )  # fmt: skip
        for (_, properties), shape in zip(self.zones, shapes, strict=True):
            _draw_zone(left, shape, "")
            _draw_zone(right, shape, str(properties["rank"]))
        for axes in (left, right):
            _scale_bar(axes)
        self.down(12)

    def _neighbourhoods(
        self, axes: Axes, view: tuple[float, float, float, float], zones: Any
    ) -> None:
        """Draw the borders of neighbourhoods in a view, and the names of those with room for one."""
        places = self.plan.places
        if places is None:
            return
        shapes = shapely.clip_by_rect(projected(places.shapes, self.forecast.cells.crs), *view)
        least_m2 = (view[2] - view[0]) * (view[3] - view[1]) * NAMED_SHARE
        least_m = 0.06 * (view[2] - view[0])
        for name, shape in zip(places.names, shapes, strict=True):
            rough = shapely.simplify(shape, (view[2] - view[0]) / 1500)
            for part in shapely.get_parts(rough):
                if part.geom_type == "Polygon":
                    axes.plot(*_ring(part.exterior), color=LINE, linewidth=0.8)
            point = shapely.point_on_surface(shape)
            if shape.area > least_m2 and shapely.distance(zones, point) > least_m:
                label = "\n".join(textwrap.wrap(name, 18))
                axes.text(
                    point.x, point.y, label, fontsize=6.5, color=QUIET, ha="center", va="center"
                )

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
        for name in ("zones", "last_year", "free_cells"):
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


def _view(bounds: Any, aspect: float, least_m: float) -> tuple[float, float, float, float]:
    """Return west, south, east, north of a view with some room around bounds (metres)."""
    west, south, east, north = (float(value) for value in bounds)
    width = max(1.15 * (east - west), least_m, 1.15 * (north - south) / aspect)
    x, y = (west + east) / 2, (south + north) / 2
    return x - width / 2, y - width * aspect / 2, x + width / 2, y + width * aspect / 2


def _draw_city(axes: Axes, city: Any, view: tuple[float, float, float, float]) -> None:
    west, south, east, north = view
    # A vector file of a whole coast line would be megabytes: finer than the print shows is left out.
    shown = shapely.clip_by_rect(shapely.simplify(city, (east - west) / 1500), *view)
    for part in shapely.get_parts(shown):
        if part.geom_type == "Polygon":
            axes.fill(*_ring(part.exterior), color=LAND, linewidth=0)
            for ring in (part.exterior, *part.interiors):
                axes.plot(*_ring(ring), color=QUIET, linewidth=0.7)
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(LINE)


def _ring(ring: Any) -> Any:
    """Return x and y of a ring."""
    return np.asarray(ring.coords)[:, :2].T


def _draw_zone(axes: Axes, shape: Any, label: str) -> None:
    for part in shapely.get_parts(shape):
        ring = _ring(part.exterior)
        axes.fill(*ring, facecolor=ZONE, alpha=0.35, linewidth=0)
        axes.plot(*ring, color=ZONE, linewidth=1.2)
    if label:
        point = shapely.point_on_surface(shape)
        axes.text(
            point.x, point.y, label, fontsize=9, fontweight="bold", color="white",
            ha="center", va="center", bbox={"boxstyle": "circle,pad=0.25", "facecolor": ZONE, "linewidth": 0},
        )  # fmt: skip


def _scale_bar(axes: Axes) -> None:
    (west, east), (south, north) = axes.get_xlim(), axes.get_ylim()
    width_m = east - west
    length_km = max((km for km in BAR_KM if 1000 * km <= 0.3 * width_m), default=BAR_KM[0])
    x, y = west + 0.04 * width_m, south + 0.04 * (north - south)
    axes.plot([x, x + 1000 * length_km], [y, y], color=INK, linewidth=2.5, solid_capstyle="butt")
    axes.text(
        x, y + 0.015 * (north - south), f"{length_km:g} km", fontsize=7.5, color=INK, zorder=1
    )
