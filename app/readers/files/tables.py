"""Make blocks of one table: decide by its first block what its columns hold, and keep to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.errors import InvalidInput
from app.core.messages import Message
from app.core.texts import cut, shortened
from app.readers.blocks import Block, ReadOptions
from app.readers.columns.fields import LOCATIONS
from app.readers.columns.locations import latitude_first, place_of, split_places
from app.readers.columns.plan import ColumnPlan
from app.readers.reading import ASSUMPTIONS, LeftAside, Reading

SOURCES = ("reported", "discovered")
_SAMPLE_CHARS = 40
_LOOKED_AT = 100


@dataclass
class Table:
    """Makes the blocks of one table.

    Args:
        about: format, file, encoding, ... of the table, which its reading adds.
    """

    options: ReadOptions
    about: Mapping[str, Any] = field(default_factory=dict)
    not_read: tuple[LeftAside, ...] = ()
    assumptions: tuple[Message, ...] = ()
    _is_first: bool = True
    _pairs_begin_with_latitude: bool | None = None
    _takes_source: bool = True

    def assume(self, message: Message) -> None:
        """Add an assumption to the reading of this and all further blocks."""
        if message.code not in {one.code for one in self.assumptions}:
            self.assumptions = (*self.assumptions, message)

    def block(
        self,
        plan: ColumnPlan,
        columns: Mapping[str, Sequence[Any]],
        n_rows: int,
        broken: Mapping[int, str],
        no_place: Mapping[int, str] | None = None,
    ) -> Block:
        """Build a block: split locations, and leave aside a `source` that is none of ours.

        Raises:
            InvalidInput: the column of locations holds none.
        """
        held, without = dict(columns), dict(no_place or {})
        if self._is_first:
            self._decide(plan, held)
        self._is_first = False
        name = next((name for name in LOCATIONS if name in held), None)
        if name is not None:
            values = held.pop(name)
            lons, lats, missing = split_places(
                values,
                latitude_first=name == "location" and self._pairs_begin_with_latitude is not False,
            )
            held["longitude"], held["latitude"] = lons, lats
            without |= {row: why for row, why in missing.items() if row not in broken}
        for degrees in ("longitude", "latitude"):
            if degrees in held:
                held[degrees] = _with_points(held[degrees])
        reading = self._reading(plan)
        if not self._takes_source and "source" in held:
            del held["source"]
        return Block(held, n_rows, broken, replace(plan, reading=reading), without)

    def _decide(self, plan: ColumnPlan, held: Mapping[str, Sequence[Any]]) -> None:
        for name in LOCATIONS:
            if name in held:
                self._decide_location(name, plan.names[name], held[name])
        if "source" in held and "source" not in self.options.mapping.columns:
            said = [v for v in held["source"] if v not in (None, "")]
            self._takes_source = not said or any(str(v).strip() in SOURCES for v in said)
            if not self._takes_source:
                sample = cut(str(said[0]), _SAMPLE_CHARS)
                column = plan.names["source"]
                self.assume(ASSUMPTIONS.make("source_not_ours", column=column, sample=sample))

    def _decide_location(self, name: str, column: str, values: Sequence[Any]) -> None:
        texts = [value for value in values if isinstance(value, str) and value.strip()]
        if texts and not any(place_of(text) for text in texts):
            raise InvalidInput(
                f"column longitude is missing, and column {shortened(column, 40)} holds no coordinates "
                f"but {shortened(texts[0], 40)}; send longitude and latitude, or WKT such as "
                "POINT (-84.51 39.10)",
                field="longitude",
                code="missing_column",
                params={"column": cut(column, 60)},
            )
        first = latitude_first(texts)
        self._pairs_begin_with_latitude = first
        if first is None:
            return
        is_first = first and name == "location"
        order = "latitude, longitude" if is_first else "longitude, latitude"
        other = "lonlat" if is_first else "location"
        self.assume(ASSUMPTIONS.make("pair_order", column=column, order=order, other=other))

    def _reading(self, plan: ColumnPlan) -> Reading:
        found = plan.reading
        aside = found.not_read
        columns = found.columns
        if not self._takes_source and "source" in columns:
            aside = [*aside, LeftAside("column", columns["source"], "other_meaning")]
            columns = {name: column for name, column in columns.items() if name != "source"}
        return replace(
            found,
            **self.about,
            columns=columns,
            not_read=[*self.not_read, *aside],
            assumptions=(*self.assumptions, *found.assumptions),
        )


def _with_points(values: Sequence[Any]) -> Sequence[Any]:
    """Return degrees with decimal commas (`39,1`) written with points, if the first ones have them.

    A comma cannot separate thousands of degrees.
    """
    if not any(isinstance(v, str) and "," in v for v in values[:_LOOKED_AT]):
        return values
    return [v.replace(",", ".") if isinstance(v, str) and v.count(",") == 1 else v for v in values]
