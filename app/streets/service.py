"""Streets of a region: storing a layer, and sharing a version's cells among its segments."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.bounds import limited
from app.core.db.locks import STREET_LOCK, transaction_lock
from app.core.errors import NotReady
from app.geo.grid import Grid
from app.incidents.release_cuts import reader_cut
from app.incidents.releases import advance
from app.readers.blocks import ReadOptions
from app.readers.isolated import damaged, isolated_items
from app.regions.learning_policy import LearningPolicy
from app.regions.store import OutlinedRegion, Region, get_region, outlined
from app.registry import store as registry
from app.registry.erasure_marks import erased_since
from app.registry.new_incidents import at_default_geocodes, columns_as_learnt
from app.registry.store import VersionRecord
from app.releases import store as releases
from app.streets import store
from app.streets.layer import UNNAMED, StreetLayer, layer_of
from app.streets.snapping import StreetGround
from app.streets.store import LayerFacts, StreetShares
from models.streets.shares import Snapped, choose_bandwidth, street_shares

MAX_LAYER_BYTES = 256 << 20
LEFT_OUT = ("not_lines", "not_streets", "outside")


def set_streets(
    engine: Engine, region_id: str, content: Iterable[bytes], options: ReadOptions
) -> LayerFacts:
    """Store a file of street lines as a region's layer, cut to the study area and split at junctions.

    Raises:
        NotFound: no such region.
        NotReady: the region has no study area yet.
        InvalidInput: the file is unreadable, or has no lines in the study area.
        LimitExceeded: too many bytes, lines, vertices or segments.
    """
    with engine.connect() as connection:
        region = outlined(connection, get_region(connection, region_id))
    if region.boundary is None or region.crs is None:
        raise NotReady(
            f"{region_id} has no boundary yet, to which streets are cut; give one, or train first",
            code="no_boundary",
        )
    asked = {"boundary": region.boundary, "crs": region.crs}
    said = f"streets may have at most {MAX_LAYER_BYTES} bytes; cut the file to the study area"
    items = isolated_items("streets", limited(content, MAX_LAYER_BYTES, said), options, asked)
    left_out: dict[str, int] = {}
    layer = layer_of(_blocks(items, left_out), region.crs)
    facts = {
        "n_segments": len(layer),
        "n_named": int((layer.name != UNNAMED).sum()),
        "length_km": round(float(layer.length_m.sum()) / 1_000, 3),
        "left_out": left_out,
    }
    with engine.begin() as connection:
        key = get_region(connection, region_id).key
        transaction_lock(connection, STREET_LOCK, key)
        stored = store.put_layer(connection, key, layer, area_digest(region), facts)
        audit.record(connection, "streets.changed", chain=region_id, sha256=stored.digest)
    return stored


def _blocks(items: Iterator[Any], left_out: dict[str, int]) -> Iterator[Any]:
    """Yield the reader's blocks of lines; note what it left out."""
    for item in items:
        if "places" in item:
            yield item
        elif set(item) == set(LEFT_OUT):
            left_out.update({name: int(item[name]) for name in LEFT_OUT})
        else:
            raise damaged()


def area_digest(region: OutlinedRegion) -> str:
    """Return a digest of a region's study area."""
    whole = json.dumps([region.boundary, region.crs], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def streets_of(engine: Engine, region_id: str) -> tuple[LayerFacts, bool]:
    """Return what is known of a region's layer, and whether the study area has changed since.

    Raises:
        NotFound: no such region, or it has no streets.
    """
    with engine.connect() as connection:
        region = outlined(connection, get_region(connection, region_id))
        facts = store.layer_facts(connection, region.key)
    if facts is None:
        raise store.no_streets(region_id)
    return facts, facts.area_digest != area_digest(region)


def remove_streets(engine: Engine, region_id: str) -> None:
    """Remove a region's layer.

    Raises:
        NotFound: no such region, or it has no streets.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        if not store.remove_layer(connection, region.key):
            raise store.no_streets(region_id)
        audit.record(connection, "streets.removed", chain=region.id)


def shares_of(engine: Engine, region: Region, version: VersionRecord) -> StreetShares:
    """Return the shares of a version on its region's streets; compute and store them if needed.

    Raises:
        NotFound: the region has no streets.
        ArtifactCorrupt: what is stored was changed.
    """
    with engine.begin() as connection:
        layer, digest = store.get_layer(connection, region)
        found = store.get_shares(connection, version, digest)
        if found is not None:
            return found
        transaction_lock(connection, STREET_LOCK, region.key)
        found = store.get_shares(connection, version, digest)
        if found is None:
            grid, _ = registry.grid_of(connection, version)
            found = _made(connection, region, version, grid, layer)
            store.put_shares(connection, version, digest, found)
        return found


def prepare_shares(engine: Engine, region_id: str) -> None:
    """Compute the shares of the version that serves, if its region has streets and lacks them.

    Raises:
        NotFound: no such region.
        NotReady: the region has no champion.
    """
    with engine.connect() as connection:
        region = get_region(connection, region_id)
        if store.layer_facts(connection, region.key) is None:
            return
        version = registry.get_version(connection, region.key)
    shares_of(engine, region, version)


def _made(
    connection: Connection, region: Region, version: VersionRecord, grid: Grid, layer: StreetLayer
) -> StreetShares:
    """Compute shares from the incidents that were released by the end of a version's data."""
    ground = StreetGround(layer.network(grid.crs), grid)
    past = _past(connection, region, version, ground)
    cutoff_s = version.cutoff.timestamp()
    bandwidth_m = choose_bandwidth(ground.ground, past, cutoff_s)
    matrix = street_shares(ground.ground, past, bandwidth_m, _minimum(region, version))
    return StreetShares(matrix, bandwidth_m if len(past) else None, len(past))


def _past(
    connection: Connection, region: Region, version: VersionRecord, ground: StreetGround
) -> Snapped:
    """Read whole blocks of released incidents, so that shares never differ by a few (see `app.releases`).

    After an erasure versions from before it share by length: compared with what they said before, shares
    made anew would reveal what was erased.
    """
    nothing = np.empty(0)
    advance(connection, region)
    release = releases.latest(connection, region.key, version.cutoff)
    if release is None or erased_since(connection, region.key, version.created_at):
        return ground.snapped(nothing, nothing, nothing.astype(np.int64))
    cut = reader_cut(connection, region, release)
    columns = columns_as_learnt(connection, region, version, cut=cut)
    held = ~at_default_geocodes(columns, version.report.get("data", {}))
    return ground.snapped(
        columns.x_m[held].astype(np.float64),
        columns.y_m[held].astype(np.float64),
        columns.time_s[held],
    )


def _minimum(region: Region, version: VersionRecord) -> int:
    """Return the smallest number of incidents that the region shows by place, now or at the training."""
    hidden = version.report.get("small_counts") or {}
    policy = LearningPolicy.of(region.settings).minimum_count
    return max(int(hidden.get("minimum_count", 0)), policy)
