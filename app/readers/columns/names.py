"""Recognise by their names the columns that say when, where, what and how many.

A name is taken only if all its words are known: `Date Occurred` is, `CMPLNT_FR_DT` is not. Names of an
occurrence rank before those of an incident, plain ones (`date`) after both, and `timestamp` last; times of
a report, an export or an end are never taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.readers.columns.portals import normalised_name

_WORD = re.compile(r"[^\W\d_]+")
_JOINT = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DATE = frozenset(("date", "dates", "dt", "fecha", "data", "datum", "jour"))
_TIME = frozenset(("time", "tm", "hora", "heure", "uhrzeit", "zeit", "ora", "tijd", "godzina"))
_HOUR = frozenset(("hour", "hr", "franja", "stunde"))
_WHOLE = frozenset(("datetime", "timestamp", "datahora", "fechahora"))
_OCCURRED = frozenset(
    ("occurred", "occurrence", "occurance", "occur", "occ", "happened", "committed", "commission",
     "ocurrencia", "ocurrio", "ocurrió", "hecho", "hechos", "suceso", "fait", "faits", "tat", "tatzeit")
)  # fmt: skip
_INCIDENT = frozenset(
    ("incident", "incidents", "crime", "crimes", "offense", "offenses", "offence", "offences", "event",
     "events", "delito", "delitos", "incidente", "evento", "infraction", "délit", "delit", "crash",
     "collision", "accident", "cases", "case", "casos")
)  # fmt: skip
_START = frozenset(("from", "start", "begin", "beginning", "first", "earliest", "desde", "inicio",
                    "debut", "début", "von"))  # fmt: skip
_END = frozenset(("to", "end", "ending", "until", "through", "thru", "latest", "hasta", "fin", "final",
                  "bis", "finish"))  # fmt: skip
_OTHER = frozenset(
    ("reported", "report", "rpt", "rptd", "received", "recd", "dispatch", "dispatched", "arrival",
     "arrived", "arrest", "arrested", "closed", "cleared", "clearance", "created", "create", "creation",
     "entered", "entry", "updated", "update", "modified", "edited", "edit", "export", "exported",
     "extract", "extracted", "download", "downloaded", "published", "posted", "loaded", "load",
     "recorded", "record", "registered", "processed", "approved", "call", "response", "denuncia",
     "registro", "actualizacion", "actualización", "reporte", "carga", "assigned", "completed",
     "disposition", "last", "collected", "retrieved", "import", "imported", "verified")
)  # fmt: skip
_FILLER = frozenset(("of", "the", "on", "at", "in", "de", "del", "la", "el", "du", "des", "der", "le",
                     "y", "e", "et", "and", "local", "only"))  # fmt: skip
_KIND_END = frozenset(("type", "kind", "category", "class", "classification", "description", "desc",
                       "group", "tipo", "categoria", "categoría", "descripcion", "art"))  # fmt: skip
_KIND_ORDER = ("", "type", "tipo", "kind", "art", "description", "desc", "descripcion", "category",
               "categoria", "categoría", "classification", "class", "group")  # fmt: skip
_KINDS = frozenset(
    ("offense", "offence", "crime", "delito", "infraction", "délit", "delit", "straftat", "delikt",
     "conducta", "crimen", "primary")
)  # fmt: skip
_EVENTS = frozenset(("incident", "event", "call", "incidente", "evento"))
_COUNT = frozenset(("count", "counts", "cantidad", "n", "total", "anzahl", "quantity", "qty"))
_NUMBERS = frozenset(("number", "num", "no", "numero", "número", "nombre", "anzahl"))
_MIN_JOINED = 4
FIXED = {
    "longitude": (("longitude",), ("lon", "lng", "long", "longitud"),
                  ("long_wgs84", "longitude_wgs84", "lon_wgs84"), ("longitude_x",), ("point_x",),
                  ("location_longitude", "location_lon", "location_lng", "geolocation_longitude")),
    "latitude": (("latitude",), ("lat", "latitud"),
                 ("lat_wgs84", "latitude_wgs84"), ("latitude_y",), ("point_y",),
                 ("location_latitude", "location_lat", "geolocation_latitude")),
    "x": (("x",), ("x_coordinate", "xcoord", "x_coord"), ("easting",)),
    "y": (("y",), ("y_coordinate", "ycoord", "y_coord"), ("northing",)),
    "location": (("location",), ("geocoded_column", "geolocation", "geolocalizacion"),
                 ("the_geom", "geom", "geometry", "wkt", "point", "geo_point", "geo_point_2d",
                  "shape"), ("location_1", "lat_long", "latlong", "lat_lon", "latlon",
                             "coordinates", "coordenadas")),
    "external_id": (("external_id",), ("id",), ("incident_id",), ("case_number",),
                    ("incident_number",), ("report_number",), ("row_id",)),
    "source": (("source",),),
    "reference": (("reference",),),
    "feed": (("feed",),),
    "updated_at": (("updated_at",), ("last_updated",), ("updated_on",), ("date_updated",), ("updated",),
                   ("last_update",), ("modified",), ("last_modified",), ("date_modified",),
                   ("modified_at",), ("modified_on",), (":updated_at",), ("last_edited_date",),
                   ("revised_at",)),
    "year": (("year", "anio", "año"),),
    "month": (("month", "mes"),),
    "day": (("day", "dia", "día"),),
    "minute": (("minute",),),
}  # fmt: skip
"""{field: tiers of normalised names, best first}; two names of one tier in one file are ambiguous."""


@dataclass(frozen=True)
class TimeName:
    """What a column's name says about time.

    Args:
        role: `whole`, `date`, `time` or `hour`.
        rank: the lower, the more it means the occurrence.
        other: `end_time` or `other_time`, if it is the time of something else.
    """

    role: str
    rank: tuple[int, int]
    other: str = ""
    is_known: bool = True


def words_of(name: object) -> list[str]:
    """Return the lower-case words of a name; digits separate words and are dropped.

    >>> words_of("occurrenceDate"), words_of("Date/Time_Occurred"), words_of("occurrencedate")
    (['occurrence', 'date'], ['date', 'time', 'occurred'], ['occurrence', 'date'])
    """
    found = _WORD.findall(normalised_name(_JOINT.sub("_", str(name))).replace("_", " "))
    return [part for word in found for part in _parted(word)]


def _parted(word: str) -> tuple[str, ...]:
    """Split a word that joins a noun of time and another known word."""
    nouns, others = _DATE | _TIME | _HOUR, _OCCURRED | _INCIDENT | _START | _END | _OTHER
    if word in nouns | others | _WHOLE:
        return (word,)
    for noun in nouns:
        if len(noun) < _MIN_JOINED or noun == word:
            continue
        if word.endswith(noun) and word.removesuffix(noun) in others:
            return word.removesuffix(noun), noun
        if word.startswith(noun) and word.removeprefix(noun) in others:
            return noun, word.removeprefix(noun)
    return (word,)


def time_name(name: object) -> TimeName | None:
    """Return what a name says about time, None if nothing.

    >>> time_name("Date Occurred").role, time_name("exported_at").other, time_name("End Time").other
    ('date', 'other_time', 'end_time')
    """
    words = words_of(name)
    given = set(words)
    known = (
        _DATE | _TIME | _HOUR | _WHOLE | _OCCURRED | _INCIDENT | _START | _END | _OTHER | _FILLER
    )
    if given & _HOUR:
        given -= {"day"}
    is_known = given <= known and not any(c.isdigit() for c in str(name))
    role = _role(given, is_known=is_known)
    if role is None:
        return None
    if given & _END and not given & _START:
        return TimeName(role, (9, 0), "end_time", is_known)
    if given & _OTHER:
        return TimeName(role, (9, 0), "other_time", is_known)
    base = 3 if "timestamp" in given else 2
    starts = bool(given & _START)
    base = 0 if given & _OCCURRED else 1 if given & _INCIDENT or starts else base
    return TimeName(role, (base, int(starts)), "", is_known)


def subject_of(name: object) -> frozenset[str]:
    """Return the words of a time's name that say whose time it is: those beside time, start and end.

    >>> subject_of("Offense Start DateTime") == subject_of("offense_end_date"), subject_of("Date To")
    (True, frozenset())
    """
    times = _DATE | _TIME | _HOUR | _WHOLE | _START | _END | _FILLER
    return frozenset(words_of(name)) - times


def _role(given: set[str], *, is_known: bool) -> str | None:
    if given & _WHOLE or (given & _DATE and given & _TIME):
        return "whole"
    for role, nouns in (("date", _DATE), ("time", _TIME), ("hour", _HOUR)):
        if given & nouns:
            return role
    # `occurred`, `occurred_on`, `reported_at`, but not `crime`, `report` or `entry`.
    return "whole" if is_known and _is_participle(given) else None


def _is_participle(given: set[str]) -> bool:
    stamps = {w for w in given & (_OCCURRED | _OTHER) if w.endswith("ed")}
    return bool(stamps) and given - stamps <= _FILLER | _START | _END


def kind_rank(name: object) -> tuple[int, int] | None:
    """Return how well a name means the kind of an incident (the lower, the better), None if not at all.

    >>> kind_rank("category") < kind_rank("Offense Type") < kind_rank("incident_type") < kind_rank("type")
    True
    >>> kind_rank("Crime Name1"), kind_rank("offence code")
    (None, None)
    """
    if any(c.isdigit() for c in str(name)):
        return None
    words = words_of(name)
    given = [word for word in words if word not in _FILLER]
    if words == ["category"]:
        return (-1, 0)
    if words in (["type"], ["kind"], ["tipo"], ["categoria"], ["categoría"]):
        return (3, 0)
    nouns = set(given)
    ends = [word for word in given if word in _KIND_END]
    place = _KIND_ORDER.index(ends[0]) if ends else 0
    for base, known in ((1, _KINDS), (2, _EVENTS)):
        if nouns & known and nouns <= known | _KIND_END:
            bare = len(given) == 1 and (base > 1 or given == ["primary"])
            return None if bare else (base, place)
    return None


def is_count(name: object) -> bool:
    """Return whether a name says how many incidents a row stands for.

    >>> [is_count(n) for n in ("count", "Cantidad", "number_of_offences", "Crime Count", "n")]
    [True, True, True, True, True]
    >>> [is_count(n) for n in ("case_number", "vehicle count", "number", "report_no", "county")]
    [False, False, False, False, False]
    """
    given = [word for word in words_of(name) if word not in _FILLER]
    counted = [word for word in given if word in _INCIDENT]
    rest = [word for word in given if word not in _INCIDENT]
    if len(rest) == 1 and rest[0] in _COUNT:
        return True
    return bool(counted) and rest[:1] == given[:1] and len(rest) == 1 and rest[0] in _NUMBERS


def fixed_tier(field: str, name: object) -> int | None:
    """Return the tier of a name among those of a field, None if it is none of them."""
    plain = normalised_name(name)
    return next((i for i, tier in enumerate(FIXED[field]) if plain in tier), None)


def is_known_name(name: object) -> bool:
    """Return whether a name means any field."""
    found = time_name(name)
    timed = found is not None and found.is_known
    fixed = any(fixed_tier(field, name) is not None for field in FIXED)
    return timed or fixed or kind_rank(name) is not None


def reason_left_aside(name: str, taken: Sequence[str], *, is_personal: bool) -> str:
    """Return why a column is left aside: what it may hold, or empty if unknown.

    Args:
        taken: fields that other columns give.
    """
    if is_personal:
        return "personal"
    time = time_name(name)
    if time is not None:
        return time.other or "other_time"
    if is_count(name):
        return "count"
    if kind_rank(name) is not None:
        return "other_kind"
    places = ("longitude", "latitude", "x", "y", "location")
    if any(fixed_tier(field, name) is not None for field in places) and taken:
        return "other_place"
    return ""
