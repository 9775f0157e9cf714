"""Texts in requests: each has a limit, which the OpenAPI document tells."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.core.bounds import MAX_TEXT_CHARS

ShortText = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
"""A name, a category, an id, a column."""
LongText = Annotated[str, Field(max_length=2 * MAX_TEXT_CHARS)]
"""Two of them in one."""
