"""Zip archives: data files of one known format, zips of them, or the parts of one shapefile."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO

from app.core.errors import InvalidInput, LimitExceeded
from app.core.texts import SHOWN_CHARS, cut, shortened
from app.readers.blocks import Block, Blocks
from app.readers.context import (
    FileReader,
    ReadContext,
    check_members,
    chunks_of,
    spooled,
    write_file,
)
from app.readers.damage import damage_as_invalid_input
from app.readers.files.delimited import is_table
from app.readers.files.office import SHAPEFILE_MAGIC, layer_blocks
from app.readers.reading import LeftAside

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
MAX_MEMBERS = 1_000
"""Of those that are read."""
MAX_LISTED = 20_000
"""Of all; a country's police forces over three years make five thousand."""
PROBED_BYTES = 1 << 16
_SYSTEM = re.compile(r"^__MACOSX/|(^|/)(\._|\.DS_Store$|Thumbs\.db$)")
_ABOUT = re.compile(
    r"read.?me|metadata|dictionary|codebook|licen[cs]e|schema|description|about|lookup|legend|glossary|terms",
    re.IGNORECASE,
)
_STREET = re.compile(r"-street\.csv$", re.IGNORECASE)
_BESIDE_STREET = re.compile(r"-(outcomes|stop-and-search)\.csv$", re.IGNORECASE)
"""What police.uk packs beside the crimes: results of cases, and people who were searched."""


@dataclass(frozen=True)
class _Member:
    """A file of the archive, or of an archive in it."""

    name: str
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.name)

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()

    @property
    def layer(self) -> tuple[int, str]:
        """What the parts of one shapefile have in common."""
        return id(self.archive), str(self.path.with_suffix("")).lower()


@dataclass(frozen=True)
class _Choice:
    """Data files to read, or the shapefile whose parts these are, and what is left aside."""

    data: Sequence[_Member]
    is_shapefile: bool
    aside: tuple[LeftAside, ...]


def zip_reader(readers: Mapping[str, FileReader]) -> FileReader:
    """Return a reader of a zip archive's data files, all of one format, or of its one shapefile.

    Args:
        readers: by suffix of the member.
    """

    def read_zip(file: IO[bytes], context: ReadContext) -> Blocks:
        with (
            damage_as_invalid_input("zip archive"),
            ExitStack() as stack,
            zipfile.ZipFile(file) as archive,
        ):
            members = _members(archive, context, stack)
            yield from _blocks(_chosen(members, readers, context), readers, context)

    return read_zip


def _members(archive: zipfile.ZipFile, context: ReadContext, stack: ExitStack) -> list[_Member]:
    """Return the files of an archive, and of the archives in it."""
    found: list[_Member] = []
    for info in archive.infolist():
        if info.is_dir() or _SYSTEM.search(info.filename):
            continue
        member = _Member(info.filename, archive, info)
        if member.suffix != ".zip":
            found.append(member)
            continue
        check_members([info], context)
        with archive.open(info) as packed:
            body = stack.enter_context(spooled(chunks_of(packed)))
        inner = stack.enter_context(zipfile.ZipFile(body))
        found += [
            _Member(f"{info.filename}/{one.filename}", inner, one)
            for one in inner.infolist()
            if not one.is_dir() and not _SYSTEM.search(one.filename)
        ]
        _check_number(len(found), MAX_LISTED)
    _check_number(len(found), MAX_LISTED)
    return found


def _check_number(n: int, limit: int = MAX_MEMBERS) -> None:
    if n > limit:
        raise LimitExceeded(f"{n} files, the limit of an archive is {limit}", code="archive")


def _chosen(
    members: Sequence[_Member], readers: Mapping[str, FileReader], context: ReadContext
) -> _Choice:
    """Return what to read of an archive.

    Raises:
        InvalidInput: it holds no data file, several shapefiles, or files of several formats.
    """
    layers = [m for m in members if m.suffix == ".shp"]
    data = [m for m in members if m.suffix in readers]
    asked = context.options.mapping.part
    if asked is not None and len(layers) + len(data) > 1:
        layers, data = _asked(layers, asked), _asked(data, asked)
        if not layers and not data:
            raise InvalidInput(
                f"the archive has no data file {shortened(asked)}; it holds {_listed(members)}",
                field="part",
                code="unknown_part",
            )
    elif asked is None:
        data = _of_incidents(data, context, has_layers=bool(layers))
    if not layers and not data:
        raise InvalidInput(
            f"the archive must hold data files of one format or one shapefile, it holds {_listed(members)}",
            code="archive",
        )
    formats = {"text" if m.suffix in TEXT_SUFFIXES else m.suffix for m in data}
    if len(layers) + len(formats) > 1:
        raise InvalidInput(
            "the archive must hold data files of one format or one shapefile, it holds "
            f"{_listed([*layers, *data])}; name those to read by part=, such as part=*.csv",
            code="archive",
        )
    taken = [m for m in members if m.layer == layers[0].layer] if layers else data
    names = {m.name for m in taken}
    aside = [m for m in members if m.name not in names]
    return _Choice(
        [m for m in taken if m.suffix in SHAPEFILE_PARTS] if layers else taken,
        bool(layers),
        tuple(LeftAside("file", m.name, _reason(m, asked)) for m in aside),
    )


def _asked(members: Sequence[_Member], asked: str) -> list[_Member]:
    """Return the members that a name or a pattern (`*-street.csv`) means."""
    exact = [m for m in members if asked in (m.name, m.path.name)]
    return exact or [m for m in members if fnmatch(m.name, asked)]


def _of_incidents(data: list[_Member], context: ReadContext, *, has_layers: bool) -> list[_Member]:
    """Leave aside texts about the data, and the tables beside police.uk's crimes."""
    if any(_STREET.search(m.name) for m in data):
        data = [m for m in data if not _BESIDE_STREET.search(m.name)]
    if len(data) + has_layers == 1:
        return data
    sure = {m.name for m in data if m.suffix != ".txt" and not _ABOUT.search(m.path.name)}
    if not sure and not has_layers:
        return data
    return [m for m in data if m.name in sure or _is_table(m, context)]


def _is_table(member: _Member, context: ReadContext) -> bool:
    if member.suffix not in TEXT_SUFFIXES:
        return False
    with member.archive.open(member.info) as file:
        return is_table(file.read(PROBED_BYTES), context.options)


def _reason(member: _Member, asked: str | None) -> str:
    return "not_asked" if asked is not None and member.suffix != ".prj" else "no_incidents"


def _listed(members: Sequence[_Member]) -> str:
    return cut(", ".join(m.name for m in members), SHOWN_CHARS) or "none"


def _blocks(choice: _Choice, readers: Mapping[str, FileReader], context: ReadContext) -> Blocks:
    _check_number(len(choice.data))
    for archive in {id(m.archive): m.archive for m in choice.data}.values():
        check_members([m.info for m in choice.data if m.archive is archive], context)
    mapping = context.options.mapping
    if mapping.part is not None and len(choice.aside) > 0:
        options = replace(context.options, mapping=replace(mapping, part=None))
        context = replace(context, options=options)
    if choice.is_shapefile:
        name = next(m.name for m in choice.data if m.suffix == ".shp")
        for block in _shapefile_blocks(choice.data, context):
            yield _of_file(block, name, choice.aside)
        return
    for member in sorted(choice.data, key=lambda m: m.name):
        with (
            _named(member, alone=len(choice.data) == 1),
            member.archive.open(member.info) as file,
        ):
            for block in readers[member.suffix](file, context):
                yield _of_file(block, member.name, choice.aside)


def _of_file(block: Block, name: str, aside: tuple[LeftAside, ...]) -> Block:
    reading = block.plan.reading
    said = replace(reading, file=cut(name, SHOWN_CHARS), not_read=(*reading.not_read, *aside))
    return replace(block, plan=replace(block.plan, reading=said))


@contextmanager
def _named(member: _Member, *, alone: bool) -> Iterator[None]:
    """Prefix errors with the file they are about, if there are several."""
    try:
        yield
    except InvalidInput as error:
        if not alone:
            way_out = "; leave it out, or name the files to read by part="
            advice = way_out if error.code == "missing_column" else ""
            error.message = f"{cut(member.name, SHOWN_CHARS)}: {error.message}{advice}"
            error.args = (error.message,)
        raise


def _shapefile_blocks(members: Sequence[_Member], context: ReadContext) -> Blocks:
    """Read a shapefile's parts under a name of our own: no path from the archive is trusted."""
    with tempfile.TemporaryDirectory() as folder:
        for member in members:
            with member.archive.open(member.info) as source:
                write_file(Path(folder) / f"layer{member.suffix}", chunks_of(source))
        yield from layer_blocks(Path(folder) / "layer.shp", SHAPEFILE_MAGIC, context)
