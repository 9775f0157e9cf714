"""Clock changes in every zone, under several zones of the machine (T2), and places that are wrong (G1)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from app.geo.hour_of_week import windows_of
from app.geo.synthetic import synthetic_city
from app.incidents.parsing.row_errors import RowErrors
from app.incidents.parsing.rules import parse_block
from tests.resilience.drill import Drill

YEARS = 10
FIRST_YEAR = 2015
MACHINE_ZONES = ("UTC", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu")
CAUGHT_SHARE = 0.999
QUARTER_S = 900
NOW_S = 1_750_000_000
CITY_ZONES = ("America/Chicago", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")


def zone_mismatches(timezone: str, years: int = YEARS) -> int:
    """Disagreements with the standard library over some years of a zone, read naive and aware."""
    start = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(FIRST_YEAR + years, 1, 1, tzinfo=UTC).timestamp())
    zone = zoneinfo.ZoneInfo(timezone)
    hours = np.arange(start, end, 7 * 3600)
    changes = _changes(zone, start, end)
    near = np.concatenate([c + QUARTER_S * np.arange(-12, 13) for c in changes] or [hours[:1]])
    time_s = np.unique(np.concatenate([hours, near])).astype(np.int64)
    local = [datetime.fromtimestamp(int(t), zone) for t in time_s]
    expected = np.array([at.weekday() * 24 + at.hour for at in local])
    wrong = int((windows_of(time_s, timezone) != expected).sum())
    wrong += _naive_mismatches(timezone, zone, local)
    for change in changes[:6]:
        first, last = change - 86_400, change + 86_400
        instants = range(first, last, QUARTER_S)
        quarters = [datetime.fromtimestamp(t, zone) for t in instants]
        expected = np.array([q.weekday() * 24 + q.hour for q in quarters])
        wrong += int((windows_of(np.array(instants), timezone) != expected).sum())
    return wrong


def _changes(zone: zoneinfo.ZoneInfo, start: int, end: int) -> list[int]:
    """Instants at which the zone's offset changes, to a quarter of an hour."""

    def offset(t: int) -> timedelta | None:
        return datetime.fromtimestamp(t, zone).utcoffset()

    found = []
    for day in range(start, end, 86_400):
        low, high = day, day + 86_400
        if offset(low) == offset(high):
            continue
        while high - low > QUARTER_S:
            middle = (low + high) // 2 // QUARTER_S * QUARTER_S
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        found.append(high)
    return found


def _naive_mismatches(timezone: str, zone: zoneinfo.ZoneInfo, local: list[datetime]) -> int:
    """Local times without offset: the first pass of a doubled hour, a missing one moved past the gap."""
    texts = [at.replace(tzinfo=None).isoformat() for at in local]
    n = len(texts)
    errors = RowErrors(n)
    columns = {"occurred_at": texts, "longitude": ["1.0"] * n, "latitude": ["2.0"] * n}
    block = parse_block(columns, n, timezone=timezone, now_s=2**40, area=None, errors=errors)
    # What was read from a clock was shown by it, so no time is missing here.
    expected = [int(at.replace(fold=0).timestamp()) for at in local]
    return n - len(block.row) + int((block.time_s != np.array(expected)[block.row]).sum())


def all_zones() -> tuple[bool, str]:
    """T2: every zone, ten years, under several TZ; the child prints its count."""
    wrong = {}
    for machine in MACHINE_ZONES:
        child = subprocess.run(
            [sys.executable, "-m", "tests.resilience.times"],
            env={**os.environ, "TZ": machine},
            capture_output=True,
            text=True,
            check=True,
        )
        wrong[machine] = json.loads(child.stdout.splitlines()[-1])
    total = sum(n for counts in wrong.values() for n in counts.values())
    n_zones = len(next(iter(wrong.values())))
    bad = sorted({zone for counts in wrong.values() for zone, n in counts.items() if n})
    return total == 0, (
        f"{n_zones} zones x {YEARS} years under {len(MACHINE_ZONES)} machine zones: "
        f"{total} mismatches {bad[:8]}"
    )


def wrong_places() -> tuple[bool, str]:
    """G1: swapped, zero, metres and outside places that the study area can tell."""
    city, n = synthetic_city(), 50_000
    frame = city.draw(400, 1.1 * n / 400).head(n)
    x, y = frame["longitude"].to_numpy(), frame["latitude"].to_numpy()
    rng = np.random.default_rng(0)
    away = 0.2 + rng.random(n)
    cases = {
        "looks_swapped": (y, x),
        "zero": (0 * x, 0 * y),
        "not_degrees": (x * 1e5, y * 1e5),
        "outside_study_area": (x + away, y - away),
    }
    shares = {}
    area = city.area.grown(1_000.0)
    for code, (longitude, latitude) in cases.items():
        errors = RowErrors(n)
        columns = {
            "occurred_at": ["2019-01-01T00:00:00Z"] * n,
            "longitude": longitude.tolist(),
            "latitude": latitude.tolist(),
        }
        parse_block(columns, n, timezone="UTC", now_s=2**40, area=area, errors=errors)
        shares[code] = sum(found.code == code for _, found in errors.reasons.values()) / n
    worst = min(shares.values())
    told = ", ".join(f"{code} {100 * share:.2f} %" for code, share in shares.items())
    return worst >= CAUGHT_SHARE, told


def unclear_times() -> tuple[bool, str]:
    """T1: local times against the standard library; numbers, placeholders and halves are refused."""
    rng = np.random.default_rng(0)
    guessed = n = 0
    for timezone in CITY_ZONES:
        zone = zoneinfo.ZoneInfo(timezone)
        instants = rng.integers(946_684_800, NOW_S, 20_000)
        local = [datetime.fromtimestamp(int(t), zone) for t in instants]
        guessed += _naive_mismatches(timezone, zone, local)
        n += len(local)
        for code, texts in _refused_times(rng).items():
            errors = RowErrors(len(texts))
            columns = {
                "occurred_at": texts,
                "longitude": [1.0] * len(texts),
                "latitude": [2.0] * len(texts),
            }
            parse_block(
                columns, len(texts), timezone=timezone, now_s=NOW_S, area=None, errors=errors
            )
            named = sum(found.code == code for _, found in errors.reasons.values())
            guessed += len(texts) - named
            n += len(texts)
    return guessed == 0, f"{n:,} times in {len(CITY_ZONES)} zones: {guessed} guessed or misnamed"


def _refused_times(rng: np.random.Generator) -> dict[str, list[Any]]:
    """Times that nothing may be made of, under the code that must name them."""
    numbers = [int(10.0**power) for power in rng.uniform(0, 17, 500)]
    years = [int(year) for year in rng.integers(2100, 9999, 300)]
    return {
        "epoch_not_accepted": [
            *numbers,
            *(-number for number in numbers),
            *map(str, numbers),
            *(number + 0.5 for number in numbers[:100]),
            *(f" {number}.25 " for number in numbers[:100]),
        ],
        "in_the_future": [f"{year}-06-01T12:00:00{z}" for year in years for z in ("", "Z", "+05:30")],
        "too_old": [
            f"{year}-01-01T00:00:00{z}" for year in range(1800, 1969) for z in ("", "Z", "-03:30")
        ],
        "bad_time": [
            "2024-01-01", "2024-01-01T24:30:00", "2024-02-30T10:00:00", "2024-01-01T10:60:00", "noon",
            "1e9", "10:30", "2024-W05-1T10:00", "20240101T1000", "2024-01-01T10", "now",
        ],
        "ambiguous_date": ["03/04/2024 10:00", "3.4.2024 10:00", "03/04/24", "13/13/2024 10:00"],
    }  # fmt: skip


DRILLS = (
    Drill("T1", "unclear times", "0 guessed", unclear_times),
    Drill("T2", "clock changes of all zones", "0 mismatches over 10 years", all_zones),
    Drill("G1", "wrong places", ">= 99.9 % refused under their code", wrong_places),
)


if __name__ == "__main__":
    zones = sorted(z for z in zoneinfo.available_timezones() if z not in ("Factory", "localtime"))
    print(json.dumps({zone: zone_mismatches(zone) for zone in zones}))
