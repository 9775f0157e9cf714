"""`hotslot-client` as a wheel, used where nothing of hotslot is installed."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from packaging.requirements import Requirement

CLIENT = Path(__file__).resolve().parents[2] / "client"
ALONE = """
import sys
import httpx
import hotslot_client

def reply(request):
    return httpx.Response(200, content=open(sys.argv[1], "rb").read())

with hotslot_client.Client(transport=httpx.MockTransport(reply)) as client:
    frame = client.density("town", at="2026-01-01T00:00")
assert list(frame["probability"]) == [1.0], frame
assert frame.crs == "EPSG:4326"
for name in ("app", "models", "torch", "fastapi", "sqlalchemy", "pytest", "matplotlib"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{name} is here: the environment is not isolated")
print(hotslot_client.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built offline, by the build backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=CLIENT, check=True, capture_output=True)
    (found,) = folder.glob("hotslot_client-*.whl")
    return found


def requirements(name):
    """What a distribution needs without extras, by name, from package to package."""
    todo, found = [name], set()
    while todo:
        for line in distribution(todo.pop()).requires or []:
            wanted = Requirement(line)
            if wanted.name not in found and (
                not wanted.marker or wanted.marker.evaluate({"extra": ""})
            ):
                found.add(wanted.name)
                todo.append(wanted.name)
    return found


def link(name, folder):
    """Show the top-level files of an installed distribution in another folder."""
    package = distribution(name)
    for top in {file.parts[0] for file in package.files or [] if file.parts[0] != ".."}:
        if top != "__pycache__" and not (folder / top).exists():
            (folder / top).symlink_to(Path(package.locate_file(top)))


@pytest.mark.slow
def test_the_wheel_works_without_hotslot(wheel, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        lines = re.findall(r"^Requires-Dist: (.+)", archive.read(metadata).decode(), re.MULTILINE)
    required = [Requirement(line) for line in lines]
    needed = [one.name for one in required if one.marker is None]
    assert {one.name for one in required if one.marker is not None} == {"matplotlib"}
    assert sorted(needed) == ["geopandas", "httpx", "pandas", "pyarrow"]
    for name in {*needed, *(further for n in needed for further in requirements(n))}:
        link(name, site)
    cells = gpd.GeoDataFrame({"probability": [1.0]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    cells.to_parquet(tmp_path / "cells.parquet")
    # -I and -S: no site-packages, no environment variables, not the current folder.
    code = f"import sys; sys.path.append({str(site)!r})\n{ALONE}"
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "cells.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(site / "hotslot_client" / "__init__.py")


def test_the_wheel_has_types_and_a_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"hotslot_client/py.typed", "hotslot_client/errors.py"} <= {*names}
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    same = (CLIENT.parent / "LICENSE").read_bytes()
    assert (CLIENT / "LICENSE").read_bytes() == same
