"""A file as the data files in it: plain, in .gz, in .zip; counted and bounded as they unpack."""

import gzip
import io
import lzma
import re
import zipfile
import zlib
from dataclasses import dataclass, replace
from typing import IO, Any

from windowshop.errors import InvalidInput, TooLarge
from windowshop.files.origin import Origin

MAX_UNPACKED = 64 << 30
MAX_RATIO = 200  # tables shrink to a tenth, rarely to a fiftieth; bombs to a thousandth
RATIO_FROM = 64 << 20  # small files may be as repetitive as they like
MAX_MEMBERS = 1_000
CHUNK = 1 << 18

_FOREIGN = (
    (b"BZh", "packed by bzip2"),
    (b"\xfd7zXZ\x00", "packed by xz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"7z\xbc\xaf\x27\x1c", "packed by 7-Zip"),
    (b"Rar!", "packed by RAR"),
    (b"\xd0\xcf\x11\xe0", "an Excel or Word file"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3", "a SQLite database"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
_NO_DATA = re.compile(
    r"(^|/)(__MACOSX/|\.|readme|licen[cs]e|changelog|thumbs\.db)|\.(md|pdf|png|jpe?g|gif|webp|html?|docx?)$",
    re.IGNORECASE,
)


class Stream(io.RawIOBase):
    """The unpacked bytes of one member. Damage and excess are InvalidInput."""

    def __init__(self, inner: Any, raw: IO[bytes], opened: list[Any], name: str) -> None:
        self._inner, self._raw, self._opened, self._name = inner, raw, opened, name
        self._unpacked = 0

    def readable(self) -> bool:
        return True

    def position(self) -> int:
        """Bytes of the packed file read so far."""
        return 0 if self._raw.closed else self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._inner.read1(len(buffer))  # so that damage costs little of what is good
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError) as error:
            raise InvalidInput(f"{self._name} is damaged or cut off: {error}") from None
        except (NotImplementedError, RuntimeError) as error:
            raise InvalidInput(f"{self._name} cannot be unpacked: {error}") from None
        size = len(chunk)
        buffer[:size] = chunk
        self._unpacked += size
        if self._unpacked > RATIO_FROM and self._unpacked > MAX_RATIO * self.position():
            raise TooLarge(
                f"{self._name} unpacks to more than {MAX_RATIO} times its size: upload it unpacked"
            )
        if self._unpacked > MAX_UNPACKED:
            raise TooLarge(f"{self._name} unpacks to more than {MAX_UNPACKED >> 30} GiB: split it")
        return size

    def close(self) -> None:
        if not self.closed:
            for each in reversed(self._opened):
                each.close()
        super().close()


@dataclass(frozen=True, slots=True)
class Member:
    """One data file. `name` is what reports call it: `items.csv.gz`, `shop.zip/items.csv`."""

    origin: Origin
    name: str
    inside: str | None = None  # the name in the zip
    gzipped: bool = False

    def open(self) -> Stream:
        # The names of what a zip holds are at its end: it has to lie on the disk.
        zipped = self.inside is not None
        raw: IO[bytes] = self.origin.on_disk().open("rb") if zipped else self.origin.open()
        opened: list[Any] = [raw]
        inner: Any = raw
        try:
            if self.inside is not None:
                archive = zipfile.ZipFile(raw)
                inner = archive.open(self.inside)
                opened += [archive, inner]
            if self.gzipped:
                inner = gzip.GzipFile(fileobj=inner)
                opened.append(inner)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, KeyError) as error:
            raw.close()
            raise InvalidInput(f"{self.name} cannot be unpacked: {error}") from None
        return Stream(inner, raw, opened, self.name)

    def head(self, size: int) -> bytes:
        """The first `size` bytes."""
        with self.open() as stream, io.BufferedReader(stream, CHUNK) as buffered:
            return buffered.read(size)


def members(origin: Origin) -> tuple[list[Member], list[str]]:
    """The data files in it, and what else a zip held. Raises InvalidInput if there is none."""
    plain = Member(origin, origin.name)
    head = plain.head(8)
    if not head:
        raise InvalidInput(f"{origin.name} is empty")
    skipped: list[str] = []
    found = [plain]
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        found, skipped = _zipped(origin)
    return [_peeled(member) for member in found], skipped


def _zipped(origin: Origin) -> tuple[list[Member], list[str]]:
    path = origin.on_disk()
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise InvalidInput(f"{origin.name} is a damaged zip: {error}") from None
    names = {entry.filename for entry in entries}
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise InvalidInput(f"{origin.name} is an office document: save the sheet as CSV (UTF-8)")
    if len(entries) > MAX_MEMBERS:
        raise TooLarge(f"{origin.name} holds {len(entries)} files; at most {MAX_MEMBERS} are read")
    data = [entry for entry in entries if not _NO_DATA.search(entry.filename) and entry.file_size]
    if not data:
        raise InvalidInput(f"{origin.name} is a zip with no data in it")
    if any(entry.flag_bits & 1 for entry in data):
        raise InvalidInput(f"{origin.name} is locked with a password: unpack it first")
    chosen = [Member(origin, f"{origin.name}/{_shown(e.filename)}", e.filename) for e in data]
    kept = {entry.filename for entry in data}
    return chosen, [_shown(entry.filename) for entry in entries if entry.filename not in kept]


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:200])


def _peeled(member: Member) -> Member:
    head = member.head(16)
    if head[:2] == b"\x1f\x8b":
        member = replace(member, gzipped=True)
        head = member.head(16)
        if head[:2] == b"\x1f\x8b" or head[:4] == b"PK\x03\x04":
            raise InvalidInput(f"{member.name} is packed twice: unpack it once")
    elif head[:4] == b"PK\x03\x04":
        raise InvalidInput(f"{member.name} is a zip in a zip: unpack it once")
    if not head:
        raise InvalidInput(f"{member.name} is empty")
    for magic, kind in _FOREIGN:
        if head.startswith(magic):
            raise InvalidInput(
                f"{member.name} is {kind}: CSV, TSV, JSON, JSON Lines and Parquet are read, "
                "plain or in .gz or .zip"
            )
    return member
