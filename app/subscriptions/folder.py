"""Files in a folder below the administrator's: each appears whole, under a name that repeats its delivery."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.subscriptions.failures import FAILURES, PushFailed, reason_of
from app.subscriptions.notice import Notice


def folder_of(address: str, settings: Settings) -> Path:
    """Return the folder of a subscription; it need not exist yet.

    Raises:
        InvalidInput: no setting allows folders, or a link leads out of the administrator's.
    """
    if settings.push_folder is None:
        raise InvalidInput(
            "folders need HOTSLOT_PUSH_FOLDER", field="target", code="no_push_folder"
        )
    root = settings.push_folder.resolve()
    found = (root / address).resolve()
    if not found.is_relative_to(root) or found == root:
        raise InvalidInput(
            f"{address} leads out of HOTSLOT_PUSH_FOLDER", field="address", code="outside"
        )
    return found


def file_name(notice: Notice, fmt: str) -> str:
    """Return a name with region, hour and the delivery's id, which no other file has."""
    begin = notice.plan.forecast.labels()["from"][:16].replace(":", "")
    region = notice.plan.forecast.version.region.id
    event = notice.delivery.occasion.partition(":")[0]
    return f"{region}-{begin}-{event}-{notice.delivery.id}.{fmt}"


def write_files(address: str, settings: Settings, files: Mapping[str, bytes]) -> None:
    """Write files {name: content}; one that exists already is replaced by the same again.

    Raises:
        PushFailed: the folder is not set up, or cannot be written.
    """
    try:
        folder = folder_of(address, settings)
    except InvalidInput as error:
        if error.code == "outside":
            raise PushFailed(FAILURES.make("push_folder", reason=reason_of(error))) from error
        missing = FAILURES.make("push_not_set_up", setting="HOTSLOT_PUSH_FOLDER")
        raise PushFailed(missing) from error
    root = Path(str(settings.push_folder)).resolve()
    try:
        # Whoever may read the administrator's folder reads what is put there.
        mode = root.stat().st_mode & 0o777
        for missing_folder in _missing(root, folder):
            missing_folder.mkdir()
            missing_folder.chmod(mode)
        for name, content in files.items():
            _write(folder / name, content, (mode & 0o666) | 0o600)
    except OSError as error:
        failure = FAILURES.make("push_folder", reason=error.strerror or reason_of(error))
        raise PushFailed(failure) from error


def _missing(root: Path, folder: Path) -> list[Path]:
    """Return the folders to create, outermost first. The administrator's own must exist."""
    between = [
        p for p in (*reversed(folder.parents), folder) if p != root and p.is_relative_to(root)
    ]
    return [path for path in between if not path.exists()]


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a file under a hidden name, then rename it: programs that watch the folder see it whole."""
    draft = file.with_name(f".{file.name}.part")
    with draft.open("wb") as opened:
        os.fchmod(opened.fileno(), mode)
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)
