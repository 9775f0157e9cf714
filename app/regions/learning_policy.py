"""Which incidents a region's models learn from: by default only reports of the public.

Incidents found by patrols show where patrols were. A model that learns from them sends patrols to
the same places, which finds more there (Ensign et al. 2018, "Runaway feedback loops in predictive
policing"). So `discovered` incidents, and categories that are mostly recorded by being on the spot,
are excluded from training unless the region's settings, or a run's own list, include them. What a category
is, `offence_classes` says by its name; the policy may overrule it by category.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.geo.study_area import to_metres
from app.regions.offence_classes import offence_class

SETTINGS_PATH = ("responsible_use", "learning")
MAX_MINIMUM_COUNT = 1_000
Choice = Literal["exclude", "include"]
Switch = Literal["on", "off"]
SAME_PLACE_DEG = 4.5e-5
"""Five metres of latitude."""
MAX_LISTED = 100
"""Categories, or places, that a policy may name in one list."""


@dataclass(frozen=True)
class Place:
    """A place in degrees (WGS 84)."""

    longitude: float
    latitude: float

    @property
    def label(self) -> str:
        """The place as messages name it: `longitude, latitude`."""
        return f"{self.longitude:.5f}, {self.latitude:.5f}"

    def is_near(self, other: Place) -> bool:
        """Return whether both name one place: they lie within about five metres."""
        apart = abs(self.longitude - other.longitude), abs(self.latitude - other.latitude)
        return max(apart) < SAME_PLACE_DEG


@dataclass(frozen=True)
class CategoryRule:
    """Whether models learn from a category, and why.

    Args:
        offence_class: see `offence_classes`.
        patrol: whether that class mostly reflects patrols.
        rule: the words of the name that decided the class.
        by_policy: whether the region's policy names the category, and so decides.
    """

    category: str
    offence_class: str
    patrol: bool
    rule: str
    learnt: bool
    by_policy: bool


@dataclass(frozen=True)
class LearningPolicy:
    """A region's choice.

    Args:
        patrol_categories: whether to learn from categories that mostly reflect patrols.
        discovered_weight: share of the discovered incidents to learn from, 0..1; they are chosen by
            their keys, so that the same data give the same model.
        minimum_count: smaller numbers of incidents are not shown by place (0 shows all); from 2 on,
            trainings pool the cells with fewer (`models.densities.small_counts`).
        include_categories, exclude_categories: learnt from, or not, whatever their class.
        keep_places, drop_places: never, or always, left out as default geocodes (to five metres).
        assimilate: whether forecasts follow what arrives between trainings (`app.states`).
    """

    patrol_categories: Choice = "exclude"
    discovered_weight: float = 0.0
    minimum_count: int = 0
    include_categories: tuple[str, ...] = ()
    exclude_categories: tuple[str, ...] = ()
    keep_places: tuple[Place, ...] = ()
    drop_places: tuple[Place, ...] = ()
    assimilate: Switch = "on"

    def checked(self) -> LearningPolicy:
        """Return the policy after validating it.

        Raises:
            InvalidInput: a value is out of range.
        """
        if self.patrol_categories not in get_args(Choice):
            raise InvalidInput(
                "patrol_categories must be exclude or include, got "
                f"{shortened(str(self.patrol_categories))}",
                field="patrol_categories",
            )
        if self.assimilate not in get_args(Switch):
            raise InvalidInput(
                f"assimilate must be on or off, got {shortened(str(self.assimilate))}",
                field="assimilate",
            )
        if not (math.isfinite(self.discovered_weight) and 0 <= self.discovered_weight <= 1):
            raise InvalidInput(
                f"discovered_weight must lie within 0..1, got {self.discovered_weight:g}",
                field="discovered_weight",
            )
        if not 0 <= self.minimum_count <= MAX_MINIMUM_COUNT:
            raise InvalidInput(
                f"minimum_count must lie within 0..{MAX_MINIMUM_COUNT}, got {self.minimum_count}",
                field="minimum_count",
            )
        for name in _LISTS:
            if len(getattr(self, name)) > MAX_LISTED:
                raise InvalidInput(f"{name} may have at most {MAX_LISTED} entries", field=name)
        self._check_places()
        self._check_categories()
        return self

    def _check_places(self) -> None:
        for place in (*self.keep_places, *self.drop_places):
            inside = abs(place.longitude) <= 180 and abs(place.latitude) <= 90
            if not inside:  # also NaN
                raise InvalidInput(
                    f"{place.longitude}, {place.latitude} is no longitude and latitude",
                    field="keep_places" if place in self.keep_places else "drop_places",
                )
        both = [p for p in self.keep_places if any(p.is_near(q) for q in self.drop_places)]
        if both:
            raise InvalidInput(
                f"{both[0].label} is both in keep_places and in drop_places; remove it from one",
                field="drop_places",
            )

    def _check_categories(self) -> None:
        if both := set(self.include_categories) & set(self.exclude_categories):
            raise InvalidInput(
                f"{shortened(min(both))} is both in include_categories and in exclude_categories; "
                "remove it from one",
                field="exclude_categories",
            )

    def places_m(self, crs: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Return the places to keep and to drop in metres of a CRS."""
        keep, drop = (_metres(places, crs) for places in (self.keep_places, self.drop_places))
        return keep, drop

    def category_rule(self, category: str) -> CategoryRule:
        """Return whether models learn from a category, and why."""
        found = offence_class(category)
        learnt = self.patrol_categories == "include" or not found.patrol
        by_policy = category in (*self.include_categories, *self.exclude_categories)
        if by_policy:
            learnt = category in self.include_categories
        return CategoryRule(category, found.name, found.patrol, found.rule, learnt, by_policy)

    def excluded(self, categories: Iterable[str]) -> list[str]:
        """Return the categories that models do not learn from, sorted."""
        return sorted(name for name in set(categories) if not self.category_rule(name).learnt)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> LearningPolicy:
        """Read a region's policy from its settings."""
        outer, inner = SETTINGS_PATH
        return cls.from_json(settings.get(outer, {}).get(inner, {}))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> LearningPolicy:
        """Read the stored form, also of a release without lists."""
        found: dict[str, Any] = {
            name: tuple(value) if name in _LISTS else value for name, value in stored.items()
        }
        for name in ("keep_places", "drop_places"):
            found[name] = tuple(Place(**place) for place in found.get(name, ()))
        return cls(**found)

    def to_json(self) -> dict[str, Any]:
        """Return the stored and displayed form."""
        return asdict(self)


def _metres(places: Iterable[Place], crs: str) -> list[tuple[float, float]]:
    degrees = [(place.longitude, place.latitude) for place in places]
    x_m, y_m = to_metres([x for x, _ in degrees], [y for _, y in degrees], crs)
    return list(zip(x_m.tolist(), y_m.tolist(), strict=True))


_LISTS = ("include_categories", "exclude_categories", "keep_places", "drop_places")


def patrol_categories(names: Iterable[str]) -> list[str]:
    """Return the names that mostly reflect patrols, sorted."""
    return sorted(name for name in set(names) if offence_class(name).patrol)
