"""Pictures, names of controls, commands and addresses in the tutorials exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.pictures.shots import NAMES
from tests.support.reference import all_commands, document

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
READERS = {"analyst.md", "researcher.md", "engineer.md", "public.md"}
MAX_BYTES = 150_000
SERVICE = r"(?:localhost:8000|hotslot\.example\.org)(/[^\s'\"]*)"


def lines_of(text: str) -> Iterator[str]:
    """Yield the commands in fenced blocks, also indented ones, with continued lines joined."""
    for block in re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines())


def calls(text: str) -> Iterator[list[str]]:
    """Yield the words after `hotslot` of each call, in blocks and in code spans."""
    for line in [*lines_of(text), *re.findall(r"`(hotslot [^`\n]+)`", text)]:
        found = re.search(r"(?:^|[ (|])hotslot ([a-z].*)", line)
        if found:
            yield shlex.split(found[1], comments=True)


def labels() -> dict[str, set[str]]:
    """Return the English texts of the page, with the keys that its modules and its HTML use."""
    web = ROOT / "app" / "web"
    scripts = sorted((web / "js").glob("*.js"))
    others = [p.read_text() for p in scripts if "messages" not in p.name]
    used = set(re.findall(r"\"(\w+)\"", "".join([*others, (web / "index.html").read_text()])))
    found: dict[str, set[str]] = {}
    for path in (p for p in scripts if p.name.startswith("messages")):
        english = re.search(r"^  en: \{(.*?)^  \},", path.read_text(), re.DOTALL | re.MULTILINE)
        for key, text in re.findall(r"(\w+): \"((?:[^\"\\]|\\.)*)\"", english[1]):
            found.setdefault(text, set()).update({key} & used)
    return found


def test_each_reader_has_a_tutorial_that_the_readme_and_the_start_page_name():
    assert set(TEXTS) == READERS
    for start, folder in (("README.md", "docs/tutorials/"), ("docs/index.md", "tutorials/")):
        text = (ROOT / start).read_text()
        assert {name for name in READERS if f"]({folder}{name})" in text} == READERS


def test_the_script_makes_the_pictures_of_the_tutorials_and_no_others():
    named = set()
    for text in TEXTS.values():
        for alternative, path in re.findall(r"!\[(.*?)\]\((.*?)\)", text):
            assert alternative
            named.add(path)
    assert named == {f"../pictures/{name}.png" for name in NAMES}
    stored = {path.stem: path for path in (ROOT / "docs" / "pictures").iterdir()}
    assert set(stored) == set(NAMES)
    for path in stored.values():
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG"), path
        assert len(content) < MAX_BYTES, path


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_what_is_bold_stands_on_the_page(page):
    known = labels()
    assert len(known) > 300
    bold = re.findall(r"\*\*(.+?)\*\*", TEXTS[page])
    assert [text for text in bold if not known.get(text)] == []


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_commands_are_accepted_as_they_are_printed(page):
    for words in calls(TEXTS[page]):
        length = 2 if " ".join(words[:2]) in all_commands() else 1
        name = " ".join(words[:length])
        if words == [name]:
            assert any(command.split()[0] == name for command in all_commands())
            continue
        all_commands()[name].make_context(name, words[length:])


def accepts(schema: dict, value: str) -> bool:
    """Return whether a parameter's schema takes a value, as far as it names or describes values."""
    named, pattern = schema.get("enum"), schema.get("pattern")
    if schema.get("type") == "null":
        return False
    return (named is None or value in named) and (pattern is None or bool(re.match(pattern, value)))


def operation_of(path: str, method: str) -> dict:
    """Return the operation of an address; placeholders and values stand alike.

    Raises:
        AssertionError: there is none.
    """
    for template, methods in document()["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", template.replace(".", r"\."))
        if method in methods and re.fullmatch(pattern, path):
            return methods[method]
    raise AssertionError((method, path))


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_addresses_are_operations_with_these_parameters(page):
    for line in lines_of(TEXTS[page]):
        for address in re.findall(SERVICE, line):
            parts = urlsplit(address)
            operation = operation_of(parts.path, "post" if " -d " in line else "get")
            known = {one["name"]: one["schema"] for one in operation.get("parameters", ())}
            for name, value in parse_qsl(parts.query, strict_parsing=True):
                assert name in known, address
                assert any(accepts(one, value) for one in known[name].get("anyOf", [known[name]]))


def test_all_of_it_was_looked_at():
    assert sum(len(list(calls(text))) for text in TEXTS.values()) >= 40
    assert sum(len(re.findall(SERVICE, text)) for text in TEXTS.values()) >= 10
