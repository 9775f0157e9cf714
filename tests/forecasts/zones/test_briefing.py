"""The briefing: one page whose words can be searched, in both languages, with what the reply says."""

import json
import re
import zlib
from dataclasses import replace
from datetime import date

import geopandas as gpd
import numpy as np
import pytest
from typer.testing import CliRunner

from app.cli import app as command_line
from app.cli.briefing import BY_SUFFIX
from app.core.messages import Message
from app.forecasts.areas.neighbourhoods import Neighbourhoods
from app.forecasts.zones.briefing import zones_pdf
from app.forecasts.zones.briefing_map import view_of
from app.forecasts.zones.briefing_texts import TEXTS, Words
from app.forecasts.zones.plan import ZonePlan
from app.forecasts.zones.selection import ZoneOptions
from app.geo.synthetic import synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from app.regions.store import get_region, set_neighbourhoods
from tests.support.simulated.made_forecasts import chosen_zones, forecast_of
from tests.support.simulated.town import halves

BASE = "/v1/regions/town/forecasts/zones"
ESCAPED = re.compile(rb"\\([()\\nrt]|[0-7]{3})")
PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def words_of(pdf):
    """Lines of a PDF's text, as far as our own pages go."""
    lines = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue
        for block in re.findall(rb"BT\n(.*?)ET\n", content, re.DOTALL):
            parts = re.findall(rb"\(((?:[^()\\]|\\.)*)\)", block, re.DOTALL)
            raw = b"".join(
                ESCAPED.sub(
                    lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else PLAIN.get(m[1], m[1]),
                    part,
                )
                for part in parts
            )
            lines.append(raw.decode("utf-16-be"))
    return lines


def plan_of(n_slots=8, options=None, **selector):
    forecast = forecast_of(n_slots=n_slots, shift="night", **selector)
    options = options or ZoneOptions(n=2, max_km2=1.0)
    chosen = chosen_zones(forecast, options)
    by_hour = np.random.default_rng(1).gamma(1.0, size=(n_slots, len(chosen.rows)))
    shapes = forecast.cells.polygons_degrees()
    places = Neighbourhoods(
        ("The $40 (Old) \\ Town", "Elsewhere"), shapes[:2], np.zeros(len(shapes), int)
    )
    return ZonePlan(forecast, options, chosen, by_hour, places)


@pytest.mark.slow
@pytest.mark.parametrize(("lang", "paper"), [("en", "a4"), ("es", "letter")])
def test_one_page_says_shift_places_and_source(lang, paper):
    plan = plan_of()
    plan = replace(plan, options=replace(plan.options, lang=lang, paper=paper))
    pdf = zones_pdf(plan)
    assert pdf.startswith(b"%PDF")
    assert re.findall(rb"/Count (\d+)", pdf) == [b"1"]
    assert b"/ToUnicode" in pdf
    size = {"a4": (595, 841), "letter": (612, 792)}[paper]
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    assert (int(float(box[1])), int(float(box[2]))) == size
    text = " ".join(words_of(pdf))
    title = {
        "en": "Night shift, Sunday 7 January 2024",
        "es": "Turno de noche, domingo 7 de enero de 2024",
    }
    assert title[lang] in text
    for part in (
        "America/Bogota (UTC-05:00)",
        "19:00",
        "03:00",
        "The $40 (Old) \\ Town",
        "v1",
        "stack",
    ):
        assert part in text
    assert {"en": "9 or 10 incidents", "es": "9 o 10 incidentes"}[lang] in text


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "es"])
def test_the_page_says_what_the_plan_keeps_to(served, lang):
    """The zones of the plan before, and the area that all stay in."""
    with served.engine.begin() as connection:
        parts = {"type": "FeatureCollection", "features": halves()}
        set_neighbourhoods(connection, get_region(connection, "town").key, parts)
    asked = {"shift": "night", "date": "2019-12-30", "max_km2": 2, "n": 3}
    before = served.client.get(BASE, params={**asked, "date": "2019-12-29"}).json()
    previous = [one["properties"]["cells"] for one in before["features"]]
    kept = {**asked, "inside": "neighbourhoods:west"}
    told = served.client.post(BASE, params=kept, json={"previous": previous}).json()
    pdf = served.client.post(
        BASE, params={**kept, "f": "pdf", "lang": lang}, json={"previous": previous}
    ).content
    text = " ".join(words_of(pdf))
    words = Words(lang)
    n_kept = len(previous) - told["previous"]["moved"]
    assert words("follows", n=len(previous), stay=n_kept)[:20] in text
    assert words("inside", area="west") in text
    for one in told["features"]:
        assert words(one["properties"]["status"]) in text
    share = told["share_of_incidents_expected"] / told["inside_share"]
    assert words.percent(share, 1) in text
    each = {**asked, "within": "neighbourhoods", "f": "pdf", "lang": lang}
    within = " ".join(words_of(served.client.get(BASE, params=each).content))
    assert words("within", layer="neighbourhoods") in within


def test_twenty_zones_and_a_single_hour_fit_the_page():
    plan = plan_of(n_slots=1, options=ZoneOptions(n=20, max_km2=2.75, compactness=0))
    assert re.findall(rb"/Count (\d+)", zones_pdf(plan)) == [b"1"]


@pytest.mark.slow
def test_the_page_has_the_numbers_of_the_reply(served):
    asked = {"shift": "night", "date": "2019-12-30", "max_km2": 2, "n": 3, "f": "pdf"}
    reply = served.client.get(BASE, params=asked)
    assert reply.headers["content-type"] == "application/pdf"
    assert reply.headers["content-disposition"].endswith('zones.pdf"')
    body = served.client.get(BASE, params={**asked, "f": "geojson"}).json()
    text = " ".join(words_of(reply.content))
    assert "Night shift, Monday 30 December 2019" in text
    assert body["model_version"] in text
    for feature in body["features"]:
        assert f"{feature['properties']['latitude']:.4f}" in text
    assert Words("en").count(body["expected_total"]) in text


def test_languages_have_the_same_texts_and_values():
    field = re.compile(r"\{(\w+)\}")
    assert TEXTS["en"].keys() == TEXTS["es"].keys()
    for name, text in TEXTS["en"].items():
        assert {*field.findall(text)} == {*field.findall(TEXTS["es"][name])}


def test_counts_and_messages_read_like_sentences():
    assert Words("es").count(2.5) == "2 o 3"
    assert Words("en").count(0.1) == "1 in about 10 shifts"
    stale = Message("stale", {"days": 71}, "stale: 71 days")
    assert Words("es").message(stale).startswith("El pronóstico es para 71 días")
    assert Words("en").message(stale).startswith("The forecast is for 71 days")
    assert Words("es").message(Message("unheard_of", {}, "as it came")) == "as it came"
    summer = Words("en").date(date(2022, 8, 3))
    assert summer == "Wednesday 3 August 2022"


@pytest.mark.slow
def test_the_command_line_writes_the_page_and_the_same_zones(
    served, settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    base = ["briefing", "town", "--shift", "night", "--date", "2019-12-30", "--max-km2", "2"]
    for suffix in BY_SUFFIX:
        path = tmp_path / f"night{suffix}"
        run = CliRunner().invoke(command_line, [*base, "-o", str(path)])
        assert run.exit_code == 0, run.output
        assert path.stat().st_size > 500
    frame = gpd.read_file(tmp_path / "night.gpkg")
    asked = {"shift": "night", "date": "2019-12-30", "max_km2": 2}
    body = served.client.get(BASE, params=asked).json()
    assert frame["expected_count"].tolist() == pytest.approx(
        [f["properties"]["expected_count"] for f in body["features"]]
    )
    refused = CliRunner().invoke(command_line, [*base, "-o", str(tmp_path / "night.doc")])
    assert refused.exit_code != 0


@pytest.mark.slow
def test_streets_are_on_the_map_and_name_the_places(served):
    asked = {"shift": "night", "date": "2019-12-30", "max_km2": 2, "n": 3}
    before = served.client.get(BASE, params={**asked, "f": "pdf"}).content
    drawn = json.dumps(synthetic_streets(synthetic_city().area, 200.0))
    kind = {"content-type": "application/geo+json"}
    assert (
        served.client.put("/v1/regions/town/streets", content=drawn, headers=kind).status_code
        == 200
    )
    served.client.app.state.forecasts.brief.forget("streets", "town")
    page = served.client.get(BASE, params={**asked, "f": "pdf"}).content
    assert len(page) > len(before) + 1_000
    places = [
        f["properties"]["place"] for f in served.client.get(BASE, params=asked).json()["features"]
    ]
    assert any(places)
    text = " ".join(words_of(page))
    assert all(place in text for place in places if place and len(place) <= 40)


def test_a_view_has_the_shape_of_its_frame_and_holds_everything():
    west, south, east, north = view_of((0, 0, 1_000, 9_000), 1.5, 2_500)
    assert (north - south) / (east - west) == pytest.approx(1.5)
    assert west < 0 < 1_000 < east
    assert south < 0 < 9_000 < north
