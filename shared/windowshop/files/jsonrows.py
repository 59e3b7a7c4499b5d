"""JSON Lines, and a JSON array (or one object after another), as rows, streamed."""

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

import orjson

from windowshop.errors import InvalidInput
from windowshop.files.decode import MARK
from windowshop.files.delimited import MAX_ROW, lines_of
from windowshop.table import MAX_EXCERPT, BadRow, Row

CHUNK = 1 << 16
_GAP = re.compile(r"[\s,]*")
_ENVELOPE = re.compile(r'\s*\{\s*"(?:items|events)"\s*:\s*\[')
_ARRAY = re.compile(r"\s*\[\s*(?:[{\]]|$)")
_OBJECT = re.compile(r"\s*\{")


def form_of(sample: str) -> str | None:
    """`array`, `lines`, `objects` (each on any number of lines), or None: it is not JSON."""
    if _ENVELOPE.match(sample) or _ARRAY.match(sample):
        return "array"
    if not _OBJECT.match(sample):
        return None
    # Laid out for people, an object opens on one line and closes on a later one, indented between.
    heads = [line for line in sample.lstrip().split("\n")[:50] if line.startswith("{")]
    return "lines" if any(map(_is_object, heads)) else "objects"


def _is_object(line: str) -> bool:
    try:
        return type(orjson.loads(line)) is dict
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return False


def read(text: TextIO, form: str, name: str) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows with the number of their first line. Raises InvalidInput where an array is broken."""
    return _lines(text) if form == "lines" else _values(text, form == "array", name)


def _lines(text: TextIO) -> Iterator[tuple[int, Row | BadRow]]:
    for number, line in enumerate(lines_of(text), 1):
        if len(line) > MAX_ROW:
            yield (
                number,
                BadRow("too_long", f"longer than {MAX_ROW:,} characters", line[:MAX_EXCERPT]),
            )
            continue
        try:
            value = orjson.loads(line)
        except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
            if line.strip():
                yield number, _broken(line, error)
            continue
        yield number, value if type(value) is dict else _no_object(value)


def _broken(line: str, error: Exception) -> BadRow:
    excerpt = line[:MAX_EXCERPT].rstrip().replace(MARK, "\ufffd")
    if MARK in line:
        return BadRow("bad_encoding", "holds bytes that are not in the file's encoding", excerpt)
    return BadRow("bad_json", f"not valid JSON: {error}", excerpt)


def _no_object(value: Any) -> BadRow:
    return BadRow("bad_json", "not an object", str(value)[:MAX_EXCERPT])


def _values(text: TextIO, array: bool, name: str) -> Iterator[tuple[int, Row | BadRow]]:
    """The objects of an array, read with never more than one object and a chunk in memory."""
    decode = json.JSONDecoder().raw_decode
    buffer, at, line, rows = "", 0, 1, 0
    ended = enveloped = False
    if array:
        buffer = text.read(CHUNK)
        opening = _ENVELOPE.match(buffer)
        enveloped = opening is not None
        at = opening.end() if opening else buffer.index("[") + 1
        line += buffer.count("\n", 0, at)
    while True:
        gap = _GAP.match(buffer, at)
        end = gap.end() if gap else at
        line += buffer.count("\n", at, end)
        at = end
        if at == len(buffer) and not ended:
            buffer, at = text.read(CHUNK), 0
            ended = not buffer
            continue
        if at == len(buffer) and not array:
            return
        if array and buffer[at : at + 1] == "]":
            _nothing_after(buffer[at + 1 :] + text.read(CHUNK), enveloped, name, rows, line)
            return
        try:
            value, end = decode(buffer, at)
            if end == len(buffer) and not ended and type(value) is not dict:
                raise json.JSONDecodeError(
                    "cut", buffer, at
                )  # a number may go on in the next chunk
        except (ValueError, RecursionError) as error:
            room = MAX_ROW - (len(buffer) - at)
            more = "" if ended or room <= 0 else text.read(max(CHUNK, len(buffer) - at))
            ended = ended or (not more and room > 0)
            if more:
                buffer, at = buffer[at:] + more, 0
                continue
            raise InvalidInput(
                f"{name} is broken at row {rows + 1:,}, line {line:,}: {_why(error, ended, room)}; "
                f"the {rows:,} rows before it were read"
            ) from None
        rows += 1
        yield line, _checked(value, buffer[at:end])
        line += buffer.count("\n", at, end)
        at = end


def _checked(value: Any, source: str) -> Row | BadRow:
    if MARK in source:
        excerpt = source[:MAX_EXCERPT].replace(MARK, "\ufffd")
        return BadRow("bad_encoding", "holds bytes that are not in the file's encoding", excerpt)
    return value if type(value) is dict else _no_object(value)


def _why(error: Exception, ended: bool, room: int) -> str:
    if room <= 0:
        return f"an element is longer than {MAX_ROW:,} characters, or not closed"
    if ended:
        return "the file ends before its array does, or " + getattr(error, "msg", str(error))
    return getattr(error, "msg", str(error))


def _nothing_after(rest: str, enveloped: bool, name: str, rows: int, line: int) -> None:
    rest = rest.strip()
    if enveloped:
        rest = (
            rest.removeprefix("}").strip()
            if rest.startswith("}")
            else rest or "the end of the file"
        )
    if rest:
        raise InvalidInput(
            f"{name} goes on after its array ends at line {line:,} (with {rest[:40]!r}): "
            f"one array of objects is read; the {rows:,} rows in it were"
        )
