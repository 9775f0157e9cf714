"""Names of strangers in terminals, logs and spreadsheets: shown as what they are, and nothing else."""

import csv
import io
import json
import logging
import sys
import unicodedata
from contextlib import suppress

import orjson
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from app.cli import main
from app.core.logging import JsonFormatter, TextFormatter
from app.core.output.plain_text import in_spreadsheet, json_for_terminals, on_one_line
from app.geo.synthetic import TIMEZONE
from app.incidents.service import ingest_file
from app.main import create_app
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.support.simulated.town import halves

NAME = "[red]\x1b[31m\x9b2J\x07\u202eevil[/red] :skull: [link=https://a.example]b[/link]"
FORMULAE = ("=1+1", "+1", "-1", "@a", "\t=1", "  =1", "＝1")


@pytest.fixture(scope="module")
def names(engine, settings, town_csv, tmp_path_factory):
    features = halves()
    for place, feature in enumerate(features):
        feature["properties"] |= {"name": f"{NAME}{place}", "population": 100}
    add_region(
        engine, "names", name=NAME, timezone=TIMEZONE, cell_size_m=1000.0,
        boundary={"type": "FeatureCollection", "features": features},
    )  # fmt: skip
    frame = pd.read_csv(town_csv)
    kinds = (NAME, *FORMULAE)
    frame["category"] = [kinds[i % len(kinds)] for i in range(len(frame))]
    path = tmp_path_factory.mktemp("hostile") / "a.csv"
    frame.to_csv(path, index=False)
    ingest_file(engine, "names", path, settings=settings)
    run = run_now(engine, settings, "names", TrainingRequest("uniform"), lambda *_: None)
    assert run.status == "succeeded", run.message
    return settings


def controls(text):
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"}


@pytest.mark.slow
def test_no_command_lets_a_name_act_on_the_terminal(names, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOTSLOT_HOME", str(names.home))
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", names.database_url.get_secret_value())
    file = tmp_path / "\x1b[31m[red].csv"
    file.write_text("occurred_at,longitude,latitude\nx\x1b[31m[b],1,2\n")
    at = ["--at", "2019-12-31T23:00"]
    told = {}
    for command in (
        ["region", "list"], ["models", "names"], ["audit", "list"], ["data-report", "names"],
        ["fairness-report", "names"], ["model-card", "names"], ["ingest", "names", str(file)],
        ["forecast", "names", "density", *at, "--category", NAME], ["status"], ["worth", "names"],
        ["forecast", "names", "density", *at, "--category", "\x1b[31m[red]"],
        ["region", "policy", "\x1b[31m[red]"], ["ingest", "names", "\x1b[31m[red].csv"],
        ["audit", "list", "--region", "\x1b[31m"], ["source", "remove", "names", "\x1b[31m[red]"],
        ["region", "create", "made", "--timezone", "UTC", "--name", NAME],
        ["ingest", "names", str(file), "--json"],
    ):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["hotslot", *command])
        with suppress(SystemExit):
            main()
        out, err = capsys.readouterr()
        assert controls(out + err) == set(), command
        told[" ".join(command)] = out + err
    assert "[red]\\x1b[31m\\x9b2J" in told["fairness-report names"]
    assert "[red]" in told["region policy \x1b[31m[red]"]


def test_a_log_line_is_one_line():
    record = logging.makeLogRecord(
        {"msg": "said %s", "args": ("a\nERROR forged\x1b[31m\u2028",), "levelname": "INFO",
         "name": "hotslot", "path": "/x\r\ny"}
    )  # fmt: skip
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record)
        assert controls(line) == set()
        assert "\n" not in line
    assert json.loads(line)["message"] == "said a\nERROR forged\x1b[31m\u2028"


def test_json_for_terminals_says_the_same():
    value = {NAME: ["\u2028\U000e0041\ufeff", "é漢字"]}
    text = json_for_terminals(orjson.dumps(value).decode())
    assert controls(text) == set()
    assert json.loads(text) == value
    assert on_one_line("é漢字 \u200d") == "é漢字 \u200d"


def test_no_csv_cell_is_a_formula(names, engine):
    with TestClient(create_app(names, engine)) as client:
        reply = client.get("/v1/regions/names/incidents?f=csv&limit=1000")
    found = {row["category"] for row in csv.DictReader(io.StringIO(reply.text))}
    assert len(found) > len(FORMULAE) // 2
    assert not [c for c in found if c.strip(" ")[:1] in "=+-@\t＝"]
    assert [in_spreadsheet(f)[0] for f in FORMULAE] == ["'"] * len(FORMULAE)
