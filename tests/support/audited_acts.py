"""Every act that leaves an entry in the audit log, as a walk through one region."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import shapely
from sqlalchemy import text

from app.access.service import NewKey, create_key, revoke_key, rotate_key
from app.core.errors import HotslotError
from app.erasure.service import erase_incident
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.service import request_backtest
from app.forecasts.service import ForecastService
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from app.incidents.kinds.tables import change_kinds
from app.incidents.mappings import remove_mapping, save_mapping
from app.incidents.population import remove_population, set_population
from app.incidents.service import UploadSource, ingest, ingest_file
from app.incidents.summary import StoreChoices
from app.monitoring.schedules.service import ScheduleRequest, remove_schedule, set_schedule
from app.readers.columns.mapping import ColumnMapping
from app.readers.isolated import reading_limits
from app.region_edits.removal import remove_region
from app.region_edits.service import RegionEdit, edit_region
from app.regions.layers import remove_layer, set_layer
from app.regions.learning_policy import LearningPolicy
from app.regions.service import add_region, cancel_run, set_policy
from app.regions.store import get_region
from app.register.scoring import score_due
from app.register.service import file_next
from app.registry.champions import promote, roll_back
from app.states.service import assimilate
from app.streets.service import remove_streets, set_streets
from app.sync.schedule import claim_here
from app.sync.service import add_source, remove_source
from app.sync.spec import SourceSpec
from app.training.service import TrainingRequest, request_training
from app.worker.jobs import run_claimed, run_now
from app.worker.maintenance import maintain
from tests.support.services.audited_pushing import REGION, ActsOfPresence, ActsOfPushing
from tests.support.services.portals import COLUMNS, SOCRATA_PATH

RUNS = {"training_runs", "sync_runs", "sync_sources"}
"""A refused run has failed, and says so."""
LEDGER = {"releases", "uploads"}
"""In which steps readers see incidents; no act of anybody."""
CASE = b"occurred_at,longitude,latitude,category,external_id\n2023-05-05T10:00:00Z,%f,%f,theft,case-1\n"


class Acts(ActsOfPresence, ActsOfPushing):
    """One region and all that can be done to it, in an order that makes sense."""

    def __init__(self, engine, settings, town_csv, client, portal_url):
        self.engine, self.settings, self.csv = engine, settings, town_csv
        self.spec = SourceSpec("socrata", portal_url + SOCRATA_PATH, columns=COLUMNS, page_rows=50)
        self.portal_url = portal_url
        self.made: dict[str, str] = {}
        self.client = client

    def region(self):
        boundary = json.loads(json.dumps(synthetic_city().area.to_geojson()))
        add_region(self.engine, REGION, timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)

    def upload(self):
        ingest_file(self.engine, REGION, self.csv, settings=self.settings)
        with self.engine.connect() as connection:
            at = connection.execute(text("SELECT longitude, latitude FROM incidents LIMIT 1")).one()
        body = CASE % (at.longitude, at.latitude)
        source = UploadSource("text/csv")
        ingest(self.engine, REGION, [body], source, settings=self.settings)

    def try_out(self):
        source = UploadSource("text/csv", choices=StoreChoices(dry_run=True))
        ingest(self.engine, REGION, [CASE % (0, 0)], source, settings=self.settings)

    def source(self):
        add_source(self.engine, self.settings, REGION, "portal", self.spec)

    def sync(self):
        run = run_claimed(
            self.engine, self.settings, "sync", claim_here(self.engine, REGION, "portal", full=True)
        )
        if run.status != "succeeded":
            raise HotslotError(run.message)

    def unsource(self):
        remove_source(self.engine, REGION, "portal")

    def policy(self):
        set_policy(self.engine, REGION, LearningPolicy(discovered_weight=0.25))

    def mapping(self):
        save_mapping(self.engine, REGION, "m", ColumnMapping(columns={"x": "X"}))

    def halves(self):
        """Return the city as two areas, a GeoJSON file."""
        west, south, east, north = shapely.from_geojson(
            json.dumps(synthetic_city().area.to_geojson())
        ).bounds
        middle = (west + east) / 2
        halves = {
            "a": shapely.box(west, south, middle, north),
            "b": shapely.box(middle, south, east, north),
        }
        members = [
            {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(half)),
                "properties": {"name": name, "population": 9},
            }
            for name, half in halves.items()
        ]
        layer = {"type": "FeatureCollection", "features": members}
        return [json.dumps(layer).encode()]

    def population(self):
        limits = reading_limits(self.settings)
        set_population(self.engine, REGION, self.halves(), "geojson", None, limits)

    def layer(self):
        set_layer(self.engine, REGION, "halves", self.halves(), reading_limits(self.settings))

    def unlayer(self):
        remove_layer(self.engine, REGION, "halves")

    def streets(self):
        lines = json.dumps(synthetic_streets(synthetic_city().area, 500.0)).encode()
        set_streets(self.engine, REGION, [lines], reading_limits(self.settings))

    def unstreet(self):
        remove_streets(self.engine, REGION)

    def file(self):
        file_next(ForecastService(self.engine, self.settings), REGION)

    def score(self):
        """Score what was filed, as if it had been of a day whose incidents are known."""
        with self.engine.begin() as connection:
            region = get_region(connection, REGION)
            span = (
                "starts_at = :start, ends_at = :start + interval '1 day', filed_at = '2023-01-01'"
            )
            values = {"start": datetime(2023, 5, 30, 5, tzinfo=UTC)}
            connection.execute(text(f"UPDATE register_entries SET {span}"), values)
        if not score_due(self.engine, region, datetime.now(UTC)):
            raise HotslotError("nothing was scored")

    def forget(self):
        remove_mapping(self.engine, REGION, "m")

    def unpeople(self):
        remove_population(self.engine, REGION)

    def schedule(self):
        request = ScheduleRequest("uniform", cron="0 * * * *")
        set_schedule(self.engine, REGION, request, datetime.now(UTC))

    def unschedule(self):
        remove_schedule(self.engine, REGION)

    def key(self):
        self.made["key"] = create_key(self.engine, NewKey("walked", ["reader"])).key.id

    def rotate(self):
        rotate_key(self.engine, self.made["key"])

    def revoke(self):
        revoke_key(self.engine, self.made["key"])

    def queue(self):
        self.made["run"] = request_training(
            self.engine, self.settings, REGION, TrainingRequest("uniform")
        ).id

    def cancel(self):
        cancel_run(self.engine, "train", REGION, self.made["run"])

    def backtest(self):
        self.made["backtest"] = request_backtest(
            self.engine, self.settings, REGION, BacktestRequest(models=("uniform", "pooled-kde"))
        ).id

    def unbacktest(self):
        cancel_run(self.engine, "backtest", REGION, self.made["backtest"])

    def train(self):
        for model in ("uniform", "gmm", "pooled-kde"):
            request = TrainingRequest(model, validate=False)
            run = run_now(self.engine, self.settings, REGION, request, lambda _s, _m: None)
            if run.status != "succeeded":
                raise HotslotError(run.message)
            self.made[model] = run.model_version

    def later(self):
        rows = [f"2023-06-01T{10 + k // 6}:{k % 6}0:00Z,-74.07,4.65,theft" for k in range(40)]
        body = "\n".join(["occurred_at,longitude,latitude,category", *rows]).encode()
        ingest(self.engine, REGION, [body], UploadSource("text/csv"), settings=self.settings)

    def assimilate(self):
        assimilate(self.engine, REGION)

    def promote(self):
        with self.engine.begin() as connection:
            key = get_region(connection, REGION).key
            promote(connection, key, self.made["pooled-kde"], "by hand")

    def roll_back(self):
        with self.engine.begin() as connection:
            roll_back(connection, get_region(connection, REGION).key, "by hand")

    def upkeep(self):
        """Drops what is neither champion nor newest, then what only that named."""
        kept = {"retention_versions": 1, "retention_champion_days": 0, "auto_rollback": False}
        settings = self.settings.model_copy(update=kept)
        later = datetime.now(UTC) + timedelta(days=1)
        if maintain(self.engine, settings, later).failed:
            raise HotslotError("the region was not looked after")

    def export(self):
        reply = self.client.get(f"/v1/regions/{REGION}/incidents?limit=5")
        if reply.status_code >= 500:
            raise HotslotError(reply.text)

    def report(self):
        reply = self.client.get(f"/v1/regions/{REGION}/data-report")
        if reply.status_code >= 500:
            raise HotslotError(reply.text)

    def week(self):
        reply = self.client.get(f"/v1/regions/{REGION}/hour-of-week?category=theft")
        if reply.status_code >= 500:
            raise HotslotError(reply.text)

    def explain(self):
        place = f"/v1/regions/{REGION}/forecasts"
        cell = self.client.get(f"{place}/density?window=7").json()["cells"]["id"][0]
        reply = self.client.get(f"{place}/explain?window=7&cell={cell}")
        if reply.status_code >= 500:
            raise HotslotError(reply.text)

    def evaluate(self):
        place = f"/v1/regions/{REGION}"
        cells = self.client.get(f"{place}/forecasts/density?window=7").json()["cells"]["id"][:3]
        asked = {"cells": cells, "from": "2023-05-01", "to": "2023-05-08"}
        reply = self.client.post(f"{place}/evaluations", json=asked)
        if reply.status_code != 200:
            raise HotslotError(reply.text)

    def erase(self):
        erase_incident(self.engine, REGION, "case-1")

    def weigh(self):
        change_kinds(self.engine, REGION, "weights", lambda names: {**names, "theft": 2.0})

    def rename(self):
        edit_region(self.engine, REGION, RegionEdit(name="walked twice"))

    def remove(self):
        remove_region(self.engine, REGION, REGION)


WALK = (
    ("region", ["region.created"], set()),
    ("upload", ["ingest"], set()),
    ("try_out", ["ingest.tried"], set()),
    ("source", ["source.added"], set()),
    ("sync", ["sync.started", "ingest"], RUNS),
    ("unsource", ["source.removed"], set()),
    ("policy", ["setting.changed", "learning_policy.changed"], set()),
    ("mapping", ["setting.changed"], set()),
    ("forget", ["setting.removed"], set()),
    ("population", ["population.changed"], set()),
    ("unpeople", ["population.removed"], set()),
    ("layer", ["layer.changed"], set()),
    ("unlayer", ["layer.removed"], set()),
    ("streets", ["streets.changed"], set()),
    ("unstreet", ["streets.removed"], set()),
    ("schedule", ["schedule.set"], set()),
    ("unschedule", ["schedule.removed"], set()),
    ("queue", ["training.requested"], set()),
    ("cancel", ["training.cancelled"], set()),
    ("backtest", ["backtest.requested"], set()),
    ("unbacktest", ["backtest.cancelled"], set()),
    ("train", ["training.requested", "promotion", "training.finished"], RUNS | LEDGER),
    ("promote", ["promotion"], set()),
    ("roll_back", ["rollback"], set()),
    ("promote", ["promotion"], set()),
    ("upkeep", ["versions.dropped", "unnamed.collected"], {"model_versions", "forecast_grids"}),
    ("export", ["export"], set()),
    ("report", ["data_report.read"], set()),
    ("week", ["hour_of_week.read"], set()),
    ("explain", ["place.counted"], set()),
    ("evaluate", ["evaluate"], set()),
    ("stay", ["presence.stored"], set()),
    ("stays", ["presence.read"], set()),
    ("exposure", ["presence.read"], set()),
    ("forget_stays", ["presence.dropped"], set()),
    ("stay", ["presence.stored"], set()),
    ("erase_stays", ["presence.erased"], set()),
    ("subscribe", ["subscription.added"], set()),
    ("test", ["subscription.tested"], set()),
    ("push", ["delivery.dead"], {"deliveries"}),
    ("retry", ["delivery.retried"], set()),
    ("new_secret", ["subscription.rotated"], set()),
    ("take", ["forecast.pushed"], {"deliveries", "subscriptions"}),
    ("forget_deliveries", ["deliveries.dropped"], set()),
    ("unsubscribe", ["subscription.removed"], set()),
    ("file", ["register.filed"], set()),
    ("later", ["ingest"], set()),
    ("score", ["register.scored"], {"register_entries"}),
    ("assimilate", ["state.made"], LEDGER),
    ("erase", ["training.requested", "erase"], set()),
    ("key", ["key.created"], set()),
    ("rotate", ["key.rotated"], set()),
    ("revoke", ["key.revoked"], set()),
    ("weigh", ["categories.changed"], set()),
    ("rename", ["region.changed"], set()),
    ("remove", ["region.removed"], set()),
)
"""What is done, its entries, and the tables that may change though the log refuses one of them."""
