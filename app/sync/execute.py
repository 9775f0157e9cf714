"""Read a source page by page, each page's rows and its cursor in one transaction.

An interrupted run continues after its last page: nothing is lost, and rows that the portal sends twice
are recognised by id (or, without ids, by counting equal rows of a whole sweep).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import replace

import orjson
from sqlalchemy import Connection, Engine

from app.core.errors import HotslotError, SourceFailed, Unavailable
from app.core.messages import Message
from app.core.settings import Settings
from app.core.texts import shortened
from app.erasure.service import erase_within
from app.incidents.service import UploadSource, received
from app.incidents.summary import IngestSummary, StoreChoices
from app.regions.store import Region, get_region_by_key
from app.runs.store import Run, Superseded, finish_run, heartbeat
from app.runs.words import RUN_MESSAGES, RunProgress
from app.sync.connectors import drops
from app.sync.connectors.arcgis import arcgis_pages
from app.sync.connectors.archives import archive_pages
from app.sync.connectors.ckan import ckan_pages
from app.sync.connectors.files import file_pages
from app.sync.connectors.folder import folder_pages
from app.sync.connectors.pages import Connector, DropConnector, Page, joined
from app.sync.connectors.portal import PortalClient
from app.sync.connectors.sftp import sftp_pages
from app.sync.connectors.socrata import socrata_pages
from app.sync.connectors.visit import Visit
from app.sync.spec import SourceSpec
from app.sync.store import (
    Source,
    get_source_by_key,
    held_source,
    note_failure,
    note_success,
    save_page,
)

CONNECTORS: Mapping[str, Connector] = {
    "socrata": socrata_pages,
    "arcgis": arcgis_pages,
    "ckan": ckan_pages,
    "file": file_pages,
    "police-archive": archive_pages,
}
DROPS: Mapping[str, DropConnector] = {"folder": folder_pages, "sftp": sftp_pages}
PAGED = frozenset({"socrata", "arcgis", "ckan"})
TOKEN_HEADERS = {
    "socrata": ("X-App-Token", ""),
    "arcgis": ("X-Esri-Authorization", "Bearer "),
    "ckan": ("Authorization", ""),
    "file": ("Authorization", "Bearer "),
    "police-archive": ("Authorization", "Bearer "),
}
MAX_MESSAGE_CHARS = 300
MAX_STATE_BYTES = 16_000
MIN_ROWS_JUDGED = 20
_log = logging.getLogger("hotslot.sync")


def execute_sync(
    engine: Engine,
    settings: Settings,
    run: Run,
    progress: RunProgress,
    _cancelled: Callable[[], bool],
) -> None:
    """Work on a claimed run until it ends, and store the outcome with the source.

    Raises:
        SourceFailed: the portal refused or continued to fail; the pages read so far are stored.
        Conflict: another process reads this source.
        Superseded: this run was ended by others.
    """
    with engine.connect() as connection:
        source = get_source_by_key(connection, int(run.request["source_key"]))
        region = get_region_by_key(connection, source.region_key)
    with held_source(engine, source.key):
        try:
            _Sweep(engine, settings, run, region, source, progress).read()
        except (Superseded, Unavailable):
            raise
        except HotslotError as error:
            _log.warning("sync failed", extra={"source": source.name, "reason": error.message})
            with engine.begin() as connection:
                note_failure(connection, source, error.message[:MAX_MESSAGE_CHARS])
            raise


class _Sweep:
    """One run over a source."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        run: Run,
        region: Region,
        source: Source,
        progress: RunProgress,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.run = run
        self.region = region
        self.source = source
        self.progress = progress
        self.share, self.message = 0.0, RUN_MESSAGES.make("asking_portal")
        self.refused: Counter[str] = Counter()

    def read(self) -> None:
        """Store page after page, then end the run."""
        with closing(self._pages(self.source.spec)) as pages:
            for page in pages:
                self._store(page)
        with self.engine.begin() as connection:
            note_success(connection, self.source)
            finish_run(connection, "sync", self.run, "succeeded", *self._outcome())

    def _outcome(self) -> tuple[Message, str]:
        """Describe the outcome, with the reasons for rejected rows, and say it in detail."""
        if not self.refused:
            return self.message, self.message.message
        found = self.refused.most_common(5)
        reasons = ", ".join(f"{code} {n:,}" for code, n in found)
        said = RUN_MESSAGES.make("source_rows_rejected", reasons=dict(found))
        return said, f"{self.message.message}; rejected: {reasons}"

    def _pages(self, spec: SourceSpec) -> Generator[Page]:
        state = dict(self.source.state)
        if spec.kind in DROPS:
            yield from DROPS[spec.kind](Visit(self.settings, self._alive), spec, state)
            return
        headers = token_headers(self.settings, spec)
        with PortalClient(self.settings, spec.url, headers, self._alive) as portal:
            pages = CONNECTORS[spec.kind](portal, spec, state)
            yield from pages if spec.has_ids or spec.kind not in PAGED else joined(pages)

    def _alive(self) -> None:
        self.progress(self.share, self.message)

    def _store(self, page: Page) -> None:
        if page.body is None:
            with self.engine.begin() as connection:
                self._seal(connection, page, IngestSummary())
        else:
            try:
                self._store_rows(page, page.body)
            except HotslotError as error:
                if page.name:
                    error.message = f"{page.name}: {error.message}"
                raise
        self.share, self.message = page.share, page.message or self.message

    def _store_rows(self, page: Page, body: Iterable[bytes]) -> None:
        upload = UploadSource(
            page.content_type,
            page.content_encoding,
            name=f"sync:{self.source.name}",
            mapping=replace(page.mapping, feed=self.source.spec.feed),
            choices=StoreChoices(near_duplicates="replace", is_current=True),
        )
        read = received(
            self.engine,
            self.region.id,
            body,
            upload,
            settings=self.settings,
            progress=lambda _n_bytes: self._alive(),
        )
        with read as rows, self.engine.begin() as connection:
            summary = rows.store(connection)
            self._check_sense(summary)
            self._seal(connection, page, summary)
        self.refused.update(summary.rejected_by_code)

    def _check_sense(self, summary: IngestSummary) -> None:
        """Raise if all of a new source's first rows are rejected: its description must be wrong.

        Raises:
            SourceFailed: names the first error; nothing of the page is stored.
        """
        new = not self.source.state and not self.source.counts.get("accepted")
        if new and summary.received == summary.rejected >= MIN_ROWS_JUDGED:
            first = summary.errors[0]
            raise SourceFailed(
                f"all {summary.received:,} first rows are rejected: {first['field']}: "
                f"{first['message']} ({first['code']})",
                code="all_refused",
            )

    def _seal(self, connection: Connection, page: Page, summary: IngestSummary) -> None:
        """Store the cursor with its rows; raise if another process has taken over the run."""
        erased = [
            erase_within(
                connection,
                self.region.key,
                external_id,
                by="external_id",
                feed=self.source.spec.feed,
            )
            for external_id in page.deleted
        ]
        counts = {
            "pages": 1,
            "received": summary.received,
            "accepted": summary.accepted,
            "corrected": summary.corrected,
            "duplicates": summary.duplicates,
            "rejected": summary.rejected,
            "deleted": sum(result is not None for result in erased),
        }
        dropped = self.source.spec.kind in DROPS
        limit = drops.MAX_STATE_BYTES if dropped else MAX_STATE_BYTES
        if len(orjson.dumps(page.state)) > limit:
            raise SourceFailed("the portal's cursor is too long to store", code="too_large")
        save_page(connection, self.source, self.run, page.state, counts)
        heartbeat(connection, "sync", self.run, page.share, page.message or self.message)


def token_headers(settings: Settings, spec: SourceSpec) -> dict[str, str]:
    """Return the header that carries the source's token.

    Raises:
        SourceFailed: the setting `sync_tokens` has no token of that name.
    """
    if spec.token is None:
        return {}
    token = settings.sync_tokens.get(spec.token)
    if token is None:
        raise SourceFailed(
            f"the setting sync_tokens has no token {shortened(spec.token)}", code="token"
        )
    name, prefix = TOKEN_HEADERS[spec.kind]
    return {name: prefix + token.get_secret_value()}
