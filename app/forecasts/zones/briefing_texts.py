"""The briefing's words, in English and Spanish: dates, counts that a person can read, messages."""

from __future__ import annotations

import math
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from app.core.messages import Message

Language = Literal["en", "es"]
WEB = Path(__file__).resolve().parents[2] / "web" / "js"
NEAR = 0.15
"""A count so near a whole number is written as that one."""
SELDOM = 0.75
"""Fewer than that are written as one in so many shifts."""
_FIELD = re.compile(r"\{(\w+)(?::(\w+))?\}")
_ENTRY = re.compile(r'^  (\w+): "((?:[^"\\]|\\.)*)",$', re.MULTILINE)
TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "early": "Early shift",
        "late": "Late shift",
        "night": "Night shift",
        "plan": "Where to go",
        "date": "{weekday} {day} {month} {year}",
        "until": "{start} to {end}",
        "until_date": "{start} to {end} on {weekday} {day} {month}",
        "hours": "{n} hours",
        "hour": "1 hour",
        "between": "{low} or {high}",
        "about": "about {n}",
        "seldom": "1 in about {n} shifts",
        "headline": "{zones} {incidents} in all zones, of {city} in the city",
        "incident": "incident",
        "incidents": "incidents",
        "headline_seldom": "An incident in the zones in 1 of about {n} such shifts; {city} in the city in "
        "each",
        "kinds": "Only: {kinds}",
        "weighted": "Weighed by harm",
        "sure": "In 9 of 10 such shifts {lo} to {hi} incidents in the zones, and {city_lo} to "
        "{city_hi} in the city.",
        "price": "The zones cover {area} km² ({share_area} of the city) and expect {share} of its incidents: "
        "{of_free} of what as many of the best single cells would.",
        "price_inside": "The zones cover {area} km² ({share_area} of {inside}) and expect {share} of its "
        "incidents: {of_free} of what as many of the best single cells would.",
        "inside": "All zones stay inside {area}.",
        "within": "Each zone stays inside one area ({layer}).",
        "follows": "{stay} of {n} zones of the plan before stay; those that do not are given up for places "
        "that are better beyond chance, or no longer fit.",
        "kept": "stays",
        "moved": "moved here",
        "new": "new",
        "where": "Where",
        "expected": "Expected",
        "by_hour": "Hour by hour",
        "most": "most at {hour}",
        "area": "{area} km²",
        "record": "What such plans caught before",
        "record_line": "{name}: {hits} of {n} incidents ({share}; 95 % interval {lo} to {hi})",
        "record_about": "The same number and area at {origins} past dates, in the same hours of the "
        "{days} days after each",
        "zones": "Zones of this model",
        "last_year": "Zones of last year's counts, all hours",
        "last_year_hours": "Zones of last year's counts, these hours",
        "free_cells": "Single cells of this model",
        "warnings": "Mind",
        "source": "Model {model} ({version}, state {state}); data until {until}; made {made} for {region}.",
        "note": "Where reports are expected, not who commits what. A zone is no ground for suspicion.",
    },
    "es": {
        "early": "Turno de mañana",
        "late": "Turno de tarde",
        "night": "Turno de noche",
        "plan": "Adónde ir",
        "date": "{weekday} {day} de {month} de {year}",
        "until": "de {start} a {end}",
        "until_date": "de {start} a {end} del {weekday} {day} de {month}",
        "hours": "{n} horas",
        "hour": "1 hora",
        "between": "{low} o {high}",
        "about": "cerca de {n}",
        "seldom": "1 cada {n} turnos",
        "headline": "{zones} {incidents} en todas las zonas, de {city} en la ciudad",
        "incident": "incidente",
        "incidents": "incidentes",
        "headline_seldom": "Un incidente en las zonas cada {n} turnos así; {city} en la ciudad en cada uno",
        "kinds": "Solo: {kinds}",
        "weighted": "Ponderado por daño",
        "sure": "En 9 de cada 10 turnos así, de {lo} a {hi} incidentes en las zonas y de "
        "{city_lo} a {city_hi} en la ciudad.",
        "price": "Las zonas cubren {area} km² ({share_area} de la ciudad) y esperan {share} de "
        "sus incidentes: "
        "{of_free} de lo que captarían otras tantas celdas sueltas, las mejores.",
        "price_inside": "Las zonas cubren {area} km² ({share_area} de {inside}) y esperan {share} de sus "
        "incidentes: {of_free} de lo que captarían otras tantas celdas sueltas, las mejores.",
        "inside": "Todas las zonas quedan dentro de {area}.",
        "within": "Cada zona queda dentro de una sola área ({layer}).",
        "follows": "Se mantienen {stay} de {n} zonas del plan anterior; las demás se dejan por lugares "
        "mejores más allá del azar, o ya no encajan.",
        "kept": "se mantiene",
        "moved": "trasladada aquí",
        "new": "nueva",
        "where": "Dónde",
        "expected": "Esperados",
        "by_hour": "Hora a hora",
        "most": "más a las {hour}",
        "area": "{area} km²",
        "record": "Lo que captaron antes planes así",
        "record_line": "{name}: {hits} de {n} incidentes ({share}; intervalo del 95 %: de {lo} a {hi})",
        "record_about": "El mismo número y la misma área en {origins} fechas pasadas, en las mismas "
        "horas de los {days} días siguientes",
        "zones": "Zonas de este modelo",
        "last_year": "Zonas de los recuentos del último año, todas las horas",
        "last_year_hours": "Zonas de los recuentos del último año, estas horas",
        "free_cells": "Celdas sueltas de este modelo",
        "warnings": "Tenga en cuenta",
        "source": "Modelo {model} ({version}, estado {state}); datos hasta el {until}; hecho el "
        "{made} para {region}.",
        "note": "Dónde se esperan denuncias, no quién comete qué. Una zona no es motivo de sospecha.",
    },
}
WEEKDAYS: dict[Language, tuple[str, ...]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
MONTHS: dict[Language, tuple[str, ...]] = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
    "es": (
        "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre",
        "octubre", "noviembre", "diciembre",
    ),
}  # fmt: skip


class Words:
    """Writes the briefing in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, name: str, /, **values: Any) -> str:
        """Return a text with its values."""
        return TEXTS[self.language][name].format(**values)

    def date(self, moment: datetime, name: str = "date", /, **values: Any) -> str:
        """Return a local date."""
        return self(
            name,
            weekday=WEEKDAYS[self.language][moment.weekday()],
            day=moment.day,
            month=MONTHS[self.language][moment.month - 1],
            year=moment.year,
            **values,
        )

    def span(self, begin: datetime, end: datetime) -> str:
        """Return the hours from one local time to another, with the date of the end if it is another."""
        times = {"start": f"{begin:%H:%M}", "end": f"{end:%H:%M}"}
        if begin.date() == end.date():
            return self("until", **times)
        return self.date(end, "until_date", **times)

    def count(self, expected: float) -> str:
        """Return an expected count as a person would say it.

        >>> [Words("en").count(x) for x in (0.2, 2.05, 2.5, 17.6)]
        ['1 in about 5 shifts', 'about 2', '2 or 3', '17 or 18']
        """
        if expected < SELDOM:
            return self("seldom", n=self.seldom(expected))
        nearest = round(expected)
        if abs(expected - nearest) <= NEAR or expected >= 100:
            return self("about", n=nearest)
        return self("between", low=math.floor(expected), high=math.ceil(expected))

    def seldom(self, expected: float) -> str:
        """Return how many shifts have one incident."""
        return f"{max(2, round(1 / max(expected, 1e-4))):,}"

    def percent(self, share: float, decimals: int = 0) -> str:
        """Return a share in percent."""
        text = f"{100 * share:.{decimals}f} %"
        return text.replace(".", ",") if self.language == "es" else text

    def number(self, value: float) -> str:
        """Return a number of three digits."""
        text = f"{value:.3g}"
        return text.replace(".", ",") if self.language == "es" else text

    def message(self, message: Message) -> str:
        """Return a message of the service as a sentence; one whose code is unknown as it came."""
        template = _templates(self.language).get(message.code)
        params = message.params
        if template is None or any(name not in params for name, _ in _FIELD.findall(template)):
            return message.message
        return _FIELD.sub(lambda found: self._written(params[found[1]], found[2]), template)

    def _written(self, value: Any, how: str | None) -> str:
        if how == "percent":
            return self.number(100 * value)
        if isinstance(value, dict):
            return ", ".join(f"{name} ({n})" for name, n in value.items())
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value))
        return self.number(value) if isinstance(value, float) else str(value)


@cache
def _templates(language: Language) -> dict[str, str]:
    """Read the page's sentences for the service's messages: one place for both."""
    text = (WEB / f"service-messages-{language}.js").read_text(encoding="utf-8")
    return {code: template.replace('\\"', '"') for code, template in _ENTRY.findall(text)}
