"""One process at a time, where several write into the same folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Waits for whoever holds the file `lock`, here or in another process. Its folder must exist;
    the file stays, since one that went could be locked twice.
    """
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
