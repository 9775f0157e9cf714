"""Pictures are drawn one at a time, the same bytes each time, with names as they are."""

import threading

import pytest

from app.core.output.plotting import drawing, file_of


def picture(name, file_format="svg"):
    with drawing(figsize=(2, 1), dpi=50) as figure:
        figure.suptitle(name)
        return file_of(figure, file_format, {"Title": name} if file_format == "png" else None)


@pytest.mark.parametrize("file_format", ["svg", "png"])
def test_equal_pictures_are_equal_bytes(file_format):
    first = picture("Nord", file_format)
    assert picture("Nord", file_format) == first
    assert picture("Süd", file_format) != first


def test_a_dollar_sign_in_a_name_starts_no_formula():
    assert b"<!-- Cash $x^2$ & \\bad -->" in picture("Cash $x^2$ & \\bad").replace(b"&amp;", b"&")


def test_a_second_thread_waits_for_the_first_picture():
    order = []

    def second():
        with drawing():
            order.append("second")

    with drawing():
        other = threading.Thread(target=second)
        other.start()
        other.join(0.1)
        order.append("first")
    other.join(60)
    assert order == ["first", "second"]


def test_a_picture_that_fails_lets_the_next_be_drawn():
    with pytest.raises(ValueError, match="bad axes"), drawing():
        raise ValueError("bad axes")
    assert picture("after").startswith(b"<?xml")
