"""Where an upload's bytes are: in a file on this disk, or behind a stream from somewhere else."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol, Self

from windowshop.errors import InvalidInput, TooLarge, Unavailable

CHUNK = 1 << 18
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class NoRoom(TooLarge):
    """A file has to lie on the disk to be read, and the disk has no room for it."""


class Bytes(Protocol):
    """As much of a stream as is needed to read it once from its start."""

    def read(self, size: int = -1, /) -> bytes: ...

    def close(self) -> None: ...


class Origin(Protocol):
    """The bytes of one upload. They can be read again and again, and are the same every time."""

    name: str
    size: int
    folder: Path | None
    """Where what has to be unpacked may lie; None: wherever temporary files do."""

    def open(self) -> IO[bytes]:
        """From the first byte on; not seekable. Raises InvalidInput, Unavailable."""

    def on_disk(self) -> Path:
        """The same bytes as a file. Raises InvalidInput, Unavailable, NoRoom."""


class OnDisk:
    """A file that a person named. Raises InvalidInput where it is none."""

    folder: Path | None = None

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            raise InvalidInput(f"{path} is a folder: name the files in it")
        self.name = path.name
        self._path = path
        with self.open():
            self.size = path.stat().st_size

    def open(self) -> IO[bytes]:
        try:
            return self._path.open("rb")
        except OSError as error:
            raise InvalidInput(f"cannot read {self._path}: {error.strerror or error}") from None

    def on_disk(self) -> Path:
        return self._path


class Streamed:
    """Bytes that `opener` gives from their start, every time anew. They come to lie in `folder`
    only where they have to (zip, Parquet), and are read from there afterwards.
    """

    def __init__(self, name: str, size: int, opener: Callable[[], Bytes], folder: Path) -> None:
        self.name = name
        self.size = size
        self.folder: Path | None = folder
        self._room = folder
        self._opener = opener
        self._spooled: Path | None = None

    def open(self) -> IO[bytes]:
        if self._spooled is not None:
            return self._spooled.open("rb")
        reader: Any = _Reader(self._opener(), self.name)
        return reader  # type: ignore[no-any-return] # what is read of an IO, without the rest

    def on_disk(self) -> Path:
        if self._spooled is None:
            free = shutil.disk_usage(self._room).free
            if free < self.size:
                raise no_room(self.name, self.size, free)
            path = self._room / "upload"
            with self.open() as source, path.open("wb") as target:
                copy(source, target, self.name)
            self._spooled = path
        return self._spooled


class _Reader:
    """A stream that counts, whose every failure is one of the place that it comes from."""

    def __init__(self, inner: Bytes, name: str) -> None:
        self._inner, self._name = inner, name
        self._at = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        try:
            chunk = self._inner.read(size)
        except OSError as error:
            raise Unavailable(f"{self._name} broke off while it was read: {error}") from None
        self._at += len(chunk)
        return chunk

    read1 = read

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self.closed = True
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def copy(source: Any, target: IO[bytes], name: str) -> None:
    """All of `source` into a file. Raises NoRoom where the disk is full."""
    written = 0
    try:
        while chunk := source.read(CHUNK):
            target.write(chunk)
            written += len(chunk)
        target.flush()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise no_room(name, written + CHUNK, 0) from None


def no_room(name: str, size: int, free: int) -> NoRoom:
    return NoRoom(
        f"{name} has to be unpacked to be read, which takes more than {size >> 20:,} MiB, and the "
        f"disk has {free >> 20:,}: upload it as CSV or JSON Lines, plain or in .gz, which are read "
        "as they come, or cut it into parts"
    )
