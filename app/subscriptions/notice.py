"""What a delivery says: the zones of its hours as readers see them, as JSON, PDF, files or a letter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from app.core.errors import HotslotError, InvalidInput, NotFound, NotReady, Unavailable
from app.core.roles import seeing_unreleased
from app.core.zones import zone
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.zones.briefing import zones_pdf
from app.forecasts.zones.briefing_texts import Words
from app.forecasts.zones.documents import (
    each_zone,
    zones_csv,
    zones_geojson,
    zones_gpkg,
    zones_gpx,
)
from app.forecasts.zones.plan import ZonePlan, zone_plan
from app.forecasts.zones.selection import ZoneOptions
from app.regions.store import Region
from app.subscriptions.delivery_store import Delivery
from app.subscriptions.failures import FAILURES, PushFailed, reason_of
from app.subscriptions.occasions import selector_of
from app.subscriptions.spec import SubscriptionSpec
from app.subscriptions.store import Subscription

WRITERS: dict[str, Callable[[ZonePlan], bytes]] = {
    "pdf": zones_pdf,
    "geojson": zones_geojson,
    "csv": zones_csv,
    "gpx": zones_gpx,
    "gpkg": zones_gpkg,
}


@dataclass(frozen=True)
class Notice:
    """One delivery's content."""

    delivery: Delivery
    subscription: Subscription
    plan: ZonePlan

    @property
    def spec(self) -> SubscriptionSpec:
        """What is subscribed to."""
        return self.subscription.spec

    def pinned(self) -> dict[str, Any]:
        """Return version, state and hours, by which another attempt makes the same forecast."""
        labels = self.plan.forecast.labels()
        return {name: labels[name] for name in ("model_version", "state", "from", "to")}

    def envelope(self) -> dict[str, Any]:
        """Return what of when this is, from which model and state, with the warnings."""
        forecast = self.plan.forecast
        labels, head = forecast.labels(), forecast.heading()
        said = ("region", "from", "to", "utc_offset", "model", "model_version", "state")
        counts = ("expected_total", "expected_total_lo", "expected_total_hi")
        return {
            "id": str(self.delivery.id),
            "event": self.delivery.occasion.partition(":")[0],
            "occasion": self.delivery.occasion,
            "subscription": self.subscription.name,
            **{name: labels[name] for name in said},
            "shift": forecast.selector.shift,
            **{name: head[name] for name in ("trained_until", "data_until", "generated_at")},
            **{name: head[name] for name in counts},
            "warnings": head["warnings"],
        }

    def json(self) -> bytes:
        """Return the envelope with the zones: what `GET .../forecasts/zones` answers to readers."""
        with seeing_unreleased(False):
            zones = orjson.Fragment(zones_geojson(self.plan))
            return orjson.dumps({**self.envelope(), "zones": zones})

    def file(self, fmt: str) -> bytes:
        """Return the plan in a format of `FILE_FORMATS`."""
        if fmt == "json":
            return self.json()
        with seeing_unreleased(False):
            return WRITERS[fmt](self.plan)

    def title(self) -> str:
        """Return a line such as `Late shift, Monday 30 November 2026`."""
        forecast, words = self.plan.forecast, Words(self.spec.lang)
        begin = forecast.at.astimezone(zone(forecast.version.region.timezone))
        return f"{words(forecast.selector.shift or 'plan')}, {words.date(begin)}"

    def letter(self) -> str:
        """Return the plan as plain text, with the warnings."""
        forecast, words = self.plan.forecast, Words(self.spec.lang)
        region = forecast.version.region
        local = zone(region.timezone)
        begin, end = forecast.at.astimezone(local), forecast.until.astimezone(local)
        head = (
            f"{region.name}, {words.span(begin, end)} ({region.timezone}, {begin.isoformat()[-6:]})"
        )
        lines = [self.title(), head, ""]
        with seeing_unreleased(False):
            for _, one in each_zone(self.plan):
                place = one["place"] or f"{one['latitude']:.5f}, {one['longitude']:.5f}"
                lines.append(f"{one['rank']}. {place}: {words.count(one['expected_count'])}")
            warnings = [words.message(warning) for warning in forecast.warnings]
        if warnings:
            lines += ["", f"{words('warnings')}: {' '.join(warnings)}"]
        made = forecast.heading()["generated_at"][:16].replace("T", " ")
        source = words(
            "source",
            model=forecast.version.record.model,
            version=forecast.version.record.version,
            state=forecast.version.state_id,
            until=words.date(forecast.version.data_until.astimezone(local)),
            made=f"{made} UTC",
            region=region.name,
        )
        return "\n".join([*lines, "", words("note"), "", source, ""])


def notice_of(
    service: ForecastService, subscription: Subscription, delivery: Delivery, region: Region
) -> Notice:
    """Make the content of a delivery; a later attempt repeats the forecast of the first.

    Raises:
        PushFailed: there is no such forecast.
        Unavailable: the database is not available.
    """
    spec = subscription.spec
    options = ZoneOptions(spec.n, spec.max_km2, lang=spec.lang, paper=spec.paper)
    try:
        with seeing_unreleased(False):
            selector = selector_of(delivery.occasion, spec, region.timezone, delivery.created_at)
            forecast = _forecast_again(service, region.id, selector, delivery)
            plan = zone_plan(service, forecast, options)
    except Unavailable:
        raise
    except HotslotError as error:
        failure = FAILURES.make("push_no_forecast", reason=reason_of(error))
        raise PushFailed(failure, final=isinstance(error, InvalidInput)) from error
    return Notice(delivery, subscription, plan)


def _forecast_again(
    service: ForecastService, region_id: str, selector: Selector, delivery: Delivery
) -> Any:
    """Forecast from version and state of the first attempt, or from what serves now if they are gone."""
    pinned = delivery.forecast
    if pinned is not None:
        same = replace(selector, model=pinned["model_version"], state=pinned["state"])
        try:
            return service.forecast(region_id, same)
        except (NotFound, NotReady):  # erased, dropped or outdated meanwhile
            selector = replace(selector, model=None, state=None)
    return service.forecast(region_id, selector)
