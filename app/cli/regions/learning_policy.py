"""`hotslot region policy`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from app.cli.console import alone, complain, echo_json, opened
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.core.texts import shortened
from app.evaluation.fairness.policy import policy_view
from app.regions.learning_policy import LearningPolicy, Place
from app.regions.service import policy_of, remove_policy, set_policy

PatrolCategoriesOption = Annotated[
    str | None, typer.Option(help="exclude or include categories that reflect patrols.")
]
DiscoveredWeightOption = Annotated[
    float | None, typer.Option(help="Weight of discovered incidents in training, 0..1.")
]
MinimumCountOption = Annotated[
    int | None,
    typer.Option(
        help="Do not show smaller numbers of incidents by place; forecasts follow the next training."
    ),
]
IncludeOption = Annotated[
    list[str] | None, typer.Option(help="Category to learn from, whatever its class; repeated.")
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option(help="Category not to learn from; repeated.")
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(help="LONGITUDE,LATITUDE of a real place, no default geocode; repeated."),
]
DropOption = Annotated[
    list[str] | None, typer.Option(help="LONGITUDE,LATITUDE of a place to leave out; repeated.")
]
ByRuleOption = Annotated[
    list[str] | None,
    typer.Option(help="Category, or LONGITUDE,LATITUDE, to leave to the rules again; repeated."),
]
AssimilateOption = Annotated[
    str | None,
    typer.Option(help="on or off: whether forecasts follow what arrives between trainings."),
]
RemoveOption = Annotated[
    bool, typer.Option("--remove", help="Remove the policy: the defaults apply.")
]


def policy(
    region: str,
    patrol_categories: PatrolCategoriesOption = None,
    discovered_weight: DiscoveredWeightOption = None,
    minimum_count: MinimumCountOption = None,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    keep: KeepOption = None,
    drop: DropOption = None,
    by_rule: ByRuleOption = None,
    assimilate: AssimilateOption = None,
    remove: RemoveOption = False,
) -> None:
    """Show, change or remove a region's learning policy."""
    given = {
        "patrol_categories": patrol_categories,
        "discovered_weight": discovered_weight,
        "minimum_count": minimum_count,
        "assimilate": assimilate,
    }
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    named = (include, exclude, keep, drop, by_rule)
    if remove:
        alone("--remove", *given.values(), *named)
    with opened(Settings()) as engine:
        if remove:
            remove_policy(engine, region)
        found = policy_of(engine, region)
        if changed or any(named):
            found = replace(found, **changed)
            found = _with_names(found, *(names or [] for names in named))
            set_policy(engine, region, found)
        shown = policy_view(engine, region, exact=True)
    echo_json(shown)
    if found.patrol_categories == "include" or found.discovered_weight > 0:
        complain("patrols may influence where patrols are sent (feedback)", "warning")


def _with_names(
    policy: LearningPolicy,
    include: list[str],
    exclude: list[str],
    keep: list[str],
    drop: list[str],
    by_rule: list[str],
) -> LearningPolicy:
    """Add categories and places to a policy's lists; each leaves the other list."""
    keeps, drops = _places(keep, "keep"), _places(drop, "drop")
    names = {*include, *exclude, *by_rule}
    points = {*keeps, *drops, *(place for text in by_rule if (place := _place(text)))}

    def joined(before: tuple[str, ...], new: list[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(name for name in before if name not in names), *new]))

    def placed(before: tuple[Place, ...], new: list[Place]) -> tuple[Place, ...]:
        return (*(p for p in before if not any(p.is_near(q) for q in points)), *new)

    return replace(
        policy,
        include_categories=joined(policy.include_categories, include),
        exclude_categories=joined(policy.exclude_categories, exclude),
        keep_places=placed(policy.keep_places, keeps),
        drop_places=placed(policy.drop_places, drops),
    )


def _places(texts: list[str], option: str) -> list[Place]:
    found = [_place(text) for text in texts]
    for text, place in zip(texts, found, strict=True):
        if place is None:
            raise InvalidInput(
                f"--{option} takes LONGITUDE,LATITUDE such as -84.48,39.12, got {shortened(text)}",
                field=option,
            )
    return [place for place in found if place is not None]


def _place(text: str) -> Place | None:
    try:
        longitude, latitude = map(float, text.split(","))
    except ValueError:
        return None
    return Place(longitude, latitude)
