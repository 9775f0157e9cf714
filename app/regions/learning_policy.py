"""Which incidents a region's models learn from: by default only reports of the public.

Incidents found by patrols show where patrols were. A model that learns from them sends patrols to
the same places, which finds more there (Ensign et al. 2018, "Runaway feedback loops in predictive
policing"). So `discovered` incidents, and categories that are mostly recorded by being on the spot,
are excluded from training unless the region's settings, or a run's own list, include them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from app.core.errors import InvalidInput

SETTINGS_PATH = ("responsible_use", "learning")
MAX_MINIMUM_COUNT = 1_000
Choice = Literal["exclude", "include"]
# Starts of words, without accents: English, Spanish, French.
_PATROL_WORDS = (
    "drug", "narcotic", "cannabis", "marijuana", "marihuana", "cocaine", "heroin", "opium",
    "controlled substance", "paraphernalia", "prostitut", "solicitation", "commercialized vice",
    "vice offen", "liquor", "drunk", "intoxicat", "alcohol", "dui", "dwi", "impaired driv",
    "driving under", "loiter", "vagran", "curfew", "trespass", "disorderly", "public order",
    "public nuisance", "public peace", "breach of the peace", "disturbing the peace", "begging",
    "panhandl", "gambling", "traffic stop", "traffic violation", "stop and search",
    "possession of weapon", "weapons possession", "possession of weapons", "resisting arrest",
    "obstruct", "immigration",
    "droga", "narcotrafico", "narcomenudeo", "estupefaciente", "sustancias", "microtrafico",
    "prostitucion", "proxenetismo", "ebriedad", "embriaguez", "orden publico", "vagancia",
    "alteracion del orden", "desorden", "merodeo", "mendicidad", "porte de armas",
    "portacion de armas", "resistencia a la autoridad", "juegos de azar", "comparendo",
    "drogue", "stupefiant", "toxicoman", "racolage", "ivresse", "alcoolemie", "ordre public",
    "tapage", "vagabond", "mendicite", "port d'arme", "rebellion", "outrage", "attroupement",
    "conduite en etat", "jeux de hasard", "sejour irregulier",
)  # fmt: skip
_PATROL = re.compile(r"\b(?:" + "|".join(re.escape(word) for word in _PATROL_WORDS) + ")")


def mostly_patrol(category: str) -> bool:
    """Judge by its name whether a category mostly records where officers were.

    >>> [mostly_patrol(c) for c in ("drugs", "ORDEN PÚBLICO", "Usage de stupéfiants", "loitering")]
    [True, True, True, True]
    >>> [mostly_patrol(c) for c in ("theft", "Robo a personas", "vol avec violence", "Mischief")]
    [False, False, False, False]
    """
    plain = unicodedata.normalize("NFKD", category.lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return _PATROL.search(re.sub(r"[_\-/]+", " ", plain).replace("’", "'")) is not None


@dataclass(frozen=True)
class LearningPolicy:
    """A region's choice.

    Args:
        patrol_categories: whether to learn from categories that mostly reflect patrols.
        discovered_weight: share of the discovered incidents to learn from, 0..1; they are chosen by
            their keys, so that the same data give the same model.
        minimum_count: smaller numbers of incidents are not shown by place (0 shows all); from 2 on,
            trainings pool the cells with fewer (`models.densities.small_counts`).
    """

    patrol_categories: Choice = "exclude"
    discovered_weight: float = 0.0
    minimum_count: int = 0

    def checked(self) -> LearningPolicy:
        """Return the policy after validating it.

        Raises:
            InvalidInput: a value is out of range.
        """
        if self.patrol_categories not in get_args(Choice):
            raise InvalidInput(
                "patrol_categories must be exclude or include", field="patrol_categories"
            )
        if not (math.isfinite(self.discovered_weight) and 0 <= self.discovered_weight <= 1):
            raise InvalidInput("discovered_weight must lie within 0..1", field="discovered_weight")
        if not 0 <= self.minimum_count <= MAX_MINIMUM_COUNT:
            raise InvalidInput(
                f"minimum_count must lie within 0..{MAX_MINIMUM_COUNT}", field="minimum_count"
            )
        return self

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> LearningPolicy:
        """Read a region's policy from its settings."""
        outer, inner = SETTINGS_PATH
        return cls(**settings.get(outer, {}).get(inner, {}))

    def to_json(self) -> dict[str, Any]:
        """Return the stored and displayed form."""
        return asdict(self)


def patrol_categories(names: Iterable[str]) -> list[str]:
    """Return the names that mostly reflect patrols, sorted."""
    return sorted(name for name in set(names) if mostly_patrol(name))
