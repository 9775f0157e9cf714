"""From bytes to lines: the same text in whatever pieces it comes."""

import gzip
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput, LimitExceeded
from app.readers.files.decoding import decoded, lines_of, text_of

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=300)


def pieces(body, cuts):
    """A body cut at these places."""
    edges = [0, *sorted(c % (len(body) + 1) for c in cuts), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


cuts = st.lists(st.integers(0, 10_000), max_size=8)


@given(texts, cuts, st.booleans())
def test_utf8_is_read_back_with_and_without_a_mark(text, cuts, mark):
    body = text.encode("utf-8-sig" if mark else "utf-8")
    if re.search(r"^.\x00|^\x00", text) is None:
        assert "".join(text_of(iter(pieces(body, cuts)))) == text


@given(st.text("abcdé \n,", min_size=2), st.sampled_from(["utf-16", "utf-16-le", "utf-16-be"]))
def test_utf16_is_known_by_its_mark_or_its_zero_bytes(text, name):
    assert "".join(text_of(iter([text.encode(name)]))) == text


def test_other_bytes_are_windows_1252():
    assert "".join(text_of(iter(["café “x” €".encode("cp1252")]))) == "café “x” €"
    with pytest.raises(InvalidInput, match="encoding="):
        list(text_of(iter([b"\x81"])))


@given(st.text("ab\r\n\u2028\x0c", max_size=60), cuts)
def test_lines_end_as_files_end_them_wherever_chunks_are_cut(text, cuts):
    found = list(lines_of(iter(pieces(text, cuts)), 1_000))
    assert "".join(found) == text
    assert found == re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+", text)


def test_a_line_longer_than_a_row_may_be_is_refused_by_its_number():
    with pytest.raises(InvalidInput, match="line 2 is longer than 50 characters"):
        list(lines_of(iter(["short\n", "x" * 30, "x" * 30]), 50))


@given(st.binary(max_size=2_000), cuts, st.integers(1, 3))
def test_gzip_of_several_members_is_read_in_any_pieces(body, cuts, members):
    sent = gzip.compress(body) * members
    for encoding in ("gzip", "x-gzip"):
        got = decoded(iter(pieces(sent, cuts)), encoding, 10_000, 100)
        assert b"".join(got) == body * members
    assert b"".join(decoded(iter(pieces(body, cuts)), None, 10_000, 100)) == body


@given(st.binary(min_size=1, max_size=500), st.data())
def test_gzip_that_ends_early_is_damaged(body, data):
    sent = gzip.compress(body)
    cut = sent[: data.draw(st.integers(1, len(sent) - 1))]
    with pytest.raises(InvalidInput) as refused:
        list(decoded(iter([cut]), "gzip", 10_000, 100))
    assert refused.value.code == "damaged"


def test_more_bytes_than_allowed_and_unknown_encodings_are_refused():
    for encoding, sent in ((None, b"x" * 101), ("gzip", gzip.compress(b"x" * 101))):
        with pytest.raises(LimitExceeded, match="over 100 bytes"):
            list(decoded(iter([sent]), encoding, 100, 10_000))
    with pytest.raises(InvalidInput, match="use gzip"):
        list(decoded(iter([b""]), "br", 100, 100))
