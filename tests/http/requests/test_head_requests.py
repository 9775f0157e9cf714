"""HEAD of a forecast, and what an API process loads."""

import subprocess
import sys

import pytest

from app.http.middleware.head_requests import HeadRequests
from tests.support.services.asgi import answer, saying, scope_of

BASE = "/v1/regions/town"
AT = "at=2019-12-31T23:00"
VARYING = ("date", "x-request-id", "x-hotslot-generated-at")


def _headers(reply):
    return {k: v for k, v in reply.headers.items() if k not in VARYING}


@pytest.mark.parametrize(
    "path", [f"density?{AT}", f"density?{AT}&f=tif", f"hotspots?{AT}&f=csv", f"samples?{AT}&seed=1"]
)
def test_head_has_the_headers_of_get_and_no_body(served, path):
    got = served.client.get(f"{BASE}/forecasts/{path}")
    head = served.client.head(f"{BASE}/forecasts/{path}")
    assert head.status_code == 200
    assert head.content == b""
    assert _headers(head) == _headers(got)
    held = {"If-None-Match": head.headers["ETag"]}
    if "samples" in path or "density" in path:
        again = served.client.head(f"{BASE}/forecasts/{path}", headers=held)
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/v1/regions/town/forecasts/density", "GET"),
        ("/v1/regions/town/tiles/1/0/0.png", "GET"),
        ("/v1/regions/town", "HEAD"),
    ],
)
def test_only_forecasts_see_get_and_the_log_sees_what_was_sent(path, seen):
    methods = []

    async def app(scope, receive, send):
        methods.append(scope["method"])

        async def logging(message):
            await send(message)
            methods.append(scope["method"])

        await saying(b"body", content_length="4")(scope, receive, logging)

    scope = scope_of("HEAD", path)
    reply = answer(HeadRequests(app), scope)
    assert methods == [seen, "HEAD", "HEAD"]
    assert scope["method"] == "HEAD"
    assert reply.headers["content-length"] == "4"
    assert reply.body == (b"" if seen == "GET" else b"body")


def test_head_of_what_get_refuses_is_refused_alike(served):
    for path in ("forecasts/density?window=168", "forecasts/nothing", "tiles/1/9/9.png"):
        refused = served.client.head(f"{BASE}/{path}")
        assert refused.status_code == served.client.get(f"{BASE}/{path}").status_code
        assert refused.content == b""


@pytest.mark.slow
def test_an_api_process_loads_no_training_and_no_drawing():
    heavy = (
        "torch", "matplotlib", "rasterio", "pyogrio", "geopandas", "sklearn", "scipy.stats",
        "scipy.sparse.csgraph", "alembic", "httpx", "jwt",
    )  # fmt: skip
    code = f"import sys, app.main, app.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_an_api_process_collects_garbage_once_it_is_made():
    code = """
import gc
gc.disable()  # as app.server does until the application is made
from app.main import create_served_app
create_served_app()
print(gc.isenabled(), gc.get_freeze_count() > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_repeated_reply_has_each_header_once(served):
    url = f"{BASE}/forecasts/density?{AT}&model=flat"
    for reply in (served.client.get(url) for _ in range(3)):
        names = [name for name, _ in reply.headers.multi_items()]
        assert sorted(names) == sorted(set(names))
