"""The recipes for R through nginx with TLS: sf by Basic authentication, httr2 by a header."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.ecosystem.pictures import keep_file

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).resolve().parents[2] / "docs/examples"
HERE = {
    '"toronto"': '"town"',
    "2022-01-07T23:00": "2019-12-28T23:00",
    "2022-01-07": "2019-12-28",
    "2022-01-14": "2020-01-04",
    "32617": "32618",
    "-79.38": "-74.06",
    "43.656": "4.66",
    "req_retry(max_tries = 4)": "req_retry(max_tries = 4) |> req_options(cainfo = authority)",
    "library(httr2)": 'library(httr2); authority <- Sys.getenv("CURL_CA_BUNDLE")',
}
"""What the test has in place of the page's region, times, places and public certificate."""
ALSO = """
stopifnot(nrow(zones) > 0, all(c("rank", "from", "to", "model_version") %in% names(zones)))
stopifnot(nrow(series$slots) == 168, series$slots$expected_total > 0)
stopifnot(scores$scores$inside_study_area)
stopifnot(abs(sum(density$probability) - 1) < 1e-6)
stopifnot(format(hotspots$from[1], "%H:%M") == "23:00", hotspots$utc_offset[1] == "-05:00")
cat("n_hotspots", nrow(hotspots), "\\n")
cat("first", hotspots$id[1], "\\n")
refused <- service |> req_url_path_append("forecasts", "samples") |> req_url_query(at = at, n = 20000)
cat(tryCatch(req_perform(refused), error = conditionMessage), "\\n")
"""


@pytest.fixture(scope="module")
def rscript():
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("there is no R")
    asked = [program, "-e", "library(sf); library(httr2); library(jsonlite)"]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("there is no R with sf, httr2 and jsonlite")
    return program


def test_the_recipes(rscript, proxied, tmp_path):
    page = (EXAMPLES / "r.md").read_text()
    script = "\n".join(re.findall(r"^```r\n(.*?)^```", page, re.DOTALL | re.MULTILINE)) + ALSO
    for there, here in HERE.items():
        assert there in script
        script = script.replace(there, here)
    (tmp_path / "recipes.R").write_text(script)
    done = subprocess.run(
        [rscript, "recipes.R"],
        cwd=tmp_path,
        env={
            **os.environ,
            "HOTSLOT_URL": proxied.url,
            "HOTSLOT_KEY": proxied.keys["reader"],
            "CURL_CA_BUNDLE": str(proxied.certificate),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reply = httpx.get(
        f"{proxied.url}/v1/regions/town/forecasts/hotspots",
        params={"at": "2019-12-28T23:00", "top": 2},
        headers={"X-API-Key": proxied.keys["reader"]},
        verify=proxied.trusted,
    ).json()
    assert f"n_hotspots {reply['n_cells']} \n" in done.stdout
    assert f"first {reply['features'][0]['properties']['id']} \n" in done.stdout
    assert "n is 20000, the limit is 10000" in done.stdout
    with Image.open(tmp_path / "hotspots.png") as picture:
        assert picture.size == (480, 440)
    keep_file(tmp_path / "hotspots.png", "r.png")
