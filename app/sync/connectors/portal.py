"""HTTP client for portals: deadlines, size limits, retries with Retry-After, checked redirects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Any

import httpx
import orjson

from app.core.errors import InvalidInput, SourceFailed
from app.core.settings import Settings
from app.sync.connectors.address import checked_url
from app.sync.connectors.network import SourceTransport
from app.sync.connectors.visit import Broken, Visit

# Socrata answers 202 while it prepares the answer.
RETRIED_STATUS = frozenset({202, 408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
CONNECT_TIMEOUT_S = 10.0
MAX_REASON_CHARS = 200
MAX_REFUSAL_CHARS = 4_000


@dataclass(frozen=True)
class Downloaded:
    """A downloaded file, or none if `unchanged` or not `found`."""

    unchanged: bool = False
    found: bool = True
    etag: str | None = None
    last_modified: str | None = None
    sha256: str | None = None
    content_type: str | None = None


class PortalClient(Visit):
    """A client of one portal, for one run.

    Args:
        home: the source's address; `headers` (they hold the token) go to its host alone.
        alive: see `Visit`.
    """

    def __init__(
        self, settings: Settings, home: str, headers: Mapping[str, str], alive: Callable[[], None]
    ) -> None:
        super().__init__(settings, alive)
        self.origin = _origin(checked_url(home, allow_loopback=settings.sync_allow_loopback))
        self.headers = dict(headers)
        self._client = httpx.Client(
            transport=SourceTransport(settings),
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": "hotslot", "Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(settings.sync_request_timeout_s, connect=CONNECT_TIMEOUT_S),
        )

    def __enter__(self) -> PortalClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def json(
        self,
        url: str,
        params: Mapping[str, str],
        fault: Callable[[Any], Broken | None] = lambda _answer: None,
    ) -> Any:
        """Request JSON.

        Args:
            fault: finds a temporary error in an answer with status 200.

        Raises:
            SourceFailed: refused, or still failing after all retries.
        """

        def ask() -> Any:
            with self._opened(url, params, {}) as response:
                self._require_success(response)
                body = b"".join(self._chunks(response, self.settings.sync_max_page_bytes))
            try:
                answer = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise Broken(f"the answer is not JSON: {error}") from error
            broken = fault(answer)
            if broken is not None:
                raise broken
            return answer

        return self.tried(ask, httpx.TransportError)

    def download(
        self, url: str, file: IO[bytes], conditions: Mapping[str, str], max_bytes: int
    ) -> Downloaded:
        """Write a file unless it is unchanged (304) or missing (404).

        Raises:
            SourceFailed: refused, too large, or still failing after all retries.
        """

        def fetch() -> Downloaded:
            file.seek(0)
            file.truncate()
            digest = hashlib.sha256()
            with self._opened(url, {}, conditions) as response:
                if response.status_code == httpx.codes.NOT_MODIFIED:
                    return Downloaded(unchanged=True)
                if response.status_code == httpx.codes.NOT_FOUND:
                    return Downloaded(found=False)
                self._require_success(response)
                for chunk in self._chunks(response, max_bytes):
                    digest.update(chunk)
                    file.write(chunk)
            file.flush()
            file.seek(0)
            headers = response.headers
            return Downloaded(
                etag=headers.get("ETag"),
                last_modified=headers.get("Last-Modified"),
                sha256=digest.hexdigest(),
                content_type=headers.get("Content-Type", "").partition(";")[0].strip(),
            )

        return self.tried(fetch, httpx.TransportError)

    @contextmanager
    def _opened(
        self, url: str, params: Mapping[str, str], conditions: Mapping[str, str]
    ) -> Iterator[httpx.Response]:
        """Open a GET whose redirects lead only to allowed hosts; the token goes to its host alone."""
        loopback = self.settings.sync_allow_loopback
        target = checked_url(url, allow_loopback=loopback)
        target = target.copy_merge_params(dict(params)) if params else target
        for _ in range(MAX_REDIRECTS + 1):
            self.check()
            own = self.headers if _origin(target) == self.origin else {}
            with self._client.stream("GET", target, headers={**conditions, **own}) as response:
                if response.status_code not in REDIRECTS:
                    yield response
                    return
                target = self._redirected(target, response)
        raise SourceFailed("too many redirects")

    def _redirected(self, target: httpx.URL, response: httpx.Response) -> httpx.URL:
        try:
            return checked_url(
                str(target.join(response.headers.get("Location", ""))),
                allow_loopback=self.settings.sync_allow_loopback,
            )
        except (InvalidInput, httpx.InvalidURL) as error:
            raise SourceFailed(
                f"redirected to an address that is not allowed: {error}", code="redirect"
            ) from error

    def _require_success(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in RETRIED_STATUS:
            raise Broken(f"status {status}", retry_after_s(response.headers.get("Retry-After")))
        if status in (401, 403):
            raise SourceFailed(
                f"status {status}: refused, a valid token may be needed{_reason(response)}",
                code="token",
            )
        if status != httpx.codes.OK:
            raise SourceFailed(f"the portal answers with status {status}{_reason(response)}")

    def _chunks(self, response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
        total = 0
        for chunk in response.iter_bytes():
            total += len(chunk)
            if total > max_bytes:
                raise SourceFailed(f"the answer is over {max_bytes} bytes", code="too_large")
            self.check()
            yield chunk


def _reason(response: httpx.Response) -> str:
    """Return what a refusal says, such as an unknown column, on one line.

    Socrata's JSON holds a `message`, CKAN's and ArcGIS' an `error` that holds one.
    """
    text = ""
    for part in response.iter_text():
        text += part
        if len(text) >= MAX_REFUSAL_CHARS:
            break
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        text = error_text(value.get("error")) or str(value.get("message") or text)
    shown = "".join(c if c.isprintable() else " " for c in text[:MAX_REASON_CHARS]).strip()
    return f": {shown}" if shown else ""


def error_text(error: Any) -> str:
    """Return the text of an error object: message and details (ArcGIS), or faults by field (CKAN)."""
    if not isinstance(error, dict):
        return error if isinstance(error, str) else ""
    parts = [error.get("message"), *(error.get("details") or [])]
    if not any(parts):
        parts = [f"{name}: {value}" for name, value in error.items() if not name.startswith("__")]
    words = "; ".join(str(part) for part in parts if part) or str(error.get("__type", ""))
    return words[:MAX_REASON_CHARS]


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def retry_after_s(value: str | None) -> float | None:
    """Parse the seconds of a Retry-After header (a number or a date), or return None."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
