"""Say on the command line how a file was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

REASONS = {
    "personal": "about persons",
    "end_time": "end of a time span",
    "other_time": "another time",
    "count": "number of incidents",
    "other_kind": "another kind",
    "other_place": "another place",
    "other_meaning": "not reported or discovered",
    "title": "above the header",
    "hidden": "hidden",
    "other_columns": "other columns",
    "no_incidents": "no table of incidents",
    "not_asked": "not asked for",
}
_FACTS = ("format", "file", "sheet", "layer", "encoding", "delimiter", "header_row", "preset",
          "time_format", "zone", "crs")  # fmt: skip
_SHOWN = 12


def reading_lines(read: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield lines on what was taken as what, what was left aside and what was assumed."""
    if read is None:
        return
    facts = ", ".join(
        f"{name} {_plain(read[name])}" for name in _FACTS if read.get(name) is not None
    )
    yield f"read as {facts}"
    yield f"  columns: {', '.join(f'{field} = {column}' for field, column in read['columns'].items())}"
    aside = [_named(part) for part in read["not_read"]]
    if aside:
        more = f", and {len(aside) - _SHOWN} more" if len(aside) > _SHOWN else ""
        yield f"  not read: {', '.join(aside[:_SHOWN])}{more}"
    for assumption in read["assumptions"]:
        yield f"  assumed: {assumption['message']}"
    further = read.get("further") or []
    if further:
        names = (one["file"] or one["sheet"] or one["layer"] or "" for one in further)
        yield f"  also read: {', '.join(names)}"


def _plain(value: Any) -> str:
    return {"\t": "tab"}.get(value, str(value))


def _named(part: Mapping[str, str]) -> str:
    kind = "" if part["kind"] == "column" else f"{part['kind']} "
    reason = REASONS.get(part["reason"], "")
    return f"{kind}{part['name']}" + (f" ({reason})" if reason else "")
