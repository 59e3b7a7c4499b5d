"""A copy of a home's log and of a store's items, made by the process that has them open for another
one that replays them (`windowshop evaluate` beside `windowshop serve`).
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from windowshop.errors import Unavailable
from windowshop.log.sqlite import SqliteLog
from windowshop.scratch import check_scratch
from windowshop.store.edge import EdgeStore

LOG, VECTORS = "source.sqlite", "vectors"
"""In the scratch folder; what else a shop in it has goes beside."""


def copy_into(folder: Path, log: SqliteLog, store: EdgeStore, tenant: str) -> None:
    """The log, and the items of `tenant`, each as of one moment; both are written to meanwhile.
    Raises InvalidInput for a folder that is no fresh scratch folder, Unavailable.
    """
    check_scratch(folder)
    with _left_clean(folder):
        log.copy(folder / LOG)
        try:
            store.copy_items(tenant, folder / VECTORS)
        except OSError as error:
            raise Unavailable(f"{folder} cannot be written: {error.strerror}") from error


@contextmanager
def _left_clean(folder: Path) -> Iterator[None]:
    """A command that was interrupted takes its folder away; what was written there since goes too,
    or nobody would ever remove it.
    """
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield
    finally:
        if os.fstat(held).st_nlink == 0:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
