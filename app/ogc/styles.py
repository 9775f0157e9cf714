"""Layer styles: classes of expected incidents by colour, as QGIS (QML) and others (SLD 1.0) read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from app.forecasts.rendering.colours import palette
from app.ogc.collections import STREETS, ZONES
from app.ogc.features import FeatureSet

N_CLASSES = 5
EDGES = {False: ((35, 35, 35), 0.2), True: ((215, 48, 31), 0.9)}
"""Colour and width (mm) of outlines; those of zones stand out from the density beneath."""
SLD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld" '
    'xmlns:ogc="http://www.opengis.net/ogc" xmlns:xlink="http://www.w3.org/1999/xlink">\n'
    "<NamedLayer><Name>{name}</Name><UserStyle><Title>{title}</Title><FeatureTypeStyle>\n"
    "{rules}</FeatureTypeStyle></UserStyle></NamedLayer></StyledLayerDescriptor>\n"
)
QML = (
    "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    '<qgis version="3.22.16" styleCategories="Symbology">\n{renderer}'
    "<layerGeometryType>{geometry}</layerGeometryType></qgis>\n"
)


@dataclass(frozen=True)
class Step:
    """Values from `low` to `high` in one colour; None: without end."""

    low: float | None
    high: float | None
    colour: tuple[int, int, int]

    @property
    def label(self) -> str:
        """What the legend says."""
        if self.low is None:
            return "any" if self.high is None else f"below {self.high:.2g}"
        if self.high is None:
            return f"{self.low:.2g} and more"
        return f"{self.low:.2g} to {self.high:.2g}"


def attribute_of(kind: str) -> str:
    """Return the property that colours a kind of features."""
    return "per_km" if kind == STREETS else "expected_count"


def steps_of(found: FeatureSet, kind: str) -> list[Step]:
    """Return classes of about as many features each, of those of an hour; other hours fit in, too."""
    name = attribute_of(kind)
    values = np.array([one["properties"][name] for one in found.features], np.float64)
    shares = np.linspace(0, 1, N_CLASSES + 1)[1:-1]
    breaks = np.quantile(values, shares).tolist() if len(values) else []
    inner = np.unique([float(f"{value:.2g}") for value in breaks]).tolist()
    rgb = palette()[np.linspace(60, len(palette()) - 1, len(inner) + 1).astype(int)].tolist()
    ends = [None, *inner, None]
    return [
        Step(low, high, (r, g, b))
        for low, high, (r, g, b) in zip(ends[:-1], ends[1:], rgb, strict=True)
    ]


def qml(steps: list[Step], kind: str) -> str:
    """Return a style file of QGIS."""
    return QML.format(renderer=renderer(steps, kind), geometry=1 if kind == STREETS else 2)


def renderer(steps: list[Step], kind: str) -> str:
    """Return the renderer of a QGIS layer."""
    ranges, symbols = [], []
    for place, step in enumerate(steps):
        low = "-1e18" if step.low is None else repr(step.low)
        high = "1e18" if step.high is None else repr(step.high)
        ranges.append(
            f'<range symbol="{place}" lower="{low}" upper="{high}" label={quoteattr(step.label)} '
            'render="true"/>'
        )
        symbols.append(_symbol(place, step, kind))
    return (
        f'<renderer-v2 type="graduatedSymbol" attr="{attribute_of(kind)}" symbollevels="0" '
        'graduatedMethod="GraduatedColor" enableorderby="0" forceraster="0">'
        f"<ranges>{''.join(ranges)}</ranges><symbols>{''.join(symbols)}</symbols></renderer-v2>\n"
    )


def _symbol(place: int, step: Step, kind: str) -> str:
    colour = ",".join(map(str, (*step.colour, 255)))
    if kind == STREETS:
        kind_of, cls = "line", "SimpleLine"
        options = {"line_color": colour, "line_width": "1.2", "line_width_unit": "MM"}
    else:
        kind_of, cls = "fill", "SimpleFill"
        edge, width = EDGES[kind == ZONES]
        options = {
            "color": colour, "style": "solid", "outline_color": ",".join(map(str, (*edge, 255))),
            "outline_style": "solid", "outline_width": str(width), "outline_width_unit": "MM",
        }  # fmt: skip
    given = "".join(
        f'<Option type="QString" name="{name}" value="{value}"/>' for name, value in options.items()
    )
    return (
        f'<symbol type="{kind_of}" name="{place}" alpha="0.75" clip_to_extent="1" force_rhr="0">'
        f'<layer class="{cls}" enabled="1" pass="0" locked="0">'
        f'<Option type="Map">{given}</Option></layer></symbol>'
    )


def sld(steps: list[Step], kind: str, name: str, title: str) -> str:
    """Return a Styled Layer Descriptor."""
    rules = "".join(_rule(step, kind) for step in steps)
    return SLD.format(name=escape(name), title=escape(title), rules=rules)


def _rule(step: Step, kind: str) -> str:
    colour = "#{:02x}{:02x}{:02x}".format(*step.colour)
    if kind == STREETS:
        drawn = f"<LineSymbolizer><Stroke>{_css(stroke=colour, stroke_width=3)}</Stroke></LineSymbolizer>"
    else:
        edge, width = EDGES[kind == ZONES]
        shown = "#{:02x}{:02x}{:02x}".format(*edge)
        drawn = (
            f"<PolygonSymbolizer><Fill>{_css(fill=colour, fill_opacity=0.75)}</Fill>"
            f"<Stroke>{_css(stroke=shown, stroke_width=3 * width)}</Stroke></PolygonSymbolizer>"
        )
    return f"<Rule><Title>{escape(step.label)}</Title>{_filter(step, kind)}{drawn}</Rule>\n"


def _css(**given: Any) -> str:
    return "".join(
        f'<CssParameter name="{name.replace("_", "-")}">{value}</CssParameter>'
        for name, value in given.items()
    )


def _filter(step: Step, kind: str) -> str:
    name = f"<ogc:PropertyName>{attribute_of(kind)}</ogc:PropertyName>"
    tests = [
        f"<ogc:{test}>{name}<ogc:Literal>{bound!r}</ogc:Literal></ogc:{test}>"
        for test, bound in (
            ("PropertyIsGreaterThanOrEqualTo", step.low),
            ("PropertyIsLessThan", step.high),
        )
        if bound is not None
    ]
    if not tests:
        return ""
    both = f"<ogc:And>{''.join(tests)}</ogc:And>" if len(tests) > 1 else tests[0]
    return f"<ogc:Filter>{both}</ogc:Filter>"
