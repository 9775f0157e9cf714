"""Who may use a route, by roles, region and scope; a refusal reveals nothing of what is stored."""

import pytest

from app.access.middleware import authorise
from app.core.errors import PermissionRefused
from app.core.roles import Caller, Role, with_included
from app.http.permissions import RoutePolicy

ANALYSTS = RoutePolicy(frozenset({Role.ANALYST, Role.ADMIN}))


def caller(*roles, regions=None):
    return Caller("key", with_included(roles), regions)


@pytest.mark.parametrize("role", [Role.ANALYST, Role.ADMIN])
def test_any_of_the_roles_suffices(role):
    authorise(caller(role), ANALYSTS, "town")


@pytest.mark.parametrize("role", [Role.READER, Role.INGESTER, Role.TRAINER])
def test_another_role_is_told_which_one_is_needed(role):
    with pytest.raises(PermissionRefused, match="requires the role analyst or admin"):
        authorise(caller(role), ANALYSTS, "town")


def test_a_region_out_of_scope_is_refused_by_no_name():
    own = caller(Role.ADMIN, regions=frozenset({"town"}))
    authorise(own, ANALYSTS, "town")
    with pytest.raises(PermissionRefused) as refused:
        authorise(own, ANALYSTS, "city")
    assert "city" not in refused.value.message
    assert "town" not in refused.value.message
    assert refused.value.field == "region"


def test_outside_of_regions_a_limited_key_needs_a_route_that_confines_itself():
    own = caller(Role.ADMIN, regions=frozenset())
    with pytest.raises(PermissionRefused, match="not limited to some regions"):
        authorise(own, ANALYSTS, None)
    authorise(own, RoutePolicy(ANALYSTS.roles, confined=True), None)
    authorise(caller(Role.ADMIN), ANALYSTS, None)


def test_a_route_without_roles_opens_to_nobody():
    with pytest.raises(PermissionRefused):
        authorise(caller(*Role), RoutePolicy(frozenset()), "town")
