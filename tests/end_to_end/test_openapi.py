"""The OpenAPI document is true: requests made from it by the thousand find no contradiction."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import jsonschema
import pytest

from app.http.problems import PROBLEMS

ROOT = Path(__file__).resolve().parents[2]
NO_KEYS = """
# The first key ends open access, after which every answer would be 401.
[[operations]]
include-name = "POST /v1/keys"
enabled = false
"""
JSON_TYPES = ("application/json", "application/geo+json")


def operations(document):
    """Each operation by its method and path, as in `GET /v1/regions`."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def example_of(content, document):
    """A reply's own example, or that of its model."""
    if "example" in content:
        return content["example"]
    name = content["schema"].get("$ref", "").removeprefix("#/components/schemas/")
    return document["components"]["schemas"].get(name, {}).get("examples", [None])[0]


@pytest.fixture(scope="module")
def document(served):
    return served.client.get("/openapi.json").json()


@pytest.mark.slow
def test_schemathesis_finds_nothing(address, tmp_path):
    """All checks on a trained region; `make drills` runs ten thousand cases of all phases (A4).

    The phase of boundary values alone makes six thousand: `test_extreme_values` sends such ones.
    """
    config = tmp_path / "schemathesis.toml"
    rules = (ROOT / "schemathesis.toml").read_text()
    config.write_text(f'[parameters]\n"path.region" = "town"\n\n{rules}\n{NO_KEYS}')
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    options = ["--max-examples", "8", "--seed", "1", "--no-color", "--continue-on-failure"]
    options += ["--phases", "examples,fuzzing,stateful"]
    done = subprocess.run(  # noqa: PLW1510
        [*command, f"{address}/openapi.json", *options, "--request-timeout", "30"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 1000
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_each_format_that_can_be_asked_for_is_told(document):
    told = {}
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "f":
                schema = parameter["schema"]
                schema = next(
                    (s for s in schema.get("anyOf", []) if s.get("type") == "string"), schema
                )
                formats = schema.get("enum") or re.findall(r"\w+", schema["pattern"])
                replies = operation["responses"]["200"]["content"]
                told[name] = (formats, list(replies))
    assert len(told) > 8
    assert not {n: t for n, t in told.items() if len(t[0]) > len(t[1])}


def test_each_call_has_an_example_that_fits_its_schema(document):
    missing = []
    for name, operation in operations(document).items():
        for status, reply in operation["responses"].items():
            for media_type, content in reply.get("content", {}).items():
                if media_type not in (*JSON_TYPES, "application/problem+json", "text/csv"):
                    continue
                example = example_of(content, document)
                if example is None:
                    missing.append(f"{name} {status} {media_type}")
                    continue
                schema = {**content["schema"], "components": document["components"]}
                jsonschema.validate(example, schema)
    assert missing == []


def test_each_part_documents_the_problems_of_all(document):
    """Each router names them itself: routes are not included with responses of the application."""
    missing = {
        name: left
        for name, operation in operations(document).items()
        if (left := {str(status) for status in PROBLEMS} - set(operation["responses"]))
    }
    assert missing == {}


def test_each_json_reply_names_its_model(document):
    unnamed = [
        f"{name} {status} {media_type}"
        for name, operation in operations(document).items()
        for status, reply in operation["responses"].items()
        for media_type, content in reply.get("content", {}).items()
        if "json" in media_type and "$ref" not in content["schema"]
    ]
    assert unnamed == []


def test_operations_say_what_they_do_and_which_need_no_key(document):
    paths = document["paths"]
    for name, operation in operations(document).items():
        assert len(operation["summary"].split()) > 1, name
    assert paths["/healthz"]["get"]["security"] == []
    assert "security" not in paths["/v1/regions"]["get"]


def test_request_bodies_have_examples_that_are_taken(document, served):
    for name, operation in operations(document).items():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if media_type != "application/json" or "incidents" in name:
                continue
            text = json.dumps(content)
            assert '"example' in text or "$ref" in text, name


def test_links_name_calls_that_exist(document):
    known = {operation["operationId"] for operation in operations(document).values()}
    targets = {
        link["operationId"]
        for operation in operations(document).values()
        for reply in operation["responses"].values()
        for link in reply.get("links", {}).values()
    }
    assert targets
    assert targets <= known


def test_wrong_methods_are_told_the_right_ones(served):
    reply = served.client.put("/v1/regions")
    assert reply.status_code == 405
    assert reply.headers["Allow"] == "GET, POST"
