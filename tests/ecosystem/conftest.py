"""The town with streets and neighbourhoods, served with keys behind nginx with TLS under a prefix."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.access.service import NewKey, create_key
from app.core.db.engine import open_engine
from app.geo.synthetic import synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from app.main import create_app
from app.regions.store import get_region, set_neighbourhoods
from app.worker.jobs import run_now
from tests.support.services.nginx import behind_nginx, nginx_path
from tests.support.services.serving import listening
from tests.support.services.site import TRAINED, Site
from tests.support.simulated.town import add_town, draw_town, halves, own_database
from tests.web.conftest import browser, chromium_address, chromium_path, open_seen

collect_ignore = ["qgis_script.py"]  # runs under the interpreter that has QGIS
__all__ = ["browser", "chromium_address", "chromium_path", "open_seen"]
PREFIX = "/city/hotslot"


@dataclass
class Proxied(Site):
    """The service as its clients reach it.

    Args:
        inner: its address without the proxy.
        keys: one for each role.
        certificate: of the proxy, which no authority has signed.
    """

    inner: str
    keys: dict[str, str]
    certificate: Path

    @property
    def trusted(self) -> ssl.SSLContext:
        """The certificate as clients take it."""
        return ssl.create_default_context(cafile=str(self.certificate))


@pytest.fixture(scope="session")
def proxied(server_url, tmp_path_factory) -> Iterator[Proxied]:
    nginx_path()
    folder = tmp_path_factory.mktemp("proxied")
    csv = draw_town(folder / "town.csv")
    with own_database(server_url, folder) as settings:
        changed = settings.model_copy(update={"root_path": PREFIX})
        engine = open_engine(changed)
        town = add_town(engine, changed, csv)
        with engine.begin() as connection:
            collection = {"type": "FeatureCollection", "features": halves()}
            set_neighbourhoods(connection, get_region(connection, town).key, collection)
        assert run_now(engine, changed, town, TRAINED, lambda *_: None).status == "succeeded"
        keys = {r: create_key(engine, NewKey(r, (r,))).text for r in ("reader", "analyst", "admin")}
        with (
            listening(create_app(changed, engine)) as inner,
            behind_nginx(inner, PREFIX, folder) as url,
        ):
            made = Proxied(
                url, town, csv, inner=inner, keys=keys, certificate=folder / "certificate.pem"
            )
            streets = httpx.put(
                f"{url}/v1/regions/{town}/streets",
                content=json.dumps(synthetic_streets(synthetic_city().area, 200.0)),
                headers={"Content-Type": "application/geo+json", "X-API-Key": keys["admin"]},
                verify=made.trusted,
                timeout=120,
            )
            assert streets.status_code == 200, streets.text
            yield made
        engine.dispose()
