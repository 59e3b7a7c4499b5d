"""Open an uploaded file, whatever it is: unpack, decode, recognise, and stream its rows.

CSV, TSV and other delimited text, JSON arrays, JSON Lines and Parquet, each plain, in .gz or .zip.
What a file is, its content says; its name says nothing. Memory is bounded however long it is.
"""

import hashlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from windowshop.columns import Options, listed
from windowshop.errors import InvalidInput
from windowshop.files import decode, delimited, jsonrows, parquet, unpack
from windowshop.files.origin import Bytes, NoRoom, OnDisk, Origin, Streamed, copy
from windowshop.table import BadRow, Row

__all__ = ["Bytes", "NoRoom", "Options", "Origin", "Rows", "Streamed", "open_rows"]

JSON_ROWS = 200  # rows of a JSON file whose keys are its columns at first
_FORMS = {"array": "JSON array", "lines": "JSON Lines", "objects": "JSON objects"}


@dataclass(frozen=True, slots=True)
class _Part:
    """One data file, recognised."""

    member: unpack.Member
    format: str
    columns: tuple[str, ...]
    encoding: str | None = None
    layout: delimited.Layout | None = None
    form: str = ""
    spool: Any = None  # a temporary file: packed Parquet has to be unpacked to be read


class Rows:
    """The rows of one file, as (line, row) pairs; every iteration reads it again from its start.

    format: "CSV", "JSON array", "JSON Lines", "JSON objects" or "Parquet"; encoding and delimiter
    are None where there is none. columns: all of them where `headed`, else (JSON) those of the
    first rows. here: the name of the file being read, with the member where a zip holds several.
    bytes_read / bytes_total: progress, roughly. skipped: what a zip held besides.
    """

    def __init__(self, origin: Origin, parts: list[_Part], skipped: list[str]) -> None:
        self._origin = origin
        self.name = origin.name
        self.here = parts[0].member.name if len(parts) > 1 else origin.name
        self.skipped = skipped
        self.bytes_total = origin.size
        self._parts = parts
        self._stream: unpack.Stream | None = None
        self._position = 0
        first = parts[0]
        self.format = first.format
        self.encoding = first.encoding
        self.delimiter = first.layout.delimiter if first.layout else None
        self.columns = tuple(dict.fromkeys(name for part in parts for name in part.columns))
        self.headed = not first.form

    @property
    def bytes_read(self) -> int:
        return self._position if self._stream is None else self._stream.position()

    @cached_property
    def content_hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the file's bytes, as they lie there."""
        digest = hashlib.sha256()
        with self._origin.open() as stream:
            while chunk := stream.read(unpack.CHUNK):
                digest.update(chunk)
        return digest.hexdigest()[:16]

    def about(self) -> str:
        """One line: what was found."""
        found = [self.format]
        if self.delimiter is not None:
            found.append(f"delimiter {self.delimiter!r}")
        found += sorted({f"encoding {part.encoding}" for part in self._parts if part.encoding})
        if len(self._parts) > 1:
            found.append(f"{len(self._parts)} files in the zip")
        if self.skipped:
            found.append(f"not read: {listed(self.skipped, 5)}")
        return ", ".join(found)

    def __iter__(self) -> Iterator[tuple[int, Row | BadRow]]:
        self._position = 0
        for part in self._parts:
            if len(self._parts) > 1:
                self.here = part.member.name
            if part.format == "Parquet":
                yield from parquet.read(_parquet_path(part), part.member.name, self._moved)
                continue
            with part.member.open() as self._stream, _text(self._stream, part.encoding) as text:
                yield from _text_rows(text, part)
            self._stream = None
        self._position = self.bytes_total

    def _moved(self, position: int) -> None:
        self._position = position

    def close(self) -> None:
        for part in self._parts:
            if part.spool is not None:
                part.spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_rows(source: Path | Origin, options: Options | None = None) -> Rows:
    """Recognise `source` and make it ready to be read. A text is read once to its end for this.

    Raises InvalidInput, naming what was tried, where it cannot be read, is empty, or breaks off.
    """
    options = options or Options()
    origin = OnDisk(source) if isinstance(source, Path) else source
    members, skipped = unpack.members(origin)
    parts: list[_Part] = []
    for member in members:
        part = _recognised(member, options)
        if parts and (
            part.format != parts[0].format or (not part.form and part.columns != parts[0].columns)
        ):
            raise InvalidInput(
                f"{origin.name} holds files that do not go together: {_described(parts[0])}, and "
                f"{_described(part)}. Upload them one by one"
            )
        parts.append(part)
    return Rows(origin, parts, skipped)


def _described(part: _Part) -> str:
    return f"{part.member.name} ({part.format}: {listed(part.columns, 8)})"


def _recognised(member: unpack.Member, options: Options) -> _Part:
    if member.head(4) == b"PAR1":
        spool = None
        if member.gzipped or member.inside is not None:
            spool = tempfile.NamedTemporaryFile(  # noqa: SIM115
                prefix="windowshop-", suffix=".parquet", dir=member.origin.folder
            )
            with member.open() as stream, io.BufferedReader(stream, unpack.CHUNK) as source:
                copy(source, spool, member.name)
        part = _Part(member, "Parquet", (), spool=spool)
        columns = tuple(parquet.columns_of(_parquet_path(part), member.name))
        return _Part(member, "Parquet", columns, spool=spool)
    encoding = decode.encoding_of(member, options.encoding)
    with member.open() as stream, _text(stream, encoding) as text:
        sample = text.read(delimited.SAMPLE)
        whole = not text.read(1)
    form = None if options.delimiter is not None else jsonrows.form_of(sample)
    if form is None:
        layout = delimited.layout_of(sample, whole, options.delimiter, options.header, member.name)
        return _Part(member, "CSV", layout.columns, encoding, layout)
    part = _Part(member, _FORMS[form], (), encoding, form=form)
    keys: dict[str, None] = {}
    with member.open() as stream, _text(stream, encoding) as text:
        first = list(islice(_text_rows(text, part), JSON_ROWS))
    if not first:
        raise InvalidInput(f"{member.name} holds no rows")
    for _, row in first:
        if not isinstance(row, BadRow):
            keys.update(dict.fromkeys(row))
    return _Part(member, _FORMS[form], tuple(keys), encoding, form=form)


def _parquet_path(part: _Part) -> Path:
    return part.member.origin.on_disk() if part.spool is None else Path(part.spool.name)


def _text(stream: unpack.Stream, encoding: str | None) -> io.TextIOWrapper:
    buffered = io.BufferedReader(stream, unpack.CHUNK)
    return io.TextIOWrapper(buffered, encoding, decode.ERRORS, newline=None)


def _text_rows(text: TextIO, part: _Part) -> Iterator[tuple[int, Row | BadRow]]:
    if part.layout is not None:
        return delimited.read(text, part.layout)
    return jsonrows.read(text, part.form, part.member.name)
