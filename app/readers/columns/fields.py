"""The fields that a file's columns may be.

Besides the contract's (`occurred_at`, `longitude`, ...) these are the raw parts that some portals give
instead: a date beside a time or an hour (also of an interval's end), single numbers of year, month, day,
hour and minute, projected coordinates `x`, `y` (metres or feet of a CRS that must be named), one `location`
of both coordinates (WKT, GeoJSON or latitude and longitude; `lonlat`: longitude first), and the `count` of
incidents.
"""

from __future__ import annotations

TIMES = ("occurred_at", "occurred_from", "occurred_to")
FIELDS = (*TIMES, "longitude", "latitude", "category", "external_id", "source", "reference", "feed",
          "updated_at")  # fmt: skip
TIME_PARTS = ("date", "time", "year", "month", "day", "hour", "minute")
END_PARTS = ("end_date", "end_time", "end_hour")
JOINED = {**dict.fromkeys(TIMES[:2], ("date", "time")), "occurred_to": ("end_date", "end_time")}
"""{time: parts that `A+B` names for it}."""
PLACE_PARTS = ("x", "y")
TIME_WAYS = (("occurred_at",), ("occurred_from",), ("date", "time"), ("date", "hour"),
             ("year", "month", "day", "hour"))  # fmt: skip
DAY_WAYS = (("date",), ("year", "month", "day"))
"""Ways that are enough where a date alone is an interval."""
LOCATIONS = ("location", "lonlat")
COUNT = "count"
ALL_FIELDS = (*FIELDS, *TIME_PARTS, *END_PARTS, *PLACE_PARTS, *LOCATIONS, COUNT)
