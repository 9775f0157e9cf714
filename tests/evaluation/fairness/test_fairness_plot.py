"""The picture of a fairness report names what it shows, and stands what is missing or hostile."""

import pytest

from app.evaluation.fairness.plots import MAX_GROUPS, MAX_ROWS, fairness_plot


def row(name, share=0.5, **more):
    return {
        "name": name, "incident_share": share, "incident_share_lo": share, "incident_share_hi": share,
        "flagged_share": 0.4, "population_share": 0.5, **more,
    }  # fmt: skip


def report(rows, groups=None):
    return {
        "region": "town", "model": "stack", "n_incidents": 12_345, "flagged_percent": 5,
        "neighbourhoods": rows, "groups": groups or {},
    }  # fmt: skip


def texts(found, file_format="svg"):
    """Texts of the picture: matplotlib writes each as a comment beside its outlines."""
    return fairness_plot(found, file_format).decode()


def ratio(value=1.2):
    return {"ratio": {"value": value, "lo": value, "hi": value}}


def test_neighbourhoods_groups_and_numbers_are_named():
    svg = texts(
        report([row("Nord"), row("Süd $x$")], {"tenants": ratio(), "nobody": {"ratio": None}})
    )
    for text in ("Nord", "Süd $x$", "tenants", "population", "12,345 incidents", "top 5 %"):
        assert text in svg, text
    assert "nobody" not in svg


def test_without_groups_and_population_neither_is_drawn():
    svg = texts(report([row("Nord", population_share=None), row("Süd")]))
    assert "population" not in svg
    assert "everyone else" not in svg


def test_only_the_first_rows_and_groups_are_drawn_and_hidden_ones_never():
    rows = [row("hidden", None), *(row(f"part-{k:02d}") for k in range(MAX_ROWS + 1))]
    groups = {f"group-{k:02d}": ratio() for k in range(MAX_GROUPS + 1)}
    svg = texts(report(rows, groups))
    assert "hidden" not in svg
    assert f"part-{MAX_ROWS - 1:02d}" in svg
    assert f"part-{MAX_ROWS:02d}" not in svg
    assert f"group-{MAX_GROUPS - 1:02d}" in svg
    assert f"group-{MAX_GROUPS:02d}" not in svg


@pytest.mark.parametrize("bounds", [(0.4, 0.6), (0.6, 0.6), (0.5, 0.4)])
def test_bounds_that_rounding_put_on_the_wrong_side_are_drawn(bounds):
    low, high = bounds
    found = report([row("Nord", incident_share_lo=low, incident_share_hi=high)])
    assert fairness_plot(found, "png").startswith(b"\x89PNG")


def test_a_report_of_hidden_rows_only_is_a_picture_too():
    assert "distribution of the flagged area" in texts(report([row("hidden", None)]))
