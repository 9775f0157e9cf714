"""Pictures of docs/examples that the tests of this folder renew: `HOTSLOT_DOCS_PICTURES=1 make ecosystem`."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "examples"
WANTED = bool(os.environ.get("HOTSLOT_DOCS_PICTURES"))
COLOURS = 256
DPI = 80
LINE_IN, MARGIN_IN, WIDTH_IN = 0.165, 0.12, 9.2
MAX_CHARS = 112


def keep_file(path: Path, name: str) -> None:
    """Copy a picture that a program has drawn."""
    if WANTED:
        shutil.copy(path, FOLDER / name)


def keep_page(page: Page, name: str) -> None:
    """Take a picture of a page."""
    if WANTED:
        taken = Image.open(io.BytesIO(page.screenshot(scale="css"))).convert("RGB")
        taken.quantize(COLOURS).save(FOLDER / name, optimize=True)


def keep_map(layers: Mapping[str, tuple[Any, Mapping[str, Any]]], name: str) -> None:
    """Draw layers of features in metres, one over the other.

    Args:
        layers: {title: (GeoJSON features, style for `GeoDataFrame.plot`)}.
    """
    if not WANTED:
        return
    figure = Figure(figsize=(5.6, 4.6), dpi=DPI, layout="constrained")
    axes: Axes = figure.subplots()
    for features, style in layers.values():
        frame = gpd.GeoDataFrame.from_features(features, crs="EPSG:4326")
        frame.to_crs(frame.estimate_utm_crs()).plot(ax=axes, **style)
    axes.set_title(", ".join(layers), fontsize=9)
    axes.set_axis_off()
    figure.savefig(FOLDER / name)


def keep_text(text: str, name: str) -> None:
    """Draw a text as a terminal shows it; lines longer than the picture are cut."""
    if not WANTED:
        return
    lines = [
        line if len(line) <= MAX_CHARS else f"{line[:MAX_CHARS]}…" for line in text.splitlines()
    ]
    height_in = LINE_IN * len(lines) + 2 * MARGIN_IN
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="#f6f8fa")
    style = {"family": "monospace", "size": 9, "va": "top", "linespacing": 1.3, "parse_math": False}
    figure.text(MARGIN_IN / WIDTH_IN, 1 - MARGIN_IN / height_in, "\n".join(lines), **style)
    figure.savefig(FOLDER / name)


def keep_hours(coverage: Mapping[str, Any], name: str) -> None:
    """Draw the expected incidents of a place by hour, as a CoverageJSON of one point has them."""
    if not WANTED:
        return
    times = coverage["domain"]["axes"]["t"]["values"]
    hours = [text[11:16] for text in times]
    figure = Figure(figsize=(5.6, 2.4), dpi=DPI, layout="constrained")
    axes: Axes = figure.subplots()
    axes.bar(hours, coverage["ranges"]["expected_count"]["values"], color="tab:blue")
    axes.set_ylabel("expected incidents")
    axes.set_title(f"one cell on {times[0][:10]}, local hours", fontsize=9)
    figure.savefig(FOLDER / name)
