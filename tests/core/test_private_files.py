"""What hotslot writes is closed to the machine's other users, also in a home of an older version."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from app.core.devserver.cluster import Cluster, own
from app.core.devserver.server import ensure_running, release
from app.core.errors import InvalidInput, Unavailable
from app.core.private_files import close_folder, open_lock, private_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
LOOK_AS_NOBODY = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
seen = []
for place in sys.argv[1:]:
    try:
        os.listdir(place) if os.path.isdir(place) else open(place).close()
        seen.append(place)
    except PermissionError:
        pass
print("\\n".join(seen), end="")
"""


def seen_by_nobody(*places):
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOOK_AS_NOBODY, *map(str, places)],
        check=True, capture_output=True, text=True, cwd="/",
    )  # fmt: skip
    return done.stdout.split()


@pytest.fixture
def reached(request):
    """A folder whose parents any user may pass, as /var/lib is."""
    folder = Path("/var/lib") / f"hotslot-test-{os.getpid()}-{abs(hash(request.node.name))}"
    if os.geteuid() != 0:
        pytest.skip("only root writes in /var/lib")
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run_command(home, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOTSLOT_")}
    return subprocess.run(
        ["sh", "-c", 'umask 022; exec "$@"', "-", sys.executable, "-m", "app.cli", *arguments],
        env={**environment, "HOTSLOT_HOME": str(home)}, capture_output=True, text=True, check=True,
    )  # fmt: skip


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_private_folder_is_closed_and_its_parents_are_not(tmp_path):
    before = os.umask(0o077)
    try:
        private_folder(tmp_path / "a" / "b" / "home")
        private_folder(tmp_path / "a" / "b" / "home")
    finally:
        os.umask(before)
    assert [mode(tmp_path / p) for p in ("a", "a/b", "a/b/home")] == [0o755, 0o755, 0o700]


@pytest.mark.parametrize(("group", "wanted"), [(None, 0o700), (os.getegid(), 0o710)])
def test_closing_a_home_takes_from_others_what_is_ours_and_nothing_else(tmp_path, group, wanted):
    ours, theirs, link = tmp_path / "cache", tmp_path / "notes", tmp_path / "worker.beat"
    ours.mkdir()
    (ours / "run").write_text("")
    theirs.write_text("")
    for made in (link, ours / "link"):
        made.symlink_to(theirs)
    for path, bits in ((tmp_path, 0o755), (ours, 0o755), (ours / "run", 0o744), (theirs, 0o644)):
        path.chmod(bits)
    close_folder(tmp_path, group)
    assert [mode(path) for path in (tmp_path, ours, ours / "run", theirs)] == [
        wanted, 0o700, 0o700, 0o644,
    ]  # fmt: skip


def test_a_lock_is_made_private_and_never_through_a_link(tmp_path):
    lock = tmp_path / "lock"
    os.close(open_lock(lock))
    assert mode(lock) == 0o600
    link = tmp_path / "link"
    link.symlink_to(lock)
    with pytest.raises(OSError, match="symbolic"):
        open_lock(link)


@pytest.mark.slow
@as_root
def test_nothing_below_the_home_opens_to_another_user(reached):
    home = reached / "above" / "home"
    run_command(home, "region", "list")
    home.joinpath("cache").mkdir()
    run_command(home, "worker", "--until-empty")
    assert stat.S_IMODE(reached.stat().st_mode) == 0o755
    assert stat.S_IMODE(home.stat().st_mode) & 0o007 == 0
    everything = [home, *home.rglob("*")]
    assert {"postgres.lock", "postgres.users", "worker.beat"} <= {p.name for p in everything}
    assert seen_by_nobody(*everything) == []
    closed = [
        p for p in everything if p.name not in ("home", "cache") and "postgres/" not in f"{p}"
    ]
    assert [p for p in closed if stat.S_IMODE(p.lstat().st_mode) & 0o077] == []


@pytest.mark.slow
@as_root
def test_a_home_that_an_older_version_left_open_is_closed_with_its_data(reached):
    home = reached / "home"
    home.mkdir(mode=0o711)
    home.chmod(0o711)
    url = ensure_running(home)
    try:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (n int)")
    finally:
        release(home)
    cache = home / "cache"
    cache.mkdir(mode=0o755)
    (cache / "synthetic.csv").write_text("an incident")
    for path in (home, cache):
        path.chmod(0o755)
    for path in (cache / "synthetic.csv", home / "postgres.lock"):
        path.chmod(0o644)
    assert cache / "synthetic.csv" in map(Path, seen_by_nobody(cache / "synthetic.csv"))
    try:
        with psycopg.connect(ensure_running(home)) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert seen_by_nobody(home, *home.rglob("*")) == []
        assert not (cache / "synthetic.csv").stat().st_mode & 0o077
    finally:
        release(home)


def test_a_folder_of_the_system_is_no_home():
    for shared in map(Path, ("/tmp", "/var/lib", "/")):
        before = shared.stat().st_mode
        with pytest.raises(InvalidInput, match="shared"):
            ensure_running(shared)
        assert shared.stat().st_mode == before


def test_a_link_in_place_of_a_lock_is_refused(tmp_path):
    target = tmp_path / "target"
    target.write_text("precious")
    home = tmp_path / "home"
    home.mkdir()
    (home / "postgres.users").symlink_to(target)
    with pytest.raises(InvalidInput):
        ensure_running(home)
    assert target.read_text() == "precious"


@as_root
def test_a_socket_folder_that_another_user_made_first_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    cluster = Cluster(tmp_path, tmp_path, tmp_path, (65534, 65534))
    link = tmp_path / "run"
    link.symlink_to(victim)
    with pytest.raises(Unavailable, match="belongs to another user"):
        own(cluster, link)
    assert victim.stat().st_uid == 0
    link.unlink()
    link.mkdir()
    os.chown(link, 12345, 12345)
    with pytest.raises(Unavailable, match="belongs to another user"):
        own(cluster, link)
