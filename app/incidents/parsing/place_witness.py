"""Weigh where a file's rows lie against the region's boundary and its time zone.

Rows and boundary that do not meet show only that one of them is wrong; the time zone says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Conflict, InvalidInput
from app.core.messages import Message, MessageTable
from app.geo.antimeridian import middle_longitude
from app.geo.zone_places import NEAR_KM, Place, place_of_zone, standing
from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.rules import ParsedBlock

MISPLACED = ("looks_swapped", "outside_study_area")
MOST = 0.5
WITNESS_WARNINGS = MessageTable(
    {
        "zone_far_from_incidents": "the incidents lie near {incidents}, {km:,.0f} km from {timezone} "
        "({zone}); correct the region's time zone or the coordinates if that is wrong",
    }
)


class PlaceWitness:
    """Judge the first rows of an upload.

    Args:
        region_id: named in advice.
        boundary: the middle of the boundary that a person gave; None without one.
        known: where the region's incidents lie so far, if it has some.
    """

    def __init__(
        self, region_id: str, timezone: str, boundary: Place | None, known: Place | None
    ) -> None:
        self.region_id = region_id
        self.timezone = timezone
        self.boundary = boundary
        self.known = known
        self.judged = False
        self.misplaced: Place | None = None
        self.far: Place | None = None

    def hear(self, parsed: ParsedBlock, errors: RowErrors) -> None:
        """Judge the first block with places.

        Raises:
            Conflict: the boundary is misplaced, not the rows (`boundary_misplaced`).
            InvalidInput: longitude and latitude of the rows are exchanged, by the time zone or by the
                incidents stored before (`looks_swapped`).
        """
        misplaced = [row for row, (_, why) in errors.reasons.items() if why.code in MISPLACED]
        if misplaced and self.misplaced is None:
            rows = np.array(misplaced)
            self.misplaced = _middle(errors.longitude[rows], errors.latitude[rows])
        n_rows = len(misplaced) + len(parsed.row)
        if self.judged or n_rows == 0:
            return
        self.judged = True
        if self.boundary is None:
            self._judge_rows(parsed)
        elif self.misplaced is not None and len(misplaced) > MOST * n_rows:
            self._judge_boundary(self.boundary, self.misplaced)

    def _judge_boundary(self, boundary: Place, rows: Place) -> None:
        if standing(boundary, self.timezone) == "near" or standing(rows, self.timezone) != "near":
            return
        zone = place_of_zone(self.timezone)
        raise Conflict(
            f"the boundary lies near {boundary}, the incidents near {rows}, which fits {self.timezone} "
            f"({zone}); nothing was stored: correct the boundary (PATCH /v1/regions/{self.region_id}, or "
            f"hotslot region edit {self.region_id} --boundary FILE) and send the file again",
            field="boundary",
            code="boundary_misplaced",
            params={"boundary": str(boundary), "incidents": str(rows), "timezone": self.timezone},
        )

    def _judge_rows(self, parsed: ParsedBlock) -> None:
        if len(parsed.row) == 0:
            return
        rows = _middle(parsed.longitude, parsed.latitude)
        found = standing(rows, self.timezone)
        if found == "near":
            return
        self.far = rows
        if self.known is not None and _agree(rows, self.known):
            return
        if found == "swapped":
            raise _swapped(
                rows,
                f"{self.timezone} lies near {place_of_zone(self.timezone)}",
                "correct the region's time zone or give it a boundary",
            )
        if self.known is not None and _agree(rows.swapped(), self.known):
            raise _swapped(
                rows, f"those stored lie near {self.known}", "erase the uploads whose are wrong"
            )

    def warnings(self) -> Iterator[Message]:
        """Yield a warning if the rows lie far from the time zone."""
        zone = place_of_zone(self.timezone)
        if self.far is not None and zone is not None:
            yield WITNESS_WARNINGS.make(
                "zone_far_from_incidents",
                incidents=str(self.far),
                km=round(self.far.km_to(zone)),
                timezone=self.timezone,
                zone=str(zone),
            )


def _swapped(rows: Place, witness: str, otherwise: str) -> InvalidInput:
    return InvalidInput(
        f"longitude and latitude look exchanged: the incidents lie near {rows}, but {witness}; nothing was "
        "stored: exchange the columns (columns longitude=..., latitude=...), or, if the places are right, "
        f"{otherwise}",
        field="latitude",
        code="looks_swapped",
        params={"incidents": str(rows), "swapped": str(rows.swapped())},
    )


def _agree(one: Place, other: Place) -> bool:
    """Return whether a place lies near another, and clearly nearer than its mirror image."""
    if not one.is_on_globe():
        return False
    mirrored = one.swapped()
    away = mirrored.km_to(other) if mirrored.is_on_globe() else math.inf
    return one.km_to(other) < NEAR_KM < away


def _middle(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> Place:
    return Place(middle_longitude(longitude), float(np.median(latitude)))
