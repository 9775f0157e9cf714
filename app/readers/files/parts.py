"""Choose the tables of a file that has several: sheets of a workbook, layers of a GeoPackage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.core.errors import InvalidInput
from app.core.messages import Message
from app.core.texts import cut, shortened
from app.readers.columns.plan import ColumnPlan
from app.readers.columns.portals import normalised_name
from app.readers.reading import ASSUMPTIONS, LeftAside

Header = tuple[int, list[str], ColumnPlan]
"""Position of the header from 1, its names, and their plan."""
Held = TypeVar("Held")


@dataclass(frozen=True)
class Part(Generic[Held]):
    """One table of a file.

    Args:
        header: returns its header, or raises `InvalidInput` if it is no table of incidents.
        held: what the reader needs to read it.
    """

    name: str
    header: Callable[[], Header]
    held: Held
    is_hidden: bool = False


@dataclass(frozen=True)
class Chosen(Generic[Held]):
    """The tables to read, those left aside, and what was assumed."""

    parts: Sequence[tuple[Part[Held], Header]]
    not_read: tuple[LeftAside, ...]
    assumptions: tuple[Message, ...]


def chosen_parts(kind: str, parts: Sequence[Part[Held]], asked: str | None) -> Chosen[Held]:
    """Return the part that the caller names, or the first table of incidents and all with its columns.

    Args:
        kind: `sheet` or `layer`.

    Raises:
        InvalidInput: there is no such part, or none is a table of incidents.
    """
    if asked is not None:
        return _named(kind, parts, asked)
    aside: list[LeftAside] = []
    found: list[tuple[Part[Held], Header]] = []
    first_error: InvalidInput | None = None
    for part in parts:
        if part.is_hidden:
            aside.append(LeftAside(kind, part.name, "hidden"))
            continue
        try:
            header = part.header()
        except InvalidInput as error:
            first_error = first_error or error
            aside.append(LeftAside(kind, part.name, "no_incidents"))
            continue
        if found and _columns(header) != _columns(found[0][1]):
            aside.append(LeftAside(kind, part.name, "other_columns"))
        else:
            found.append((part, header))
    if not found:
        raise _no_table(kind, parts, first_error)
    names = [part.name for part, _ in found]
    code = f"{kind}s_joined"
    joined = (ASSUMPTIONS.make(code, n=len(names), names=_shown(names)),) if len(names) > 1 else ()
    return Chosen(found, tuple(aside), joined)


def _named(kind: str, parts: Sequence[Part[Held]], asked: str) -> Chosen[Held]:
    chosen = next((part for part in parts if part.name == asked), None) or next(
        (part for part in parts if part.name.strip().lower() == asked.strip().lower()), None
    )
    if chosen is None:
        raise InvalidInput(
            f"the file has no {kind} {shortened(asked)}; it has "
            f"{', '.join(_shown([part.name for part in parts]))}",
            field="part",
            code="unknown_part",
        )
    aside = tuple(LeftAside(kind, p.name, "not_asked") for p in parts if p is not chosen)
    return Chosen([(chosen, chosen.header())], aside, ())


def _columns(header: Header) -> list[str]:
    return [normalised_name(name) for name in header[1]]


def _shown(names: Sequence[str]) -> list[str]:
    return [cut(name, 40) for name in names[:20]]


def _no_table(kind: str, parts: Sequence[Part[Held]], error: InvalidInput | None) -> InvalidInput:
    """Return the error of the first part that was tried, with the names of all."""
    hidden = [part.name for part in parts if part.is_hidden]
    if error is None:
        return InvalidInput(
            f"every {kind} is hidden ({', '.join(_shown(hidden))}); name one by part=",
            field="part",
            code="unknown_part",
        )
    if len(parts) > 1:
        names = ", ".join(_shown([part.name for part in parts]))
        error.message += f"; no visible {kind} of {names} has time and place; name another by part="
        error.args = (error.message,)
    return error
