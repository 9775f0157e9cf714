"""`/basemap`: ranges of one file for whoever holds a key, and nothing else."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from app.access.service import NewKey, create_key
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.http.basemap import check_basemap
from app.main import create_app
from app.regions.service import add_region
from tests.support.simulated.small_basemap import write_basemap


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_basemap(tmp_path_factory.mktemp("base") / "town.pmtiles", -74.0, 4.6)


def test_ranges_are_what_the_file_holds_there(engine, settings, archive):
    add_region(engine, "here", timezone="America/Bogota")
    key = create_key(engine, NewKey("wall", ("reader",), ("here",))).text
    app = create_app(settings.model_copy(update={"basemap": archive}), engine)
    content = archive.read_bytes()
    with TestClient(app, base_url="http://testserver", headers={"X-API-Key": key}) as client:

        def ask(**headers):
            return client.get("/basemap", headers=headers)

        last = len(content) - 1
        for first, end in ((0, 16383), (5, 5), (100, last), (last, last + 9)):
            reply = ask(Range=f"bytes={first}-{end}")
            assert reply.status_code == 206
            assert reply.content == content[first : end + 1]
            upto = min(end, last)
            assert reply.headers["content-range"] == f"bytes {first}-{upto}/{len(content)}"
            assert "content-encoding" not in reply.headers
        etag = reply.headers["etag"]
        assert ask(Range="bytes=0-9", **{"If-None-Match": etag}).status_code == 304
        for wrong in ({}, {"Range": "bytes=9-3"}, {"Range": f"bytes={last + 1}-{last + 2}"}):
            refused = ask(**wrong)
            assert (refused.status_code, refused.json()["code"]) == (416, "bad_range")
            assert refused.headers["content-range"] == f"bytes */{len(content)}"
        assert client.get("/basemap", headers={"X-API-Key": "no"}).status_code == 401
        moved = archive.rename(archive.with_suffix(".away"))
        assert ask(Range="bytes=0-9").status_code == 404
        moved.rename(archive)


def test_a_file_that_is_no_archive_is_refused_at_the_start(tmp_path):
    check_basemap(None)
    with pytest.raises(InvalidInput, match=r"none\.pmtiles cannot be read: No such file"):
        check_basemap(tmp_path / "none.pmtiles")
    (tmp_path / "text.pmtiles").write_text("PMTiles, but not really")
    with pytest.raises(InvalidInput, match="is not a PMTiles archive of version 3"):
        check_basemap(tmp_path / "text.pmtiles")
    with pytest.raises(ValueError, match="not both"):
        Settings(basemap=tmp_path / "a", page_tiles_url="https://tiles.example/{z}/{x}/{y}.png")
