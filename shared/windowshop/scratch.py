"""Folders for what a command throws away: gigabytes, where a shop is replayed. One that was killed
cannot clean up behind itself; the next one does.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from windowshop.errors import InvalidInput

PREFIX = "windowshop-scratch-"
FRESH_S = 60.0
"""Who made a folder a moment ago may not have come to lock it."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder that nobody else may enter; it goes when the command ends."""
    _sweep(Path(tempfile.gettempdir()), time.time())
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        held = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(held)


def _sweep(parent: Path, now: float) -> None:
    """Remove our own scratch folders that no process holds any more."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            found = os.fstat(held)
            if found.st_uid == os.getuid() and now - found.st_mtime > FRESH_S:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody works in it
        finally:
            os.close(held)


def check_scratch(folder: Path) -> None:
    """Only an empty folder that this user alone may enter, where its name says (no links on the
    way), and named as scratch folders are. Raises InvalidInput.
    """
    try:
        held = folder.lstat()
        fresh = (
            folder.is_absolute()
            and folder.resolve() == folder
            and folder.name.startswith(PREFIX)
            and stat.S_ISDIR(held.st_mode)
            and held.st_uid == os.getuid()
            and stat.S_IMODE(held.st_mode) == stat.S_IRWXU
            and not any(folder.iterdir())
        )
    except OSError:
        fresh = False
    if not fresh:
        raise InvalidInput(
            f"{str(folder)[:300]!r} is no empty scratch folder of the user who serves the home: "
            "run the command as that user"
        )
