"""The schema: what the package exports, and what goes with a region or a version."""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import Table

import app.core.db.tables as schema
from app.core.db.tables import (
    access,
    base,
    erasure,
    incident,
    monitoring,
    region,
    register,
    release,
    run,
    state,
    street,
    subscription,
    sync,
    version,
)

# Imported by name: the package has a table of this name.
presence = import_module("app.core.db.tables.presence")
SUBJECTS = (
    access,
    erasure,
    incident,
    monitoring,
    presence,
    region,
    register,
    release,
    run,
    state,
    street,
    subscription,
    sync,
    version,
)
STAYING = {"champions"}
"""Tables whose rows hold on to their version: a champion cannot be deleted."""


def tables_of(module):
    return {t.name for t in vars(module).values() if isinstance(t, Table)}


def test_the_package_exports_every_table_under_its_name():
    names = set().union(*map(tables_of, SUBJECTS))
    assert names == set(base.metadata.tables)
    assert {*schema.__all__} == {*names, "metadata"}
    assert all(getattr(schema, name) is base.metadata.tables[name] for name in names)


def test_rows_of_a_region_are_deleted_with_it():
    for table in base.metadata.tables.values():
        if "region_key" in table.c:
            assert any(
                key.ondelete == "CASCADE" and key.parent.name == "region_key"
                for key in table.foreign_keys
            ), table.name


def test_rows_of_a_version_are_deleted_with_it():
    for table in base.metadata.tables.values():
        keys = [
            key for key in table.foreign_keys if key.target_fullname == "model_versions.version"
        ]
        assert all(key.ondelete == "CASCADE" for key in keys) == (table.name not in STAYING)
