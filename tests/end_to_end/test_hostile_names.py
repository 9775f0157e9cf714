"""Names of strangers (regions, neighbourhoods, categories, files) stay names in pages and pictures."""

from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from app.evaluation.backtests.request import BacktestRequest
from app.geo.synthetic import TIMEZONE
from app.incidents.service import ingest_file
from app.main import create_app
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.simulated.town import halves

NAMES = (
    "$\\frac{$<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>' onload='alert(2) $x_{$",
    "$\\frac{ $ </svg><!-- --> ]]>",
    "&lt;script&gt;|[a](javascript:alert(1))`x`",
)
XLINK = "{http://www.w3.org/1999/xlink}"
REGION = "names"
"""Its name and time zone are the operator's; all else is in NAMES."""


class Elements(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def client(engine, settings, town_csv, tmp_path_factory):
    features = halves()
    for feature, name in zip(features, NAMES, strict=False):
        feature["properties"] |= {"name": name, "population": 100, "groups": {NAMES[2]: 40}}
    boundary = {"type": "FeatureCollection", "features": features}
    add_region(
        engine, REGION, name=NAMES[2], timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0
    )
    frame = pd.read_csv(town_csv)
    frame["category"] = [NAMES[i % len(NAMES)] for i in range(len(frame))]
    frame.loc[:3, "latitude"] = 0.0
    path = tmp_path_factory.mktemp("hostile") / "<b>$x$ & file</b>.csv".replace("/", "")
    frame.to_csv(path, index=False)
    ingest_file(engine, REGION, path, settings=settings)
    for request in (
        TrainingRequest(model="pooled-kde"),
        BacktestRequest(models=("pooled-kde", "uniform"), n_origins=1),
    ):
        run = run_now(engine, settings, REGION, request, lambda _s, _m: None)
        assert run.status == "succeeded", run.message
    with TestClient(create_app(settings, engine)) as made:
        yield made


def backtest_path(client):
    found = client.get(f"/v1/regions/{REGION}/backtests").json()
    return f"backtests/{found['backtests'][0]['id']}"


def pages(client):
    card = f"models/{client.get(f'/v1/regions/{REGION}/models').json()['champion']}/card?f=html"
    return ["data-report?f=html", card, f"{backtest_path(client)}/report"]


def test_pages_hold_their_own_elements_and_no_others(client):
    told = ""
    for path in pages(client):
        reply = client.get(f"/v1/regions/{REGION}/{path}")
        assert reply.status_code == 200, reply.text
        assert "script-src" in reply.headers["content-security-policy"] or (
            "default-src 'none'" in reply.headers["content-security-policy"]
        )
        page = Elements(reply.text)
        for tag, attributes in page.found:
            assert tag not in ("script", "img", "iframe", "object", "embed", "a", "foreignobject")
            assert not [name for name in attributes if name.startswith("on")], attributes
        told += page.text
    # They are told, as what they are.
    for name in NAMES[:2]:
        assert name in told, name


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_pictures_are_drawn_with_any_name(client, kind):
    paths = [
        "data-report",
        "fairness-report",
        *(f"{backtest_path(client)}/{p}" for p in ("cap", "calibration")),
    ]
    for path in paths:
        reply = client.get(f"/v1/regions/{REGION}/{path}", params={"f": kind})
        assert reply.status_code == 200, reply.text
        if kind == "png":
            assert reply.content.startswith(b"\x89PNG")
            continue
        for element in ET.fromstring(reply.content).iter():
            tag = element.tag.rpartition("}")[2]
            assert tag not in {"script", "foreignObject", "a", "animate", "set"}
            assert not [name for name in element.attrib if name.startswith("on")]
            if tag == "image":  # the heat map of the week
                assert element.attrib[f"{XLINK}href"].startswith("data:image/png;base64,")


def test_the_forecasts_picture_takes_a_dollar_sign_for_a_dollar_sign(client):
    reply = client.get(f"/v1/regions/{REGION}/forecasts/density", params={"window": 3, "f": "png"})
    assert reply.status_code == 200, reply.text
    assert reply.content.startswith(b"\x89PNG")


def test_replies_in_json_give_the_names_back_unchanged(client):
    found = client.get(f"/v1/regions/{REGION}/fairness-report").json()
    assert {row["name"] for row in found["neighbourhoods"]} == set(NAMES[:2])
    assert client.get(f"/v1/regions/{REGION}").json()["name"] == NAMES[2]
