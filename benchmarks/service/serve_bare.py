"""The other side of `serve`: a bare FastAPI route that returns the bytes of a file."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI, Response

app = FastAPI()
BODIES = {
    file.stem: file.read_bytes() for file in Path(os.environ["HOTSLOT_BENCH_BODIES"]).iterdir()
}


@app.get("/{name}")
async def body(name: str) -> Response:
    """One of the bodies, as it is."""
    return Response(BODIES[name], media_type="application/json")
