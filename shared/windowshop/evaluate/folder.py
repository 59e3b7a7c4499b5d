"""Where a report is put: a folder with the page and its figures, and nothing else touched."""

import os
from pathlib import Path

import orjson

from windowshop import __version__
from windowshop.errors import InvalidInput
from windowshop.evaluate.page import GENERATOR, MARK, page
from windowshop.evaluate.report import Json
from windowshop.records import format_instant

PAGE, FIGURES = "index.html", "report.json"
_MARKS = {PAGE: MARK.encode(), FIGURES: f'"generator": "{GENERATOR}"'.encode()}
_HEAD = 1_000
"""A file of ours says so within so many bytes."""


def prepare(folder: Path) -> None:
    """Make the folder. Raises InvalidInput where a report cannot be put: before the work, not
    after it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InvalidInput(f"--report: {folder} is a file: name a folder") from None
    except OSError as error:
        raise InvalidInput(f"--report: {folder} cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(f"--report: {folder} may not be written to: name another folder")
    for name, mark in _MARKS.items():
        if not _is_ours(folder / name, mark):
            raise InvalidInput(
                f"--report: {folder / name} is no report of `windowshop evaluate` and is left "
                "alone: name another folder"
            )


def put(folder: Path, found: Json, command: str, now_ms: int) -> Path:
    """Write the report, over one that is there; returns where its page is. Raises InvalidInput."""
    prepare(folder)
    told = {
        "generator": GENERATOR,
        "version": __version__,
        "made_at": format_instant(now_ms)[:19] + "Z",
        "command": command,
        **found,
    }
    _write(folder / FIGURES, orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
    _write(folder / PAGE, page(told).encode())
    return folder / PAGE


def _is_ours(path: Path, mark: bytes) -> bool:
    """Whether there is nothing, or a report of before."""
    try:
        with path.open("rb") as file:
            return mark in file.read(_HEAD)
    except FileNotFoundError:
        return not path.is_symlink()
    except OSError:
        return False


def _write(path: Path, body: bytes) -> None:
    """All of it or nothing, whatever was there."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        draft.write_bytes(body)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InvalidInput(f"--report: {path} cannot be written: {error.strerror}") from None
