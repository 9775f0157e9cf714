"""A small region behind keys, as an adversary with an ordinary key meets it."""

from datetime import UTC, datetime

from app.worker.jobs import work_on

BOX = {
    "type": "Polygon",
    "coordinates": [[[10, 50], [10.06, 50], [10.06, 50.04], [10, 50.04], [10, 50]]],
}
START = datetime(2024, 1, 1, tzinfo=UTC)


def row(at, place=(10.03, 50.02), category="theft"):
    return {
        "occurred_at": at.isoformat(),
        "longitude": place[0],
        "latitude": place[1],
        "category": category,
    }


def train(engine, settings, ask, role, **request):
    """The version that a training over HTTP makes, and the reply to its request."""
    reply = ask(
        role, "POST", "/training-runs", json={"model": "pooled-kde", "validate": False, **request}
    )
    if reply.status_code != 202:
        return None, reply
    work_on(engine, settings, "train", reply.json()["id"])
    run = ask("admin", "GET", f"/training-runs/{reply.json()['id']}").json()
    assert run["status"] == "succeeded", run
    return run["model_version"], reply


def backtest(engine, settings, ask, role, reader="reader", **request):
    """The result of a backtest over HTTP as a reader sees it, and the reply to its request."""
    reply = ask(role, "POST", "/backtests", json={"models": ["pooled-kde"], **request})
    if reply.status_code != 202:
        return None, reply
    work_on(engine, settings, "backtest", reply.json()["id"])
    run = ask(reader, "GET", f"/backtests/{reply.json()['id']}").json()
    return run["result"], run
