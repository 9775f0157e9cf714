"""Zip archives: data files of one known format, or the parts of one shapefile."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from app.core.errors import InvalidInput, LimitExceeded
from app.core.texts import SHOWN_CHARS, cut
from app.readers.blocks import Blocks
from app.readers.context import FileReader, ReadContext, check_members, chunks_of, write_file
from app.readers.damage import damage_as_invalid_input
from app.readers.office import SHAPEFILE_MAGIC, layer_blocks

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
SYSTEM_FOLDER = "__MACOSX/"
MAX_MEMBERS = 1_000


def zip_reader(readers: Mapping[str, FileReader]) -> FileReader:
    """Return a reader of a zip archive's data files, all of one format, or of its one shapefile.

    Args:
        readers: by suffix of the member.
    """

    def read_zip(file: IO[bytes], context: ReadContext) -> Blocks:
        with damage_as_invalid_input("zip archive"), zipfile.ZipFile(file) as archive:
            yield from _blocks(archive, readers, context)

    return read_zip


def _blocks(
    archive: zipfile.ZipFile, readers: Mapping[str, FileReader], context: ReadContext
) -> Blocks:
    members = [m for m in archive.infolist() if not m.is_dir()]
    members = [m for m in members if not m.filename.startswith(SYSTEM_FOLDER)]
    layer = [m for m in members if _suffix(m) in SHAPEFILE_PARTS]
    data = [m for m in members if _suffix(m) in readers]
    if not data and sum(_suffix(m) == ".shp" for m in layer) == 1:
        check_members(layer, context)
        yield from _shapefile_blocks(archive, layer, context)
        return
    formats = {_suffix(m) for m in data}
    if len(formats) != 1:
        raise InvalidInput(
            "the archive must hold data files of one format or one shapefile, it holds "
            f"{cut(', '.join(sorted(formats)), SHOWN_CHARS) or 'none'}",
            code="archive",
        )
    if len(data) > MAX_MEMBERS:
        raise LimitExceeded(
            f"{len(data)} files, the limit of an archive is {MAX_MEMBERS}", code="archive"
        )
    check_members(data, context)
    for member in sorted(data, key=lambda m: m.filename):
        with _named(member, alone=len(data) == 1), archive.open(member) as file:
            yield from readers[_suffix(member)](file, context)


@contextmanager
def _named(member: zipfile.ZipInfo, *, alone: bool) -> Iterator[None]:
    """Prefix errors with the file they are about, if there are several."""
    try:
        yield
    except InvalidInput as error:
        if not alone:
            error.message = f"{cut(member.filename, SHOWN_CHARS)}: {error.message}"
            error.args = (error.message,)
        raise


def _suffix(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).suffix.lower()


def _shapefile_blocks(
    archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], context: ReadContext
) -> Blocks:
    """Read a shapefile's parts under a name of our own: no path from the archive is trusted."""
    with tempfile.TemporaryDirectory() as folder:
        for member in members:
            with archive.open(member) as source:
                write_file(Path(folder) / f"layer{_suffix(member)}", chunks_of(source))
        yield from layer_blocks(Path(folder) / "layer.shp", SHAPEFILE_MAGIC, context)
