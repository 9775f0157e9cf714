"""Names of months and weekdays in the languages of the cities whose files are read."""

from __future__ import annotations

import re
import unicodedata

_MONTHS = (
    "january enero janvier janeiro januar jänner gennaio januari stycznia styczeń",
    "february febrero février fevereiro februar feber febbraio februari lutego luty",
    "march marzo mars março märz mrz maart mrt marca marzec marts",
    "april abril avril aprile kwietnia kwiecień",
    "may mayo mai maio maggio mei maja maj",
    "june junio juin junho juni giugno czerwca czerwiec",
    "july julio juillet julho juli luglio lipca lipiec",
    "august agosto août augustus sierpnia sierpień augusti",
    "september septiembre setiembre septembre setembro settembre września wrzesień",
    "october octubre octobre outubro oktober ottobre października październik",
    "november noviembre novembre novembro listopada listopad",
    "december diciembre décembre dezembro dezember dicembre grudnia grudzień desember",
)
_WEEKDAYS = (
    "monday tuesday wednesday thursday friday saturday sunday "
    "lunes martes miércoles jueves viernes sábado domingo "
    "lundi mardi mercredi jeudi vendredi samedi dimanche "
    "segunda terça quarta quinta sexta segunda-feira terça-feira quarta-feira quinta-feira sexta-feira "
    "montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag "
    "lunedì martedì mercoledì giovedì venerdì sabato domenica "
    "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag "
    "poniedziałek wtorek środa czwartek piątek sobota niedziela"
)
ENGLISH = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def folded(word: str) -> str:
    """Lower-case a word and drop its accents and dots."""
    plain = unicodedata.normalize("NFKD", word.casefold().replace("ł", "l"))
    return "".join(c for c in plain if not unicodedata.combining(c) and c != ".")


def _beginnings() -> dict[str, int]:
    """Return {name or unambiguous beginning of three letters or more: month}."""
    full = {folded(name): n for n, names in enumerate(_MONTHS, 1) for name in names.split()}
    found: dict[str, set[int]] = {}
    for name, number in full.items():
        for size in range(3, len(name)):
            found.setdefault(name[:size], set()).add(number)
    return {**{name: min(n) for name, n in found.items() if len(n) == 1}, **full}


MONTHS = _beginnings()
WEEKDAYS = frozenset(
    folded(name)[:size] for name in _WEEKDAYS.split() for size in range(2, len(name) + 1)
)
_WORD = re.compile(r"[^\W\d_]+\.?")


def month_number(name: str) -> int | None:
    """Return 1..12 of a month's name or its abbreviation.

    >>> [month_number(name) for name in ("ENE", "août", "Mrz.", "wrz", "jui", "lunes")]
    [1, 8, 3, 9, None, None]
    """
    return MONTHS.get(folded(name.strip()))


def is_weekday(name: str) -> bool:
    """Return whether a word is a weekday's name or an abbreviation of it."""
    return folded(name) in WEEKDAYS


def in_english(text: str, *, full: bool) -> str:
    """Replace the names of months by English ones, `full` or of three letters."""

    def english(found: re.Match[str]) -> str:
        number = month_number(found[0])
        if number is None:
            return found[0]
        return ENGLISH[number - 1] if full else ENGLISH[number - 1][:3]

    return _WORD.sub(english, text)
