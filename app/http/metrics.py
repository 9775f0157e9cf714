"""Define Prometheus metrics of HTTP requests."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("hotslot_requests_total", "Requests", ["method", "route", "status"])
SECONDS = Histogram(
    "hotslot_request_seconds",
    "Time to the reply's first byte",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("hotslot_requests_in_flight", "Requests being worked on")
SHED = Counter("hotslot_requests_shed_total", "Requests refused because of load")
REPLIES = Counter(
    "hotslot_forecast_replies_total",
    "Replies with forecasts: from this process's memory, from files that processes share, or made",
    ["origin"],
)
