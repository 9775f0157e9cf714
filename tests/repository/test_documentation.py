"""Paths, names, links, commands, options and calls that the documentation mentions exist."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.support.reference import all_commands, document, reference

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "client").glob("*.md")]
)
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
FOLDERS = "app|models|tests|benchmarks|migrations|docs|client|\\.ci"


def found(pattern):
    """Every match of a pattern, with the page that has it."""
    return sorted(
        {(page, match) for page, text in TEXTS.items() for match in re.findall(pattern, text)}
    )


def shell_lines(text):
    """The commands in a page's fenced blocks, continued lines joined."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if language in ("", "sh"):
            yield from block.replace("\\\n", " ").splitlines()


def defined(tree):
    """Names that a module or class defines."""
    for node in ast.walk(tree) if isinstance(tree, ast.ClassDef) else tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((t.id, node) for t in targets if isinstance(t, ast.Name))


def resolves(dotted):
    """Whether `package.module.Class.method` is in the source tree."""
    at, parts = ROOT, dotted.split(".")
    while parts and (at / parts[0]).is_dir():
        at /= parts.pop(0)
    file = (
        at / f"{parts.pop(0)}.py"
        if parts and (at / f"{parts[0]}.py").is_file()
        else at / "__init__.py"
    )
    node = ast.parse(file.read_text()) if file.is_file() else None
    for part in parts:
        node = (
            dict(defined(node)).get(part) if isinstance(node, ast.Module | ast.ClassDef) else None
        )
    return node is not None


def test_paths_exist():
    named = found(rf"`((?:{FOLDERS})/[\w./-]+)`")
    assert len(named) > 60
    assert [(page, path) for page, path in named if not (ROOT / path).exists()] == []
    tests = {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert [(p, name) for p, name in found(r"`(test_\w+\.py)`") if name not in tests] == []


def test_names_of_the_code_exist():
    named = found(r"`((?:app|models)(?:\.\w+)+)`")
    assert len(named) > 25
    assert [(page, name) for page, name in named if not resolves(name)] == []
    assert not resolves("app.core.settings.Settings.no_such_field")
    assert not resolves("app.no_such_module")


def test_the_architecture_page_has_every_package_in_order_of_the_layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    layers = [name for layer in contracts[0]["layers"] for name in layer.split(" | ")]
    table = TEXTS["docs/architecture.md"].partition("## The path")[0]
    rows = [name.removesuffix(".py") for name in re.findall(r"`app/([\w.]+)`", table)]
    assert set(rows) == {*layers, "web"}
    places = [layers.index(row) for row in rows if row != "web"]
    assert places == sorted(places)


def test_links_exist():
    links = found(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
    assert len(links) > 40
    assert [
        (page, to) for page, to in links if not (ROOT / page).parent.joinpath(to).exists()
    ] == []


def calls(text):
    """(words of a command, its options) for each `hotslot` call in fenced blocks and code spans."""
    lines = [*shell_lines(text), *re.findall(r"`(hotslot [^`\n]+)`", text)]
    for line in lines:
        start = re.search(r"(?:^|[ (|])(hotslot [a-z].*)", line)
        if start is None:
            continue
        lexer = shlex.shlex(start[1], posix=True, punctuation_chars="|;()")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        try:
            words = list(lexer)[1:]
        except ValueError:
            continue
        end = next((i for i, w in enumerate(words) if set(w) <= set("|;()")), len(words))
        words = words[:end]
        name = " ".join(words[:2]) if " ".join(words[:2]) in all_commands() else words[0]
        yield (
            name,
            [w.strip("[]").partition("=")[0] for w in words if w.strip("[]").startswith("--")],
        )


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_commands_and_their_options_exist(page):
    groups = {name.split()[0] for name in all_commands() if " " in name}
    for name, options in calls(TEXTS[page]):
        assert name in all_commands() or name in groups, name
        if name in all_commands():
            known = {o for p in all_commands()[name].params for o in (*p.opts, *p.secondary_opts)}
            assert set(options) <= known | {"--help"}, name


def test_targets_of_make_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {
        name for _, name in found(r"\bmake ([a-z-]+)(?=[`\s]*(?:`| [A-Z]+=| {2,}#))")
    } <= targets


def test_calls_of_the_api_exist():
    known = [
        re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(f"{method.upper()} {path}")))
        for path, methods in document()["paths"].items()
        for method in methods
    ]
    named = found(r"`(GET|POST|PUT|PATCH|DELETE) (/v1/[^`?\s]*)")
    assert len(named) > 8
    missing = [call for call in named if not any(k.fullmatch(" ".join(call[1])) for k in known)]
    assert missing == []


@pytest.mark.slow
def test_the_reference_describes_every_operation_and_command():
    page = reference.operations()
    for path, methods in document()["paths"].items():
        for method in methods:
            assert f"### `{method.upper()} {path}`" in page
    assert "| `top` | query | number" in page
    commands = reference.commands()
    for name, command in all_commands().items():
        assert f"## `hotslot {name}`" in commands
        assert command.help in commands
    assert "`--cell-size-m`" in commands
