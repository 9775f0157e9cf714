"""Rows of a CSV upload."""

HEAD = "occurred_at,longitude,latitude,category,external_id\n"


def row(minute: int, category: str, external_id: str = "") -> str:
    """An incident of 5 January 2024."""
    return (
        f"2024-01-05T{minute // 60:02d}:{minute % 60:02d}:00Z,-74.06,4.65,{category},{external_id}"
    )
