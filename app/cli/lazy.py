"""Commands whose modules are imported when one is run, or asked for its own help, and not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class LazyCommand(TyperCommand):
    """The name and the one-line help of a command, in place of the command itself.

    Args:
        target: "module:function" of the command.
    """

    def __init__(self, name: str, target: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self.target = target

    def load(self) -> Any:
        """Import the command's module and return the command with its options."""
        module, function = self.target.split(":")
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(getattr(import_module(module), function))
        return get_command(alone)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the arguments by the command's options; what runs afterwards is the command."""
        return self.load().make_context(*args, **options)


def lazy_group(table: Mapping[str, tuple[str, str]], prefix: str = "") -> type[TyperGroup]:
    """Return a class for `typer.Typer(cls=...)`: a group with one level of a table's commands.

    Args:
        table: "module:function" and one-line help of each command, by its words.
        prefix: the words of the group itself, followed by a space; empty for the outermost.
    """
    lazy = {
        name.removeprefix(prefix): LazyCommand(name.removeprefix(prefix), *entry)
        for name, entry in table.items()
        if name.startswith(prefix) and " " not in name.removeprefix(prefix)
    }

    class LazyGroup(TyperGroup):
        def __init__(self, *, commands: Mapping[str, Any], **attributes: Any) -> None:
            super().__init__(commands={**lazy, **commands}, **attributes)

    return LazyGroup
