"""`hotslot evaluate`: places of one's own, judged on a past period."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from app.cli.console import complain, opened, parse_time, results
from app.core.errors import InvalidInput
from app.core.roles import seeing_unreleased
from app.core.settings import Settings
from app.forecasts.evaluations.service import Question, evaluate
from app.forecasts.service import ForecastService
from app.regions.store import get_region

MAX_FILE_BYTES = 20_000_000
NAMES = {"own": "these places", "champion": "forecast", "prior_counts": "prior-counts"}


def evaluate_places(
    region: str,
    file: Annotated[Path, typer.Argument(help="GeoJSON FeatureCollection of polygons.")],
    start: Annotated[str, typer.Option("--from", help="Start of the period.")],
    end: Annotated[str, typer.Option("--to", help="Its end.")],
    category: Annotated[
        list[str] | None,
        typer.Option(help="A category, an alias or a group; repeat it to take several."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Instead of the served model.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here.")] = None,
) -> None:
    """Judge places on a past period, beside the forecast's and last year's best cells of the same area."""
    features = _features(file)
    settings = Settings()
    with opened(settings) as engine:
        with engine.connect() as connection:
            timezone = get_region(connection, region).timezone
        period = parse_time(start, timezone, "from"), parse_time(end, timezone, "to")
        question = Question((period,), features, (), tuple(category or ()), model)
        with seeing_unreleased(True):
            found = evaluate(ForecastService(engine, settings), region, question)
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    for note in [*found["notes"], *found["periods"][0]["notes"]]:
        complain(note["message"], "note")
    results().print(_table(found))


def _features(file: Path) -> list[Any]:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise InvalidInput(f"{file.name} has more than {MAX_FILE_BYTES:,} bytes", field="file")
    try:
        content = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{file.name} is not JSON: {error}", field="file") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or not features:
        raise InvalidInput(f"{file.name} has no GeoJSON features", field="file")
    return features


def _table(found: dict[str, Any]) -> Table:
    one = found["total"]
    table = Table(
        title=f"{found['region']}: {one['own']['n']:,} incidents, places of {found['area_km2']:.3g} km2",
        caption="with 95 % intervals; PAI: share of incidents / share of area; minus: hits of these places "
        "minus those of the list",
    )
    for heading in ("", "km2", "hits", "share", "PAI", "PEI", "RRI", "minus"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, label in NAMES.items():
        score = one[name]
        if score is None:
            table.add_row(label, *["" for _ in range(7)])
            continue
        gap = one["differences"].get(name)
        table.add_row(
            label,
            f"{score['area_km2']:.3g}",
            f"{score['hits']:g}",
            *(_interval(score, index) for index in ("share", "pai", "pei", "rri")),
            "{hits:+.0f} [{lo:+.0f}, {hi:+.0f}]".format(**gap) if gap else "",
        )
    return table


def _interval(score: dict[str, Any], name: str) -> str:
    value, lo, hi = (score[f"{name}{end}"] for end in ("", "_lo", "_hi"))
    return "" if value is None else f"{value:.3g} [{lo:.3g}, {hi:.3g}]"
