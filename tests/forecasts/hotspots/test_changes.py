"""What the flagged cells of a week before say about those of today."""

from app.forecasts.hotspots.changes import moves_of


def test_new_cells_have_no_earlier_rank_and_others_gain_what_they_rose():
    before = {"b": 1, "gone": 2, "a": 3, "c": 4}
    assert moves_of(["a", "b", "new", "c"], before) == {
        "entered": [False, False, True, False],
        "rank_before": [3, 1, None, 4],
        "rank_change": [2, -1, None, 0],
    }
