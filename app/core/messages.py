"""Messages for programs and people: a code, its parameters, and the English made from both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from string import Formatter
from typing import Any


class _Writer(Formatter):
    """`str.format` that also writes lists (`a, b`), counts by name (`a (1), b (2)`) and `12.3 %`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Write one value."""
        if isinstance(value, Mapping):
            return ", ".join(f"{name} ({n:,})" for name, n in value.items())
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value))
        text = str(super().format_field(value, format_spec))
        return f"{text[:-1]} %" if format_spec.endswith("%") else text


_WRITER = _Writer()


@dataclass(frozen=True)
class Message:
    """One message; programs and translations read `code` and `params`.

    >>> Message.from_json("of a release before codes").code
    'unspecified'
    """

    code: str
    params: Mapping[str, Any] = field(hash=False)
    message: str

    def __str__(self) -> str:
        return self.message

    def to_json(self) -> dict[str, Any]:
        """Return it as replies show it."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Any) -> Message:
        """Read a stored message; releases before 0.2 stored the text alone."""
        if isinstance(stored, str):
            return cls("unspecified", {}, stored)
        return cls(**stored)


class MessageTable:
    """Every message of a capability: {code: English template}.

    Values are JSON: numbers, texts, ISO dates, lists of texts, {name: count}.

    >>> table = MessageTable({"thin_data": "only {n:,} incidents of {categories}"})
    >>> table.make("thin_data", n=1200, categories=["theft", "fire"])
    Message(code='thin_data', params={'n': 1200, 'categories': ['theft', 'fire']}, message='only 1,200 \
incidents of theft, fire')
    """

    def __init__(self, templates: Mapping[str, str]) -> None:
        self.templates = dict(templates)

    def make(self, code: str, **params: Any) -> Message:
        """Fill the code's template.

        Raises:
            KeyError: no such code, or a parameter is missing.
        """
        return Message(code, params, _WRITER.vformat(self.templates[code], (), params))

    def fields(self, code: str) -> set[str]:
        """Return the names of the parameters that the code's template needs."""
        return {name for _, name, _, _ in _WRITER.parse(self.templates[code]) if name}
