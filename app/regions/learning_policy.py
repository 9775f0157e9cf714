"""What a region's models learn from: reports of the public, unless the region says otherwise.

Incidents that patrols find say where patrols were. A model that learns from them sends patrols where
patrols were, which finds more there (Ensign et al. 2018, "Runaway feedback loops in predictive
policing"). So `discovered` incidents, and categories that are mostly recorded by being on the spot,
are left out of training unless the region's settings, or a run's own list, take them in.
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
    """Whether records of a category mostly tell where officers were, judged by its name.

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
    """A region's own choice.

    Args:
        patrol_categories: whether categories that mostly reflect patrols are learnt from.
        discovered_weight: share of the discovered incidents that is learnt from, 0..1; which ones
            is told by their keys, so that the same data give the same model.
        minimum_count: smaller numbers of incidents are not shown by place (0 shows all); from 2 on,
            trainings pool the cells with fewer (`models.densities.small_counts`).
    """

    patrol_categories: Choice = "exclude"
    discovered_weight: float = 0.0
    minimum_count: int = 0

    def checked(self) -> LearningPolicy:
        """Itself.

        Raises:
            InvalidInput: a value is out of range.
        """
        if self.patrol_categories not in get_args(Choice):
            raise InvalidInput("exclude or include", field="patrol_categories")
        if not (math.isfinite(self.discovered_weight) and 0 <= self.discovered_weight <= 1):
            raise InvalidInput("discovered_weight lies within 0..1", field="discovered_weight")
        if not 0 <= self.minimum_count <= MAX_MINIMUM_COUNT:
            raise InvalidInput(
                f"minimum_count lies within 0..{MAX_MINIMUM_COUNT}", field="minimum_count"
            )
        return self

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> LearningPolicy:
        """A region's, from its settings."""
        outer, inner = SETTINGS_PATH
        return cls(**settings.get(outer, {}).get(inner, {}))

    def to_json(self) -> dict[str, Any]:
        """As kept and shown."""
        return asdict(self)


def patrol_categories(names: Iterable[str]) -> list[str]:
    """Those of the names that mostly reflect patrols, sorted."""
    return sorted(name for name in set(names) if mostly_patrol(name))
