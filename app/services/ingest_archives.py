"""Zip archives: data files of one known format, or the parts of one shapefile."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from app.domain.errors import InvalidInput, LimitExceeded
from app.services.ingest_decoding import READ_BYTES
from app.services.ingest_files import check_sizes, damage_named, layer_blocks, spooled, write_file
from app.services.ingest_readers import Block, Reader, ReadOptions

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
SYSTEM_FOLDER = "__MACOSX/"
MAX_MEMBERS = 1_000
_SHAPEFILE_MAGIC = b"\x00\x00\x27\x0a"


def zip_reader(readers: Mapping[str, Reader]) -> Reader:
    """A reader of the data files, all of one format, or of the one shapefile that a zip archive holds.

    Args:
        readers: by suffix of the member.
    """

    def read_zip(chunks: Iterator[bytes], options: ReadOptions) -> Iterator[Block]:
        with (
            damage_named("zip archive"),
            spooled(chunks) as file,
            zipfile.ZipFile(file) as archive,
        ):
            yield from _blocks(archive, readers, options)

    return read_zip


def _blocks(
    archive: zipfile.ZipFile, readers: Mapping[str, Reader], options: ReadOptions
) -> Iterator[Block]:
    members = [m for m in archive.infolist() if not m.is_dir()]
    members = [m for m in members if not m.filename.startswith(SYSTEM_FOLDER)]
    layer = [m for m in members if _suffix(m) in SHAPEFILE_PARTS]
    data = [m for m in members if _suffix(m) in readers]
    if not data and sum(_suffix(m) == ".shp" for m in layer) == 1:
        check_sizes(layer, options)
        yield from _shapefile_blocks(archive, layer, options)
        return
    formats = {_suffix(m) for m in data}
    if len(formats) != 1:
        raise InvalidInput(
            "the archive must hold data files of one format or one shapefile, it holds "
            f"{', '.join(sorted(formats)) or 'none'}",
            code="archive",
        )
    if len(data) > MAX_MEMBERS:
        raise LimitExceeded(
            f"{len(data)} files, the limit of an archive is {MAX_MEMBERS}", code="archive"
        )
    check_sizes(data, options)
    for member in sorted(data, key=lambda m: m.filename):
        with _named(member, alone=len(data) == 1), archive.open(member) as file:
            yield from readers[_suffix(member)](_chunks(file), options)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(READ_BYTES), b"")


@contextmanager
def _named(member: zipfile.ZipInfo, *, alone: bool) -> Iterator[None]:
    """Errors say which of several files they are about."""
    try:
        yield
    except InvalidInput as error:
        if not alone:
            error.message = f"{member.filename}: {error.message}"
            error.args = (error.message,)
        raise


def _suffix(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).suffix.lower()


def _shapefile_blocks(
    archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], options: ReadOptions
) -> Iterator[Block]:
    """A shapefile's parts under one name of ours: no path from the archive is trusted."""
    with tempfile.TemporaryDirectory() as folder:
        for member in members:
            with archive.open(member) as source:
                write_file(Path(folder) / f"layer{_suffix(member)}", _chunks(source))
        yield from layer_blocks(Path(folder) / "layer.shp", _SHAPEFILE_MAGIC, options)
