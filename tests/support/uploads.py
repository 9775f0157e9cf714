"""Uploads of distinct incidents to the region `drill` of a running service."""

from __future__ import annotations

import time

import httpx

from tests.support.services.service import Service

ROWS = 2_000
RETRY_FOR_S = 60.0


def batch(place: int, rows: int = ROWS) -> bytes:
    """A CSV of distinct incidents; two batches share none."""
    lines = ["occurred_at,longitude,latitude,category,external_id"]
    for row in range(rows):
        n = place * rows + row
        lines.append(
            f"2024-01-{1 + n % 28:02d}T{n % 24:02d}:{n % 60:02d}:00Z,"
            f"{-74.1 + (n * 7919 % 10_000) / 100_000:.5f},"
            f"{4.6 + (n * 104_729 % 10_000) / 100_000:.5f},theft,b{place}-{row}"
        )
    return "\n".join(lines).encode()


def upload(target: Service, place: int, key: str) -> dict[str, int] | None:
    """Post one batch under an idempotency key; None when no success was told."""
    try:
        reply = target.call(
            "POST",
            "/v1/regions/drill/incidents",
            content=batch(place),
            headers={"Content-Type": "text/csv", "Idempotency-Key": key},
        )
    except httpx.TransportError:
        return None
    return dict(reply.json()) if reply.status_code in (200, 201) else None


def stored(target: Service) -> int:
    """Incidents that the region holds, asked again while the answer is that the database is away."""
    until = time.perf_counter() + RETRY_FOR_S
    while True:
        reply = target.call("GET", "/v1/regions/drill")
        if reply.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.perf_counter() > until:
            return int(reply.raise_for_status().json()["incidents"])
        time.sleep(0.2)
