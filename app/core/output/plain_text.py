"""Escape stored text (names, categories, messages) for each medium.

Text from outside may hold control characters, terminal escapes, characters that reverse the reading
direction, or spreadsheet formulas. HTML has `html.escape`; pictures are drawn without formulas
(`app/core/output/plotting.py`).
"""

from __future__ import annotations

import re

# C0 and C1 controls, marks and embeddings of direction, line and paragraph separators, byte order
# marks, annotations, tags, lone surrogates.
_UNSEEN = (
    "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff"
)
_CONTROLS = re.compile(f"[\x00-\x1f{_UNSEEN}]")
_BEYOND_JSON = re.compile(f"[{_UNSEEN}]")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def on_one_line(text: str) -> str:
    r"""Escape a text's control characters for terminals and logs.

    >>> print(on_one_line("a\x1b[31mb\n\u202ec"))
    a\x1b[31mb\x0a\u202ec
    """
    return _CONTROLS.sub(_spelt, text)


def _spelt(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def with_bounds(value: float | None, low: float | None, high: float | None) -> str:
    """Format a value with its bounds; empty if one of them is missing.

    >>> with_bounds(1.5, 0.75, 2.25), with_bounds(1.5, None, 2.25)
    ('1.50 [0.75, 2.25]', '')
    """
    if value is None or low is None or high is None:
        return ""
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def json_for_terminals(text: str) -> str:
    """Escape in a JSON text the characters that JSON allows and terminals act on."""
    return _BEYOND_JSON.sub(lambda found: _json_escape(found.group()), text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def in_spreadsheet(text: str | None) -> str:
    """Return a text that no spreadsheet interprets as a formula.

    >>> in_spreadsheet("=1+1")
    "'=1+1"
    """
    if text is None:
        return ""
    return f"'{text}" if text.lstrip(" '").startswith(_FORMULA_STARTS) else text


def from_spreadsheet(text: str) -> str:
    """Undo `in_spreadsheet`.

    >>> [from_spreadsheet(in_spreadsheet(text)) for text in ("=1+1", "'=1", "'70s", "x")]
    ['=1+1', "'=1", "'70s", 'x']
    """
    guarded = text[:1] == "'" and text.lstrip(" '").startswith(_FORMULA_STARTS)
    return text[1:] if guarded else text
