"""Prometheus metrics of the API process and of the queue."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import Engine

from app.domain.errors import Unavailable
from app.storage.queue import queue_depth

REQUESTS = Counter("hotslot_requests_total", "Requests", ["method", "route", "status"])
SECONDS = Histogram(
    "hotslot_request_seconds",
    "Time to the reply's first byte",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("hotslot_requests_in_flight", "Requests being worked on")
SHED = Counter("hotslot_requests_shed_total", "Requests refused because of load")
QUEUE = Gauge("hotslot_queue_jobs", "Jobs by status", ["status"])


def refresh_queue_metrics(engine: Engine) -> None:
    """Read the queue's depth; a database that is away leaves the last values."""
    try:
        with engine.connect() as connection:
            depth = queue_depth(connection)
    except Unavailable:
        return
    for status in ("todo", "doing", "failed"):
        QUEUE.labels(status).set(depth.get(status, 0))
