"""Zip files that are the same whenever what is in them is the same."""

import hashlib
import os
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_MIDNIGHT = (1980, 1, 1, 0, 0, 0)
_READABLE = (stat.S_IFREG | 0o644) << 16  # by the runtime's user, who is not the one who packed


@dataclass(frozen=True, slots=True)
class Packed:
    """A zip as it is: bytes on disk, bytes unpacked, files, SHA-256."""

    zipped: int
    unzipped: int
    files: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def pack(path: Path, entries: Mapping[str, Path], level: int) -> Packed:
    """Write `entries` (name in the zip: file) to `path`, which appears whole or not at all."""
    work = path.with_name(f".{path.name}.{os.getpid()}")
    unzipped = 0
    try:
        with zipfile.ZipFile(work, "w") as archive:
            for name in sorted(entries):
                info = zipfile.ZipInfo(name, _MIDNIGHT)
                info.create_system, info.external_attr = 3, _READABLE
                info.compress_type = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
                body = entries[name].read_bytes()
                unzipped += len(body)
                archive.writestr(info, body, compresslevel=level)
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Packed(path.stat().st_size, unzipped, len(entries), digest)
