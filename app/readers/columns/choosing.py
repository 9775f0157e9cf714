"""Choose a file's columns of time, place, kind and id by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.readers.columns.names import fixed_tier, kind_rank, subject_of, time_name
from app.readers.columns.portals import normalised_name

Rank = tuple[int, int]
Ranked = Sequence[tuple[Rank, str]]
"""Columns with their ranks, best first."""
_PAIRS = (("longitude", "latitude"), ("x", "y"))
_NUMBERS = ("year", "month", "day", "minute")
_TIMES = frozenset(("occurred_at", "date", "time", "hour", *_NUMBERS))


def choose(
    names: Sequence[str], given: Iterable[str] = (), absent: Iterable[str] = ()
) -> dict[str, str]:
    """Return {field or part: column} of a header by the names' meaning.

    Args:
        names: of the columns that may be read.
        given: fields that the caller named; only what they lack is chosen.
        absent: fields that the caller said the file does not have.

    Raises:
        InvalidInput: two columns mean the same; the message names both, and how to choose.
    """
    own, missing = set(given), set(absent)
    times = _times(names, own, missing)
    found = _with_end(times, names, own | missing) | _places(names, own)
    for field in ("external_id", "source", "reference", "feed", "updated_at"):
        if field not in own | missing:
            found |= _fixed(field, names)
    if "category" not in own | missing:
        found |= _kind(names)
    return {field: name for field, name in found.items() if field not in own | missing}


def _fixed(field: str, names: Sequence[str]) -> dict[str, str]:
    tiers = defaultdict(list)
    for name in names:
        tier = fixed_tier(field, name)
        if tier is not None:
            tiers[tier].append(name)
    return {field: _only(field, tiers[min(tiers)])} if tiers else {}


def _only(field: str, names: Sequence[str]) -> str:
    """Return the one column that means a field.

    Raises:
        InvalidInput: there are several.
    """
    if len(names) == 1:
        return names[0]
    shown = " and ".join(shortened(name, 40) for name in names[:3])
    same = len({normalised_name(name) for name in names}) < len(names)
    remedy = "rename one of them" if same else f"say which by columns={field}={names[0][:40]}"
    raise InvalidInput(
        f"columns {shown} could each be {field}: {remedy}",
        field="columns",
        code="ambiguous_column",
        params={"field": field, "columns": [name[:60] for name in names[:3]]},
    )


def _best(field: str, ranked: Ranked) -> str:
    return _only(field, [name for rank, name in ranked if rank == ranked[0][0]])


def _places(names: Sequence[str], given: set[str]) -> dict[str, str]:
    """Return degrees and projected coordinates, or else a column that holds both."""
    if given & {"location", "lonlat"}:
        return {}
    fields = next((pair for pair in _PAIRS if given & set(pair)), (*_PAIRS[0], *_PAIRS[1]))
    found: dict[str, str] = {}
    for field in fields:
        found |= _fixed(field, names)
    if given & set(fields) or any(set(pair) <= found.keys() for pair in _PAIRS):
        return found
    return _fixed("location", names) or found


def _kind(names: Sequence[str]) -> dict[str, str]:
    ranked = sorted((rank, name) for name in names if (rank := kind_rank(name)) is not None)
    return {"category": _best("category", ranked)} if ranked else {}


def _times(names: Sequence[str], given: set[str], absent: set[str]) -> dict[str, str]:
    """Return the columns of the time of occurrence: one, or a date and a clock, or numbers."""
    if given & {"occurred_at", "occurred_from"}:
        return {}
    timed: dict[str, list[tuple[Rank, str]]] = defaultdict(list)
    for name in names:
        said = time_name(name)
        if said is not None and said.is_known and not said.other:
            is_ours = normalised_name(name) == "occurred_at"
            timed[said.role].append(((-1, 0) if is_ours else said.rank, name))
    for found in timed.values():
        found.sort(key=lambda one: one[0])
    ranked: dict[str, Ranked] = {
        **timed,
        **{part: [((2, 0), name) for name in _fixed(part, names).values()] for part in _NUMBERS},
    }
    if given & _TIMES:
        return _rest(ranked, given)
    ways = [(key, way) for key, way in _ways(ranked) if not absent & way.keys()]
    if ways:
        return {
            field: _best(field, found) for field, found in min(ways, key=lambda w: w[0])[1].items()
        }
    return {
        field: ranked[field][0][1] for field in (*_NUMBERS, "hour", "date") if ranked.get(field)
    }


def _with_end(times: dict[str, str], names: Sequence[str], said: set[str]) -> dict[str, str]:
    """Add the end of an interval to the columns of its start, if names give both.

    Only columns of the same subject belong together: `date_occurred` does not end at `End Date`.

    Args:
        said: fields that the caller named, or said the file does not have.
    """
    if said & {*_TIMES, "occurred_to"} or not times:
        return times
    end = _end_of(times, names)
    if not end:
        return times
    given_at = times.get("occurred_at")
    if given_at is None:
        return times | end
    if normalised_name(given_at) == "occurred_at":
        since = [name for name in names if normalised_name(name) == "occurred_from"]
        is_sent = len(since) == 1 and "occurred_from" not in said
        return times | ({"occurred_from": since[0]} if is_sent else {}) | end
    return {"occurred_from": given_at} | end


def _end_of(times: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the columns of the end that belongs to a start, none if there could be several."""
    start = times.get("occurred_at", times.get("date"))
    if start is None:
        return {}
    ends: dict[str, list[str]] = defaultdict(list)
    for name in names:
        said = time_name(name)
        is_end = said is not None and said.is_known and said.other == "end_time"
        if said is not None and is_end and subject_of(name) == subject_of(start):
            ends[said.role].append(name)
    if any(len(found) > 1 for found in ends.values()):
        return {}
    whole, date, time, hour = (
        ends.get(role, [""])[0] for role in ("whole", "date", "time", "hour")
    )
    if whole:
        return {"occurred_to": whole}
    if date and (time or hour):
        return {"end_date": date} | ({"end_time": time} if time else {"end_hour": hour})
    role = time_name(start)
    is_date = role is not None and role.role == "date"
    return {"occurred_to": date} if date and is_date and len(times) == 1 else {}


def _rest(ranked: Mapping[str, Ranked], given: set[str]) -> dict[str, str]:
    """Return what the caller's parts of a time lack."""
    if given & {"year", "month", "day"}:
        wanted = {*_NUMBERS, "hour"} - given
    elif given & {"time", "hour"}:
        wanted = {"date"} - given
    else:
        wanted = {"time" if ranked.get("time") else "hour"}
    return {field: _best(field, ranked[field]) for field in sorted(wanted) if ranked.get(field)}


def _ways(ranked: Mapping[str, Ranked]) -> list[tuple[tuple[int, ...], dict[str, Ranked]]]:
    """Return the ways in which the columns give a time, each with how good it is: least is best."""
    found: list[tuple[tuple[int, ...], dict[str, Ranked]]] = []
    whole, date, time = (ranked.get(role, ()) for role in ("whole", "date", "time"))
    if whole:
        found.append(((*whole[0][0], 0), {"occurred_at": whole}))
    if date:
        clock = _clock(ranked)
        way = {"date": date, **clock} if clock else {"occurred_at": date}
        if clock or not normalised_name(date[0][1]).endswith("only"):
            found.append(((*date[0][0], 1 if clock else 2), way))
    numbers = {field: ranked[field] for field in (*_NUMBERS, "hour") if ranked.get(field)}
    if time and {"year", "month", "day"} <= numbers.keys():
        numbers.setdefault("hour", time)  # `hora` is an hour beside numbers
    if {"year", "month", "day", "hour"} <= numbers.keys():
        found.append(((2, 0, 3), numbers))
    if time and not found and not numbers:
        found.append(((*time[0][0], 4), {"occurred_at": time}))
    return found


def _clock(ranked: Mapping[str, Ranked]) -> dict[str, Ranked]:
    """Return the time or hour that belongs to the best date.

    A clock of a lower rank belongs to the date of its own rank, if there is one.
    """
    date_rank = ranked["date"][0][0]
    others = {rank for rank, _ in ranked["date"] if rank > date_rank}
    for role in ("time", "hour"):
        fitting = [one for one in ranked.get(role, ()) if one[0] not in others]
        if fitting:
            return {role: fitting}
    return {}
