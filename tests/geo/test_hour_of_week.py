from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from app.geo.hour_of_week import exposure_hours, next_slot_of, slot_start, window_of, windows_of

ZONES = (
    "America/Toronto",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Europe/Madrid",
    "Asia/Kathmandu",
)


@pytest.mark.parametrize("timezone", ZONES)
def test_windows_follow_the_wall_clock_for_ten_years(timezone):
    start = int(datetime(2015, 1, 1, tzinfo=UTC).timestamp())
    time_s = start + np.arange(10 * 366 * 24 * 2, dtype=np.int64) * 1800
    zone = ZoneInfo(timezone)
    sample = np.linspace(0, len(time_s) - 1, 20_000).astype(int)
    expected = [
        (local := datetime.fromtimestamp(int(t), zone)).weekday() * 24 + local.hour
        for t in time_s[sample]
    ]
    assert windows_of(time_s[sample], timezone).tolist() == expected


def test_exposure_counts_missing_and_doubled_hours():
    week = [int(datetime(2024, 3, d, 5, tzinfo=UTC).timestamp()) for d in (4, 11)]
    hours = exposure_hours(week[0], week[1] - 3600, "America/Toronto")
    assert hours[6 * 24 + 2] == 0
    assert hours.sum() == 167
    autumn = [int(datetime(2024, 10, 28, 4, tzinfo=UTC).timestamp())]
    hours = exposure_hours(autumn[0], autumn[0] + 169 * 3600, "America/Toronto")
    assert hours[6 * 24 + 1] == 2


def test_next_slot_starts_its_window():
    after = datetime(2024, 3, 9, tzinfo=UTC)
    for window in range(168):
        slot = next_slot_of(window, after, "America/Toronto")
        assert slot >= after
        assert window_of(slot, "America/Toronto") == window
        assert slot_start(slot, "America/Toronto") == slot
