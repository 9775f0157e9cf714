"""What goes wrong in files that are no text, said so that a caller can act on it."""

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
from app.readers.inside import check_disk

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
"""What the libraries that read these formats raise on damaged files.

`SyntaxError` is XML's, `RuntimeError` also GDAL's; `UnboundLocalError` is what reading a layer with a
broken projection ends in.
"""


_STRUCTURE = (pa.ArrowException, zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError)
"""Of these, what complains of a file's frame; the others' messages may repeat a cell's value."""

# What these libraries say of odd cells (a birth date before 1900, say) repeats the cell, and goes
# to standard error. Cython code has no module of its own there: warnings name whoever called it.
for _module in (r"openpyxl\.", r"pyogrio\.", r"app\.services\.ingest_"):
    warnings.filterwarnings("ignore", module=_module)


@contextmanager
def damage_named(what: str) -> Iterator[None]:
    """Anything that a reading library raises becomes `InvalidInput`.

    A lack of memory is let through: the limits of the process say what to do about it.

    Raises:
        Unavailable: the disk is full.
        InvalidInput: the file is no readable `what`.
    """
    try:
        yield
    except MemoryError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError):
            check_disk(error)
        told = str(error).splitlines()[:1] if isinstance(error, _STRUCTURE) else []
        shown = f": {told[0][:200]}" if told else ""
        raise InvalidInput(f"not a readable {what}{shown}", code="damaged") from error
