"""The command line `hotslot`; invalid input gives one line on standard error and a non-zero status."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from app import __version__
from app.cli.commands import COMMANDS, GROUPS
from app.core.private_files import write_privately
from app.core.roles import sees_unreleased


class LazyCommand(TyperCommand):
    """Name and one-line help of a command whose module is imported on demand.

    Args:
        name: name of the command.
        target: "module:function" of the command.
        summary: one-line help.
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
        """Parse the arguments with the options of the loaded command."""
        return self.load().make_context(*args, **options)


def lazy_group(table: Mapping[str, tuple[str, str]], prefix: str = "") -> type[TyperGroup]:
    """Return a class for `typer.Typer(cls=...)` with one level of a table's commands.

    Args:
        table: "module:function" and one-line help of each command, by its full name.
        prefix: name of the group, followed by a space; empty for the top level.
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


app = typer.Typer(
    name="hotslot",
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _name, _help in GROUPS.items():
    _group = typer.Typer(cls=lazy_group(COMMANDS, f"{_name} "), help=_help, no_args_is_help=True)
    app.add_typer(_group, name=_name)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        # Eager, so that it does not require a command.
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Forecasts where crime concentrates in which hour of the week."""


def main() -> None:
    """Entry point of the `hotslot` command."""
    write_privately()
    sees_unreleased.set(True)
    try:
        app()
    except Exception as error:
        # Imported here because help and version do not need its libraries.
        from app.cli.console import exit_status

        status = exit_status(error)
        if status is None:
            raise
        sys.exit(status)


if __name__ == "__main__":
    main()
