"""Zip archives: one data file of any known format, or the parts of one shapefile."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from app.domain.errors import InvalidInput
from app.services.ingest_decoding import READ_BYTES
from app.services.ingest_files import check_sizes, damage_named, layer_blocks, spooled, write_file
from app.services.ingest_readers import Block, Reader, ReadOptions

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
SYSTEM_FOLDER = "__MACOSX/"
_SHAPEFILE_MAGIC = b"\x00\x00\x27\x0a"


def zip_reader(readers: Mapping[str, Reader]) -> Reader:
    """A reader of the one data file, or the one shapefile, that a zip archive holds.

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
    if len(data) != 1:
        raise InvalidInput(
            f"the archive must hold one data file or one shapefile, not {len(data)}",
            code="archive",
        )
    check_sizes(data, options)
    with archive.open(data[0]) as member:
        chunks = iter(lambda: member.read(READ_BYTES), b"")
        yield from readers[_suffix(data[0])](chunks, options)


def _suffix(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).suffix.lower()


def _shapefile_blocks(
    archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], options: ReadOptions
) -> Iterator[Block]:
    """A shapefile's parts under one name of ours: no path from the archive is trusted."""
    with tempfile.TemporaryDirectory() as folder:
        for member in members:
            with archive.open(member) as source:
                chunks = iter(lambda source=source: source.read(READ_BYTES), b"")  # type: ignore[misc]
                write_file(Path(folder) / f"layer{_suffix(member)}", chunks)
        yield from layer_blocks(Path(folder) / "layer.shp", _SHAPEFILE_MAGIC, options)
