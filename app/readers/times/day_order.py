"""The order of day and month of a table, as its rows prove it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.readers.reading import Assumed
from app.readers.times.dates import Dates, Order
from app.readers.times.formats import TimeFormat


class DayOrder:
    """Reads 03/04/2026 in the order that a format states or the first rows prove."""

    def __init__(self, form: TimeFormat | None, assumed: Assumed) -> None:
        self.form = form
        self.order: Order | None = None if form is None else form.order
        self.example = ""
        self.has_both = False
        self.assumed = assumed

    def days(self, dates: Dates, texts: Sequence[Any]) -> NDArray[np.datetime64]:
        """Return the days; those whose order is not proven stay NaT.

        Raises:
            InvalidInput: a row contradicts the order of earlier rows.
        """
        if dates.serial.any():
            self.assumed.add("serial_dates", value=texts[int(np.argmax(dates.serial))])
        if not dates.open.any():
            return dates.day
        if self.form is not None:
            return dates.day if self.order is None else dates.ordered(self.order)
        if self.order is None:
            self.has_both = self.has_both or dates.has_both()
            self.order = None if self.has_both else dates.order()
            if self.order is None:
                return dates.day
            proof = (dates.first if self.order == "day_first" else dates.second) > 12
            self.example = str(texts[int(np.argmax(proof))])
            self.assumed.add(self.order, value=self.example)
        against = dates.against(self.order)
        if against.any():
            self._refuse(str(texts[int(np.argmax(against))]))
        return dates.ordered(self.order)

    def _refuse(self, value: str) -> None:
        value = shortened(value)
        raise InvalidInput(
            f"some dates have the day first and others the month ({shortened(self.example)}, {value}); "
            "write all dates one way, or send two files, each with its time_format",
            field="occurred_at",
            code="ambiguous_date",
            params={"values": [shortened(self.example), value]},
        )
