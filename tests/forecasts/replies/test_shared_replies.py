"""Replies that processes share: the same for everyone who may have them, and gone with what is erased."""

import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.roles import seeing_unreleased
from app.core.settings import Settings
from app.forecasts.plan import Selector
from app.forecasts.replies import responses
from app.forecasts.replies.shared_replies import Encoded, shared_files
from app.main import create_app
from app.registry.erasure_marks import epochs
from tests.support.services.service import Service
from tests.support.simulated.small_region import START, place, row, train

__all__ = ["place"]
PATH = "/forecasts/hotspots?window={}"
BASE = "/v1/regions/small"


@pytest.fixture
def shared(settings, place) -> Settings:
    """Settings with an empty cache in files, on a full disk too."""
    found = settings.model_copy(update={"disk_reserve_bytes": 0})
    shared_files(found).drop()
    yield found
    shared_files(found).drop()


@pytest.fixture
def trained(engine, settings, place) -> str:
    version, _ = train(engine, settings, place, "trainer")
    return version


@contextmanager
def process(shared, engine, place, role="reader"):
    """Another API process as far as caches go: how it answers a path, with `.forecasts`."""
    with TestClient(create_app(shared, engine)) as client:

        def ask(path, **headers):
            headers = {**place.headers(role), **headers}
            return client.get(f"{BASE}{path}", headers=headers)

        ask.forecasts = client.app.state.forecasts
        ask.forecasts.shared.refresh()
        yield ask


def replies(settings):
    folder = shared_files(settings).folder
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if not path.name.startswith("version-")]


def refuse_to_make(monkeypatch):
    def refused(*_args):
        raise AssertionError("this reply was not shared")

    # Only requests call it, not the warm-up of champions beside them.
    monkeypatch.setattr(responses, "_plain", refused)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_reply_of_one_process_is_that_of_another(
    engine, place, shared, trained, encoding, monkeypatch
):
    path, asked = PATH.format(3), {"accept-encoding": encoding}
    with process(shared, engine, place) as one, process(shared, engine, place) as other:
        made = one(path, **asked)
        refuse_to_make(monkeypatch)
        found = other(path, **asked)
    assert made.status_code == found.status_code == 200
    assert made.content == found.content
    ours = {"date", "x-request-id", "server-timing"}
    assert {k: v for k, v in made.headers.items() if k not in ours} == {
        k: v for k, v in found.headers.items() if k not in ours
    }
    assert len(replies(shared)) == 1


def test_an_etag_does_not_depend_on_sharing(engine, place, shared, trained):
    alone = shared.model_copy(update={"shared_cache_bytes": 0})
    etags = set()
    for settings in (alone, shared, shared):
        with process(settings, engine, place) as ask:
            etags.add(ask(PATH.format(4)).headers["etag"])
    assert len(etags) == 1


@pytest.mark.slow
def test_two_real_processes_on_one_home_share_a_reply(place, shared, trained, tmp_path):
    environment = {
        "HOTSLOT_DATABASE_URL": shared.database_url.get_secret_value(),
        "HOTSLOT_DISK_RESERVE_BYTES": "0",
    }
    bodies, origins = set(), []
    with ExitStack() as stack:
        for _ in range(2):
            running = Service(tmp_path, workers=0, environment=environment)
            stack.callback(running.client.close)
            stack.callback(running.stop)
            running.start()
            time.sleep(0.5)  # what regions there are is read at the start
            reply = running.call("GET", BASE + PATH.format(5), headers=place.headers("reader"))
            bodies.add(reply.raise_for_status().content)
            metrics = running.call("GET", "/metrics", headers=place.headers("admin"))
            lines = metrics.raise_for_status().text.splitlines()
            origins += [line for line in lines if line.startswith("hotslot_forecast_replies_total")]
    assert len(bodies) == 1, "a reply says when it was made"
    assert origins == [
        f'hotslot_forecast_replies_total{{origin="{origin}"}} 1.0' for origin in ("made", "shared")
    ]


@pytest.mark.slow
def test_a_reader_never_gets_a_withheld_version_and_no_file_holds_a_reply_of_it(
    engine, settings, place, shared, trained
):
    place("ingester", "POST", "/incidents", json=[row(START + timedelta(days=40))])
    withheld, _ = train(engine, settings, place, "admin")
    assert withheld != trained
    place("admin", "POST", f"/models/{withheld}/promote").raise_for_status()
    path = PATH.format(6)
    with process(shared, engine, place, "analyst") as analyst:
        assert analyst(path).headers["x-hotslot-model-version"] == withheld
        assert analyst(f"{path}&model={withheld}").status_code == 200
    assert replies(shared) == []
    with process(shared, engine, place) as reader:
        assert reader(path).headers["x-hotslot-model-version"] == trained
        assert reader(f"{path}&model={withheld}").status_code == 404
    with (
        process(shared, engine, place, "analyst") as analyst,
        process(shared, engine, place) as reader,
    ):
        # Both may have this one, but only the analyst its notices about single incidents.
        by_name = f"{PATH.format(7)}&model={trained}"
        ours, theirs = analyst(by_name), reader(by_name)
        assert ours.json()["model_version"] == theirs.json()["model_version"] == trained
        again = reader(by_name, **{"accept-encoding": "identity"})
        assert again.json()["warnings"] == theirs.json()["warnings"]


def erase_one(place):
    listed = place("analyst", "GET", "/incidents?limit=1").json()
    erased = place("admin", "DELETE", f"/incidents/{listed['features'][0]['id']}?by=id")
    assert erased.status_code == 204


def test_an_erasure_leaves_no_file_and_other_processes_forget(engine, place, shared, trained):
    plain = {"accept-encoding": "identity"}
    with process(shared, engine, place) as other, seeing_unreleased(False):
        other(PATH.format(8), **plain)
        assert len(replies(shared)) == 1
        service = other.forecasts
        late = service.plan("small", Selector(window=9))
        erase_one(place)  # by another process of this home, which deletes what is there
        assert replies(shared) == []
        made = Encoded(b"of before", None)
        service.shared.put(late, ("reply", "late"), made)  # begun before, ended after the erasure
        assert len(replies(shared)) == 1
        service.shared.refresh()
        assert replies(shared) == []
        assert not [key for key in service.cache._items if key[0] in ("reply", "version")]
        service.shared.put(late, ("reply", "late"), made)
        assert service.shared.get(late, ("reply", "late")) is None
        assert replies(shared) == []


def test_the_process_that_erases_and_the_command_delete_at_once(
    engine, settings, place, trained, monkeypatch
):
    from typer.testing import CliRunner

    from app.cli import app as cli

    service = place.client.app.state.forecasts
    service.shared.files.reserve_bytes = 0
    folder = service.shared.files.folder

    def shared_now():
        service.shared.refresh()
        plan = service.plan("small", Selector(window=9))
        service.shared.put(plan, ("reply", "x"), Encoded(b"x", None))
        return any(path.is_file() for path in folder.rglob("*"))

    assert shared_now()
    erase_one(place)
    assert not any(path.is_file() for path in folder.rglob("*"))
    monkeypatch.setenv("HOTSLOT_HOME", str(settings.home))
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    train(engine, settings, place, "trainer")
    service.forget_region("small")
    assert shared_now()
    listed = place("analyst", "GET", "/incidents?limit=1").json()["features"][0]["id"]
    done = CliRunner().invoke(cli, ["erase", "small", str(listed), "--by", "id"])
    assert done.exit_code == 0, done.output
    assert not any(path.is_file() for path in folder.rglob("*"))


def test_a_removed_region_leaves_no_file(engine, place, shared, trained):
    with process(shared, engine, place) as other:
        other(PATH.format(10))
        assert len(replies(shared)) == 1
        place("admin", "DELETE", "?confirm=small").raise_for_status()
        other.forecasts.shared.refresh()
        assert [path for path in shared_files(shared).folder.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_damaged_files_and_a_folder_that_cannot_be_written_do_not_stop_serving(
    engine, place, shared, trained
):
    path = PATH.format(11)
    with process(shared, engine, place) as ask:
        made = ask(path).json()
    for file in shared_files(shared).folder.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-3])
    with process(shared, engine, place) as ask:
        again = ask(path)
    assert again.status_code == 200
    assert again.json()["features"] == made["features"]
    shared_files(shared).drop()
    folder = shared_files(shared).folder
    folder.rmdir()
    folder.write_bytes(b"")
    try:
        with process(shared, engine, place) as ask:
            assert ask(path).json()["features"] == made["features"]
    finally:
        folder.unlink()


@pytest.mark.slow
def test_a_table_damaged_after_its_version_was_noted_intact_is_not_served(
    engine, settings, place, shared, trained
):
    second, _ = train(engine, settings, place, "trainer", model="uniform")
    with process(shared, engine, place) as ask:
        for version in (second, trained):
            place("admin", "POST", f"/models/{version}/promote").raise_for_status()
        assert ask(PATH.format(12)).headers["x-hotslot-model-version"] == trained
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE forecast_grids SET cell_values = set_bit(cell_values, 7, "
                "1 - get_bit(cell_values, 7)) WHERE version = :v"
            ),
            {"v": trained},
        )
    with process(shared, engine, place) as ask:
        fresh = ask(PATH.format(13))
    assert fresh.status_code == 200, fresh.text
    assert fresh.headers["x-hotslot-model-version"] == second
    assert orjson.loads(fresh.headers["x-hotslot-warnings"])[0]["code"] == "champion_damaged"


def test_epochs_change_with_erasures_and_edits_only(engine, place, trained):
    def now():
        with engine.connect() as connection:
            (found,) = epochs(connection).values()
        return found

    first = now()
    place("admin", "GET", PATH.format(1))
    assert now() == first
    erase_one(place)
    second = now()
    assert (second.region, second.revision) == ("small", first.revision)
    assert second.erasure > first.erasure
    place("admin", "PATCH", "", json={"timezone": "Europe/Berlin"}).raise_for_status()
    assert now().revision > second.revision
