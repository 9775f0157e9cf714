"""The requests of the Power Query recipes, and the columns and types that they expect in the replies."""

import csv
import io
import re
from datetime import datetime
from pathlib import Path

import pytest

from app.access.service import NewKey, create_key

PAGE = (Path(__file__).resolve().parents[2] / "docs/examples/excel.md").read_text()
RECIPES = re.findall(r"^```powerquery\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
HERE = {"toronto": "town", "2022-01-07": "2019-12-28", "2022-01-03": "2019-12-23"}
HERE |= {"2022-01-10": "2019-12-30"}
"""What a test's town has in place of the page's region and days."""


def with_offset(text):
    assert datetime.fromisoformat(text).tzinfo is not None


CHECKS = {
    "Int64.Type": int,
    "type number": float,
    "type text": str,
    "type datetimezone": with_offset,
}


def request_of(recipe, known):
    """Path, query and headers that `Web.Contents` sends; `known` are the values of names."""
    for there, here in HERE.items():
        recipe = recipe.replace(there, here)

    def record(name):
        (fields,) = re.findall(rf"\b{name} = \[(.*?)\]", recipe)
        found = re.findall(r'(?:#"([^"]+)"|(\w+)) = (?:"([^"]*)"|(\w+))', fields)
        assert len(found) == fields.count("=")
        return {quoted or plain: text or known[value] for quoted, plain, text, value in found}

    (path,) = re.findall(r'RelativePath = "([^"]+)"', recipe)
    return f"/{path}", record("Query"), record("Headers")


@pytest.fixture(scope="module")
def key(served):
    return create_key(served.engine, NewKey("workbook", ("analyst",))).text


def test_all_recipes_are_found():
    assert len(RECIPES) == PAGE.count("Web.Contents(") == 3


@pytest.mark.parametrize("recipe", RECIPES)
def test_replies_have_the_columns_of_the_recipe(recipe, served, key):
    path, query, headers = request_of(recipe, {"Key": key, "Today": "2019-12-28"})
    reply = served.client.get(path, params=query, headers=headers)
    assert reply.status_code == 200, reply.text
    assert "charset=utf-8" in reply.headers["Content-Type"]
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert len(rows) > 1 or "zones" in path
    types = re.findall(r'\{"(\w+)", ([\w. ]+)\}', recipe)
    assert len(types) == recipe.count('{"') > 4
    for row in rows:
        for column, kind in types:
            CHECKS[kind](row[column])


def test_the_key_is_needed(served, key):
    path, query, _ = request_of(RECIPES[0], {"Key": key})
    assert served.client.get(path, params=query).status_code == 401
