"""Turn errors of binary file readers into messages that a caller can act on."""

from __future__ import annotations

import sqlite3
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from openpyxl.utils.exceptions import InvalidFileException
from shapely.errors import ShapelyError

from app.core.errors import InvalidInput
from app.readers.context import check_disk

_DAMAGE = (
    pa.ArrowException,
    ShapelyError,
    sqlite3.Error,
    zipfile.BadZipFile,
    zlib.error,
    InvalidFileException,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    UnboundLocalError,
    ValueError,
)
"""Exceptions that the libraries raise on damaged files.

`SyntaxError` comes from XML, `RuntimeError` also from GDAL, `UnboundLocalError` from layers with a broken
projection.
"""


_STRUCTURE = (pa.ArrowException, zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError)
"""Exceptions about the file's structure; messages of the others may repeat a cell's value."""

# Warnings about odd cells (a birth date before 1900, say) repeat the cell on standard error. Cython code
# has no module of its own there: its warnings name the caller's.
for _module in (r"openpyxl\.", r"pyogrio\.", r"app\.readers\."):
    warnings.filterwarnings("ignore", module=_module)


@contextmanager
def damage_as_invalid_input(what: str) -> Iterator[None]:
    """Turn any error of a reading library into `InvalidInput`.

    `MemoryError` passes: the limits of the process handle it.

    Raises:
        Unavailable: the disk is full.
        InvalidInput: the file is not a readable `what`.
    """
    try:
        yield
    except MemoryError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError):
            check_disk(error)
        lines = str(error).splitlines() if isinstance(error, _STRUCTURE) else []
        shown = f": {lines[0][:200]}" if lines else ""
        raise InvalidInput(f"not a readable {what}{shown}", code="damaged") from error
