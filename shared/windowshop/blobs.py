"""The port to the blobs: uploads, chunks, reports and saved state, each a body under a key.

A key is a path with slashes. `DirBlobs` keeps them in a folder; on AWS they are in S3.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from windowshop.errors import InvalidInput, NotFound, Unavailable

BINARY = "application/octet-stream"
MAX_KEY = 1_024
"""Bytes of a key, as S3 has it."""


class Blob(NamedTuple):
    """What is known of a body without reading it. `size` is in bytes. A listing gives neither
    `version` nor `metadata`; places that keep no versions give None.
    """

    key: str
    version: str | None
    size: int
    modified_ms: int
    metadata: Mapping[str, str] = {}


class Blobs(Protocol):
    """Every method raises Unavailable when the blobs cannot be reached, InvalidInput for a key that
    cannot be. Without `version` the newest is meant.
    """

    def head(self, key: str, version: str | None = None) -> Blob:
        """Raises NotFound."""

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """The body as a stream, to be closed; it cannot be wound back. Raises NotFound, and
        Unavailable while it is read.
        """

    def read(self, key: str) -> bytes:
        """The whole body. Raises NotFound."""

    def write(self, key: str, body: bytes | BinaryIO, content_type: str = BINARY) -> None:
        """Put a body under a key, whole or not at all; a stream is read to its end."""

    def list(self, prefix: str) -> Iterator[Blob]:
        """All whose key begins with `prefix`, by key."""

    def delete(self, keys: Sequence[str]) -> None:
        """Those that are not there are none the less gone."""


class DirBlobs:
    """Blobs as files below a folder, written by renaming. `versions` keeps what was overwritten.

    Unlike in S3 a key cannot continue another one: where `a` is, `a/b` cannot be.
    """

    def __init__(self, root: Path, *, versions: bool = False) -> None:
        self._root = root
        self._old = root / ".versions" if versions else None
        self._drafts = root / ".drafts"

    def head(self, key: str, version: str | None = None) -> Blob:
        path = self._path(key, version)
        try:
            known = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(key) from None
        if not path.is_file():
            raise _missing(key)
        named = None if self._old is None else str(known.st_mtime_ns)
        return Blob(key, named, known.st_size, known.st_mtime_ns // 1_000_000)

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        try:
            return self._path(key, version).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise _missing(key) from None
        except OSError as error:
            raise Unavailable(f"{key!r} cannot be read: {error.strerror}") from error

    def read(self, key: str) -> bytes:
        with self.open(key) as stream:
            return stream.read()

    def write(self, key: str, body: bytes | BinaryIO, content_type: str = BINARY) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._drafts.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._drafts)
            draft = Path(name)
        except (FileExistsError, NotADirectoryError):
            raise InvalidInput(f"{key!r}: a part of this path is a blob already") from None
        except OSError as error:
            raise Unavailable(f"{self._root} cannot be written: {error}") from error
        try:
            with os.fdopen(handle, "wb") as file:
                if isinstance(body, bytes):
                    file.write(body)
                else:
                    shutil.copyfileobj(body, file, 1 << 20)
            self._replace(draft, path, key)
        except OSError as error:
            raise Unavailable(f"{key!r} cannot be written: {error}") from error
        finally:
            draft.unlink(missing_ok=True)

    def _replace(self, draft: Path, path: Path, key: str) -> None:
        """The draft takes its place, later than what is there by at least a nanosecond: a version
        is named by its time, and the clock of a file system ticks slowly.
        """
        if path.is_dir():
            raise InvalidInput(f"{key!r}: other blobs are below this path already")
        if path.exists():
            before, now = path.stat().st_mtime_ns, draft.stat().st_mtime_ns
            if now <= before:
                os.utime(draft, ns=(before + 1, before + 1))
            if self._old is not None:
                kept = self._old / key / str(before)
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.unlink(missing_ok=True)
                os.link(path, kept)
        draft.replace(path)

    def list(self, prefix: str) -> Iterator[Blob]:
        folder = prefix.rpartition("/")[0]
        top = self._path(folder) if folder else self._root
        keys = sorted(
            (key.encode(), key)
            for path in top.rglob("*")
            if path.is_file()
            and (key := path.relative_to(self._root).as_posix()).startswith(prefix)
            and not key.startswith(".")
        )
        for _, key in keys:
            try:
                yield self.head(key)._replace(version=None)
            except NotFound:  # deleted meanwhile
                continue

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            path = self._path(key)
            if path.is_file():
                path.unlink(missing_ok=True)

    def _path(self, key: str, version: str | None = None) -> Path:
        """Where a body is. Raises InvalidInput for a key that leads elsewhere."""
        parts = key.split("/")
        if (
            not 0 < len(key.encode("utf-8", "replace")) <= MAX_KEY
            or not key.isprintable()
            or key.startswith(".")
            or not all(0 < len(part.encode()) < 256 and part not in {".", ".."} for part in parts)
        ):
            raise InvalidInput(f"{key[:100]!r} cannot be the key of a blob")
        path = self._root / key
        if version is None or (path.is_file() and version == str(path.stat().st_mtime_ns)):
            return path
        if self._old is None or not (version.isascii() and version.isdecimal()):
            raise _missing(key)
        return self._old / key / version


def _missing(key: str) -> NotFound:
    return NotFound(f"there is no blob {key!r}")
