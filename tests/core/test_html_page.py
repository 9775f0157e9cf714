"""Pages hold texts of users as texts, and need no other file."""

from html.parser import HTMLParser

import pytest

from app.core.output.html_page import page, percent, svg, table

HOSTILE = '<script src="//x">&"\''


class Read(HTMLParser):
    """What a browser makes of a page: its tags in order, and its texts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def test_cells_heads_and_caption_are_texts_whatever_they_hold():
    read = Read(table(HOSTILE, [HOSTILE, "n"], [[HOSTILE, 3], ["b", None]]))
    assert read.texts == [HOSTILE, HOSTILE, "n", HOSTILE, "3", "b", "None"]
    names = [tag for tag, _ in read.tags]
    assert names.count("tr") == 3
    assert (names.count("th"), names.count("td")) == (2, 4)
    assert "script" not in names


def test_a_page_is_whole_and_loads_nothing():
    read = Read(page("Report", [table("a", ["b"], []), "<p>end</p>"], style="p{color:red}"))
    assert not [a for _, a in read.tags if {"src", "href"} & a.keys()]
    assert read.texts[0] == "Report"
    assert "p{color:red}" in read.texts[1]
    assert read.texts[-1] == "end"


def test_a_picture_loses_what_only_a_file_may_begin_with():
    image = b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x" "y">\n<svg><g/></svg>'
    assert svg(image) == "<svg><g/></svg>"
    with pytest.raises(ValueError, match="substring"):
        svg(b"<?xml?><html>")


@pytest.mark.parametrize(
    ("share", "text"), [(0.1234, "12.3 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (None, "")]
)
def test_shares(share, text):
    assert percent(share) == text
