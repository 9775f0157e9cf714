"""Whatever a reading library raises becomes a message of ours, without a cell's value in it."""

import errno
import sqlite3
import zipfile
import zlib

import pyarrow as pa
import pytest
from shapely.errors import GEOSException

from app.core.errors import InvalidInput, LimitExceeded, Unavailable
from app.readers.damage import damage_as_invalid_input

SECRET = "Jane Doe, 5 Main St"


def raised(error):
    with damage_as_invalid_input(".xlsx file"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET), TypeError(SECRET), KeyError(SECRET), IndexError(SECRET),
        AttributeError(SECRET), sqlite3.DatabaseError(SECRET), GEOSException(SECRET),
        OverflowError(SECRET), EOFError(), RuntimeError(SECRET), OSError(errno.EIO, SECRET),
        UnboundLocalError(SECRET), NotImplementedError(SECRET),
        UnicodeDecodeError("utf-8", b"", 0, 1, SECRET),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors_about_values_are_named_without_them(error):
    with pytest.raises(InvalidInput) as refused:
        raised(error)
    assert (refused.value.code, refused.value.message) == ("damaged", "not a readable .xlsx file")
    assert refused.value.__cause__ is error


@pytest.mark.parametrize("kind", [zipfile.BadZipFile, zlib.error, pa.ArrowInvalid, SyntaxError])
def test_errors_about_the_files_structure_say_their_first_line(kind):
    with pytest.raises(InvalidInput) as refused:
        raised(kind("footer is cut" + "!" * 300 + "\nat 0x7f"))
    message = refused.value.message
    assert message.startswith("not a readable .xlsx file: footer is cut!!!")
    assert len(message) <= len("not a readable .xlsx file: ") + 200


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_the_files_fault(number):
    with pytest.raises(Unavailable, match="the disk is full"):
        raised(OSError(number, "no space"))


@pytest.mark.parametrize("error", [MemoryError(), LimitExceeded("too large"), KeyboardInterrupt()])
def test_limits_and_our_own_errors_pass_as_they_are(error):
    with pytest.raises(type(error)) as passed:
        raised(error)
    assert passed.value is error
