"""Fill pages of the documentation from the code and from notebooks (a hook of mkdocs)."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

BRACES = str.maketrans("", "", "{}")
METHODS = ("get", "post", "put", "patch", "delete")


def on_page_markdown(markdown: str, page: Any, **_options: Any) -> str:
    """Replace the marker of a reference page or a notebook's; called by mkdocs for each page."""
    if page.file.src_uri.startswith("notebooks/"):
        return markdown + notebook(Path(page.file.abs_src_path).with_suffix(".ipynb"))
    for marker, build in MARKERS.items():
        if page.file.src_uri.startswith("reference/") and marker in markdown:
            return markdown.replace(marker, build())
    return markdown


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of the application, without a database."""
    from app.core.settings import Settings
    from app.main import create_app

    return create_app(Settings()).openapi()


def notebook(path: Path) -> str:
    """Write a notebook's cells as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = (("".join(cell["source"]), cell["cell_type"] == "code") for cell in cells)
    return "\n\n".join(f"```python\n{text}\n```" if code else text for text, code in texts)


def operations() -> str:
    """Describe every operation of the HTTP API in Markdown, grouped by tag."""
    document = openapi_document()
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                tag = operation.get("tags", ["service"])[0]
                groups.setdefault(tag, []).append(_operation(method, path, operation))
    return "\n\n".join(
        f"## {tag.replace('-', ' ').capitalize()}\n\n" + "\n\n".join(groups[tag])
        for tag in sorted(groups)
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    text = operation.get("description") or operation.get("summary", "")
    lines = [f"### `{method.upper()} {path}`", "", text.strip()]
    parameters = [p for p in operation.get("parameters", []) if p["in"] != "path"]
    if parameters:
        lines += ["", "| parameter | in | type | |", "|---|---|---|---|"]
        lines += [_parameter(p) for p in parameters]
    body = operation.get("requestBody", {}).get("content", {})
    if body:
        lines += ["", f"Body: {_media_types(body)}."]
    good = [code for code in sorted(operation["responses"]) if code.startswith("2")]
    lines += [
        "",
        "Replies: "
        + "; ".join(
            f"{c} {_media_types(operation['responses'][c].get('content', {}))}" for c in good
        ),
    ]
    return "\n".join(lines)


def _parameter(parameter: dict[str, Any]) -> str:
    needed = " (required)" if parameter.get("required") else ""
    text = parameter.get("description") or parameter["schema"].get("description", "")
    kind = _kind(parameter["schema"])
    return f"| `{parameter['name']}`{needed} | {parameter['in']} | {kind} | {_cell(text)} |"


def _kind(schema: dict[str, Any]) -> str:
    """Name a schema's type: `number, 100 to 5000`, `json or csv`, ..."""
    variants = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    names = []
    for variant in variants:
        if "enum" in variant:
            names.append(" or ".join(f"`{value}`" for value in variant["enum"]))
            continue
        name = (
            variant["$ref"].rpartition("/")[2]
            if "$ref" in variant
            else str(variant.get("type", "any"))
        )
        bounds = [f"{word} {variant[key]}" for key, word in _BOUNDS.items() if key in variant]
        names.append(", ".join([name, *bounds]))
    if "default" in schema and schema["default"] is not None:
        names[-1] += f", default {schema['default']}"
    return _cell(" or ".join(names))


_BOUNDS = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above"}


def _media_types(content: dict[str, Any]) -> str:
    found = []
    for media_type, entry in content.items():
        reference = entry.get("schema", {}).get("$ref", "")
        found.append(
            f"`{media_type}`" + (f" ({reference.rpartition('/')[2]})" if reference else "")
        )
    return ", ".join(found) or "no content"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def commands() -> str:
    """Describe every command with its arguments and options in Markdown."""
    return "\n\n".join(_command(words, command) for words, command in all_commands())


def all_commands() -> Iterator[tuple[str, Any]]:
    """Yield the words of each command and the command with its options, in order of the words."""
    from app.cli import COMMANDS

    for words in sorted(COMMANDS):
        module, _, function = COMMANDS[words][0].partition(":")
        alone = typer.Typer(add_completion=False)
        alone.command(words)(getattr(importlib.import_module(module), function))
        yield words, typer.main.get_command(alone)


def _command(words: str, command: Any) -> str:
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    options = [p for p in shown if p.param_type_name == "option" and p.name != "help"]
    context = command.make_context(words, [], resilient_parsing=True)
    pieces = [piece.upper().translate(BRACES) for piece in command.collect_usage_pieces(context)]
    usage = " ".join([words, *pieces])
    lines = [
        f"## `hotslot {words}`",
        "",
        (command.help or "").strip(),
        "",
        "```",
        f"hotslot {usage}",
        "```",
    ]
    rows = [(f"`{(p.name or '').upper()}`", getattr(p, "help", "") or "") for p in arguments]
    rows += [(_names(p), getattr(p, "help", "") or "") for p in options]
    if rows:
        lines += ["", "| | |", "|---|---|", *(f"| {name} | {_cell(text)} |" for name, text in rows)]
    return "\n".join(lines)


def _names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return f"{names} (required)" if option.required else names


MARKERS: dict[str, Callable[[], str]] = {
    "<!-- operations -->": operations,
    "<!-- commands -->": commands,
}
