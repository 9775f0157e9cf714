"""One region's life at random: ingest, replay, train, promote, roll back, erase; what must stay true.

A hypothesis state machine on a real database. `make test` runs a few short lives, the drill many.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Engine, func, select

from app.core.db.tables import incidents
from app.core.errors import Conflict, InvalidInput, NotFound
from app.core.settings import Settings
from app.erasure.service import erase_incident
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.champions import get_champion, promote_by_hand, roll_back
from app.registry.erasure_marks import marked_versions
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

N_PLACES = 60
FAST_MODELS = ("uniform", "pooled-kde")
numbers = st.lists(st.integers(0, N_PLACES - 1), min_size=1, max_size=25, unique=True)


class RegionMachine(RuleBasedStateMachine):
    """Set `engine` and `settings` on a subclass; each life has a region of its own."""

    engine: Engine
    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        self.held: set[int] = set()
        self.sent: dict[str, tuple[list[int], dict[str, Any]]] = {}
        self.learnt: dict[str, set[int]] = {}
        self.stale: set[str] = set()
        self.line: list[str] = []
        self.vacant = False

    @initialize()
    def create(self) -> None:
        """A region of the synthetic city; the incidents that may ever come."""
        self.region = f"life-{uuid.uuid4().hex[:12]}"
        area = synthetic_city().area.to_geojson()
        made = add_region(
            self.engine, self.region, timezone=TIMEZONE, boundary=area, cell_size_m=1000.0
        )
        self.key = made.key
        self.places = synthetic_city().draw(30, 10, seed=5).head(N_PLACES)

    def _body(self, chosen: list[int]) -> bytes:
        lines = ["occurred_at,longitude,latitude,category,external_id"]
        for n in chosen:
            r = self.places.iloc[n]
            at = r["occurred_at"].strftime("%Y-%m-%dT%H:%M:%SZ")
            lines.append(f"{at},{r['longitude']:.6f},{r['latitude']:.6f},theft,n{n}")
        return "\n".join(lines).encode()

    def _send(self, chosen: list[int], key: str) -> dict[str, Any]:
        source = UploadSource("text/csv", idempotency_key=key)
        body = [self._body(chosen)]
        return ingest(self.engine, self.region, body, source, settings=self.settings).to_json()

    @rule(chosen=numbers)
    def upload(self, chosen: list[int]) -> None:
        """New rows are added, known ones are duplicates."""
        key = str(uuid.uuid4())
        told = self._send(chosen, key)
        new = set(chosen) - self.held
        _same((told["accepted"], told["duplicates"]), (len(new), len(chosen) - len(new)))
        self.held |= new
        self.sent[key] = (chosen, told)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """The same body under its key changes nothing and is told the same."""
        key = data.draw(st.sampled_from(sorted(self.sent)))
        chosen, told = self.sent[key]
        _same(self._send(chosen, key), told)

    @precondition(lambda self: self.sent)
    @rule(chosen=numbers, data=st.data())
    def reuse_key(self, chosen: list[int], data: st.DataObject) -> None:
        """Another body under a used key is refused."""
        key = data.draw(st.sampled_from(sorted(self.sent)))
        if chosen == self.sent[key][0]:
            return
        try:
            self._send(chosen, key)
        except InvalidInput as error:
            _same(error.code, "idempotency_key_reused")
        else:
            raise AssertionError("a reused key was taken")

    @rule(model=st.sampled_from(FAST_MODELS))
    def train(self, model: str) -> None:
        """Ends in a version, or says that there is nothing to learn from."""
        request = TrainingRequest(model=model, validate=False, seed=0)
        run = run_now(self.engine, self.settings, self.region, request, lambda _s, _m: None)
        if not self.held:
            _same(run.status, "failed")
        elif run.status == "succeeded":
            self.learnt.setdefault(str(run.model_version), set(self.held))
            self._note_champion()
        elif "too few" not in run.message:
            raise AssertionError(run.message)

    def _note_champion(self) -> None:
        with self.engine.connect() as connection:
            champion = get_champion(connection, self.key)
        if champion is not None and (self.vacant or self.line[-1:] != [champion.version]):
            self._extend_line(champion.version)

    def _extend_line(self, version: str) -> None:
        """A champion's earlier place in the line is given up for its new one."""
        self.line = [v for v in self.line if v != version] + [version]
        self.vacant = False

    @precondition(lambda self: self.learnt)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        """Any version may become champion, but none that an erasure has replaced."""
        version = data.draw(st.sampled_from(sorted(self.learnt)))
        self._promote(version)

    def _promote(self, version: str) -> None:
        refused = not self.vacant and version not in self._may_serve()
        try:
            with self.engine.begin() as connection:
                promote_by_hand(connection, self.key, version)
        except Conflict as refusal:
            _same((refusal.code, refused), ("learnt_from_erased", True))
            return
        _same(refused, False)
        self._extend_line(version)

    def _may_serve(self) -> set[str]:
        """Versions that had learnt nothing that is erased since; all, where the champion had."""
        with self.engine.connect() as connection:
            marked = set(marked_versions(connection, self.key))
        return set(self.learnt) - (set() if set(self.line[-1:]) & marked else marked)

    @precondition(lambda self: self.line and not self.vacant)
    @rule()
    def roll_back(self) -> None:
        """The champion before this one takes over again; where there is none, nothing changes."""
        may_serve = self._may_serve()
        earlier = [version for version in self.line[:-1] if version in may_serve]
        try:
            with self.engine.begin() as connection:
                found = roll_back(connection, self.key, "a life at random").version
        except Conflict as refusal:
            _same((refusal.code, earlier), ("no_earlier_champion", []))
            return
        _same([found], earlier[-1:])
        self.line = self.line[: self.line.index(found) + 1]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def erase_held(self, data: st.DataObject) -> None:
        """One that is there, and may have been learnt from."""
        self.erase(data.draw(st.sampled_from(sorted(self.held))))

    @rule(chosen=numbers, model=st.sampled_from(FAST_MODELS))
    def train_on_more(self, chosen: list[int], model: str) -> None:
        """A version of its own, and the champion."""
        self.upload(chosen)
        before = set(self.learnt)
        self.train(model)
        for version in sorted(set(self.learnt) - before):
            self._promote(version)

    @rule(n=st.integers(0, N_PLACES - 1))
    def erase(self, n: int) -> None:
        """An incident that is held goes, another is not found."""
        try:
            result = erase_incident(self.engine, self.region, f"n{n}")
        except NotFound:
            _same(n in self.held, False)
            return
        _same(n in self.held, True)
        self.held.discard(n)
        touched = {v for v, learnt in self.learnt.items() if n in learnt} - self.stale
        _same(touched - set(result.versions) - set(result.dropped), set())
        self._forget(set(result.dropped), result.serves)
        self.stale |= touched - set(result.dropped)

    def _forget(self, dropped: set[str], serves: str | None) -> None:
        """Versions of few incidents went with an erasure; the champion may have been one."""
        champion_went = bool(set(self.line[-1:]) & dropped)
        for version in dropped:
            self.learnt.pop(version, None)
        self.stale -= dropped
        self.line = [version for version in self.line if version not in dropped]
        if champion_went and serves is not None:
            self._extend_line(serves)
        self.vacant |= champion_went and serves is None

    @invariant()
    def counts_agree(self) -> None:
        """Neither lost nor doubled."""
        if not hasattr(self, "key"):
            return
        with self.engine.connect() as connection:
            held = connection.scalar(select(func.count()).where(incidents.c.region_key == self.key))
        _same(held, len(self.held))

    @invariant()
    def champion_is_sound(self) -> None:
        """The champion exists, is the one last promoted, and its mass is one."""
        if not self.line or self.vacant:
            return
        with self.engine.connect() as connection:
            _same(get_region(connection, self.region).key, self.key)
            version = registry.get_version(connection, self.key)
            table = registry.read_probabilities(
                connection, self.key, version.version, registry.ALL_CATEGORIES, [0, 100]
            )
            marked = marked_versions(connection, self.key)
        _same(version.version, self.line[-1])
        mass = table.astype(np.float64).sum(axis=1)
        _same(bool(np.all(np.isfinite(table)) and np.all(np.abs(mass - 1) <= 1e-6)), True)
        _same(self.stale - set(marked), set())


def _same(found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{found!r}, not {wanted!r}")
