"""The data report and trainings, by the way that a test's door stands for."""

import json

from typer.testing import CliRunner

from app.cli import app as command_line
from app.worker.jobs import work_on


def report(door, *more):
    """Read the data report over HTTP, or by the command line, whose text must say the same."""
    if door.way == "http":
        reply = door.client.get(f"{door.root}/data-report")
        assert reply.status_code == 200, reply.text
        for form in ("html", "png", "svg"):
            page = door.client.get(f"{door.root}/data-report", params={"f": form})
            assert page.status_code == 200, page.text
        return reply.json()
    file = door.folder / f"{door.region}.json"
    run = CliRunner().invoke(command_line, ["data-report", door.region, "--json", str(file)])
    assert run.exit_code == 0, run.output
    found = json.loads(file.read_text())
    printed = " ".join(run.output.split())
    for message in (*found["verdicts"].values(), *found["findings"]):
        assert " ".join(message["message"].split()) in printed
    return found


def findings(found):
    """Return {code: params} of a report's findings, the first of each code."""
    codes = {}
    for finding in found["findings"]:
        codes.setdefault(finding["code"], finding["params"])
    return codes


def answers(found):
    """Return the report's answers by the hour and by the place, and the code of the next step."""
    verdicts = found["verdicts"]
    return verdicts["hour"]["answer"], verdicts["place"]["answer"], verdicts["next_step"]["code"]


def forecast(door, engine, settings, at, **more):
    """Train and read a density; returns the reply."""
    asked = {"model": "pooled-kde", "validate": False}
    run = door.client.post(f"{door.root}/training-runs", json=asked).json()["id"]
    work_on(engine, settings, "train", run)
    made = door.client.get(f"{door.root}/training-runs/{run}").json()
    assert made["status"] == "succeeded", made
    params = {"at": at, "model": made["model_version"], **more}
    reply = door.client.get(f"{door.root}/forecasts/density", params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


def warned(reply):
    """Return {code: params} of a reply's warnings."""
    return {warning["code"]: warning["params"] for warning in reply["warnings"]}
