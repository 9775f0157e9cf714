"""Every message that the service can send: its template is filled, and the page has it in its languages."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from app.core.messages import Message, MessageTable
from app.http.static import WEB
from app.incidents.parsing.row_errors import ROW_MESSAGES

COUNTED = {"n"}
"""The page shows rejected rows by code, with their number."""
PRINTED = {"DOCTOR_FINDINGS"}
"""Tables of messages that only the command line shows."""
RUN_TO_IMPORT = ("app.cli.__main__", "app.server")


def tables() -> dict[str, MessageTable]:
    """Find the tables of all modules by name; no two have the same."""
    found: dict[str, MessageTable] = {}
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name in RUN_TO_IMPORT:
            continue
        members = vars(importlib.import_module(module.name))
        made = (n for n, value in members.items() if isinstance(value, MessageTable))
        for name in (n for n in made if n not in PRINTED):
            assert found.setdefault(name, members[name]) is members[name], name
    return found


TABLES = tables()
CODES = {code for table in TABLES.values() for code in table.templates}


def calls() -> Iterator[tuple[str, str, set[str] | None]]:
    """Find `TABLE.make("code", a=..., b=...)`: table, code, names (None: some are unpacked)."""
    for file in Path(app.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr="make"),
                    args=[ast.Constant(value=str(code))],
                    keywords=keywords,
                ) if name in TABLES:
                    names = {keyword.arg for keyword in keywords}
                    yield name, code, None if None in names else {str(n) for n in names}


def page_table() -> dict[str, dict[str, set[str]]]:
    """Read the page's table: {language: {code: names of the parameters it needs}}."""
    found: dict[str, dict[str, set[str]]] = {}
    for language in ("en", "es"):
        block = "".join(
            (WEB / "js" / f"{file}-messages-{language}.js")
            .read_text()
            .partition("= {\n")[2]
            .removesuffix("};\n")
            for file in ("service", "run")
        )
        lines = re.findall(r'^  (\w+): "((?:[^"\\]|\\.)*)",$', block, re.MULTILINE)
        assert len(lines) == len(block.splitlines())
        found[language] = {
            code: set(re.findall(r"\{(\w+)(?::\w+)?\}", line)) for code, line in lines
        }
    return found


def test_the_page_has_every_code_in_each_language():
    assert {"WARNINGS", "FINDINGS", "ALARMS", "UPLOAD_WARNINGS", "ROW_MESSAGES"} <= TABLES.keys()
    for language, known in page_table().items():
        assert known.keys() == CODES, language
    assert page_table().keys() == {"en", "es"}


def test_parameters_fill_the_templates_of_service_and_page():
    page = page_table()
    found = list(calls())
    assert len(found) > 40
    for name, code, given in found:
        if given is None:
            continue
        assert TABLES[name].fields(code) <= given, (name, code)
        if TABLES[name] is not ROW_MESSAGES:
            assert page["en"][code] <= given, (name, code)
            assert page["es"][code] == page["en"][code], (name, code)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_page_needs_no_more_than_the_service_names(name):
    for code in TABLES[name].templates:
        needed = COUNTED if TABLES[name] is ROW_MESSAGES else TABLES[name].fields(code)
        assert page_table()["en"][code] <= needed, code


def test_values_are_written_in_plain_english():
    table = MessageTable({"a": "{n:,} {share:.1%} {names} {by_code} {free}"})
    by_code = {"too_old": 1200, "zero": 1}
    made = table.make("a", n=1200, share=0.1234, names=["b", "c"], by_code=by_code, free="{n}")
    assert made.message == "1,200 12.3 % b, c too_old (1,200), zero (1) {n}"
    assert Message.from_json(made.to_json()) == made
    with pytest.raises(KeyError):
        table.make("a", n=1)
