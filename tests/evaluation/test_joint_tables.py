"""Tables of joint tests, gains and lists: every figure of the result, and nothing where there is none."""

from app.cli.evaluation.backtests import rich_table
from app.evaluation.backtests.consistency.joint_tables import plain_tables
from app.evaluation.backtests.report import html_report

TEST = {"quantile": 0.4, "passed": True}
ROW = {
    "origin": "2024-03-01T00:00:00+00:00",
    "N": TEST,
    "S": {"quantile": 0.012, "passed": False},
    "CL": TEST,
    "clustering": {"periods": 0},
}
RATES = {
    name: {"passed": n, "of": 4, "rate": n / 4}
    for name, n in {"N": 4, "S": 3, "CL": 4, "all": 3}.items()
}
FAILURE = {"origin": ROW["origin"], "test": "S", "quantile": 0.012}
LATER = {**ROW, "S": TEST, "clustering": {"periods": 1}}
RESULT = {
    "models": {
        "stack": {
            "n": 0,
            "near_misses": {"distance_m": [0, 250], "fss": [0.25, 0.5]},
            "turnover": {"jaccard": 0.5, "left": 0.25, "flip_flop": None},
        }
    },
    "consistency": {
        "periods_before": 3,
        "models": {
            "stack": {**RATES, "failures": [FAILURE], "per_origin": [ROW, LATER, LATER, LATER]}
        },
    },
    "information_gain": {
        "block_days": 7,
        "rows": [
            {
                "model": "stack", "against": "uniform", "gain": 1.25, "lo": 1.0, "hi": 1.5, "p": 0.001,
                "p_t": 0.002, "p_w": 0.003, "places": 1.0, "hours": 0.5, "rate": -0.25,
            }
        ],
    },
}  # fmt: skip


def test_every_figure_is_in_its_table():
    tests, failures, gains, lists = plain_tables(RESULT)
    assert tests.rows == [["stack", "4 of 4", "3 of 4", "4 of 4", "3 of 4"]]
    assert "for 1 of the origins there was none" in tests.caption
    assert failures.rows == [["stack", "2024-03-01", "S", "0.012"]]
    assert gains.rows == [
        [
            "stack over uniform", "+1.250 [+1.000, +1.500]", "+1.000", "+0.500", "-0.250",
            "0.001", "0.002", "0.003",
        ]
    ]  # fmt: skip
    assert lists.rows == [["stack", "0.250", "0.500", "50.0 %", "25.0 %", ""]]
    for one in (tests, failures, gains, lists):
        assert {len(row) for row in one.rows} == {len(one.heads)}
        assert rich_table(one).row_count == len(one.rows)


def test_results_without_them_have_no_tables():
    assert plain_tables({"models": {"stack": {"n": 3}}}) == []
    hidden = {"models": {}, "consistency": None, "information_gain": None}
    assert plain_tables(hidden) == []


def test_brackets_are_no_styles_in_a_terminal():
    gains = plain_tables(RESULT)[2]
    (cell,) = list(rich_table(gains).columns[1].cells)
    assert cell == r"+1.250 [+1.000, +1.500]"


def test_the_report_has_them_all(monkeypatch):
    for plot in ("cap_plot", "calibration_plot"):
        monkeypatch.setattr(f"app.evaluation.backtests.report.{plot}", lambda *_: b"<svg></svg>")
    result = {
        **RESULT, "region": "x", "n": 0, "origins": [], "horizon_days": 28, "differences": [],
    }  # fmt: skip
    page = html_report(result)
    for text in ("3 of 4", "stack over uniform", "Fractions Skill Score", "2024-03-01"):
        assert text in page
