"""Text with a delimiter (CSV and its kin) as rows; right again after a stray quote."""

import csv
import io
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TextIO

from windowshop.errors import InvalidInput
from windowshop.files.decode import MARK
from windowshop.table import MAX_EXCERPT, BadRow, Row

CHUNK = 1 << 18  # characters
MAX_ROW = 1 << 20  # characters
MAX_CELL = 131_072  # the csv module's own limit
MAX_COLUMNS = 2_000
SAMPLE = 1 << 16  # characters by which the delimiter is found
REREAD = (
    2_000_000  # lines that may be read again after stray quotes, so that no file makes this slow
)
DELIMITERS = (",", "\t", ";", "|", "^", "~", "\x01", "\x1f")  # those of equal merit: the first


class Layout(NamedTuple):
    """How a delimited text is written."""

    delimiter: str
    columns: tuple[str, ...]
    skip: int  # lines before the first row


def lines_of(text: TextIO) -> Iterator[str]:
    """Lines with their ends; of a line longer than MAX_ROW only MAX_ROW + 1 characters."""
    rest = ""
    while chunk := text.read(CHUNK):
        buffer = rest + chunk
        end = buffer.rfind("\n") + 1
        if end:
            yield from io.StringIO(buffer[:end], newline="\n")
            rest = buffer[end:]
        else:
            rest = buffer
        if len(rest) > MAX_ROW:
            yield rest[: MAX_ROW + 1]
            rest = _skip_line(text)
    if rest:
        yield rest


def _skip_line(text: TextIO) -> str:
    while chunk := text.read(CHUNK):
        _, newline, rest = chunk.partition("\n")
        if newline:
            return rest
    return ""


class _TooLong(Exception):
    pass


class _Lines:
    """Feeds the csv reader, remembers the lines of the present row and can take lines back."""

    def __init__(self, source: Iterator[str]) -> None:
        self._source = source
        self._again: deque[str] = deque()
        self.number = 0
        self.row: list[str] = []
        self._size = 0
        self._budget = REREAD

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source)
        self.number += 1
        self.row.append(line)
        self._size += len(line)
        if self._size > MAX_ROW:
            raise _TooLong
        return line

    def begin(self) -> None:
        """The next line starts a row."""
        self.row.clear()
        self._size = 0

    def take_back(self) -> None:
        """All lines of this row but its first will be read again."""
        again = self.row[1:]
        self._budget -= len(again)
        if self._budget >= 0:
            self._again.extendleft(reversed(again))
            self.number -= len(again)


def read(text: TextIO, layout: Layout) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows with the number of their first line."""
    lines = _Lines(lines_of(text))
    reader = _reader(lines, layout.delimiter)
    for _ in range(layout.skip):
        next(lines, None)
    columns, width = layout.columns, len(layout.columns)
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLong):
            yield lines.number - len(lines.row) + 1, _too_long(lines)
            continue
        line = lines.number - len(lines.row) + 1
        if len(lines.row) > 1 and not _well_quoted(lines.row, layout.delimiter):
            lines.take_back()
            yield (
                line,
                BadRow("bad_quotes", "a quote opens a cell and nothing closes it", _start(lines)),
            )
        elif (
            len(cells) == width
            and MARK not in lines.row[0]
            and (len(lines.row) == 1 or not _damaged(lines.row))
        ):
            if any(cells):
                yield line, dict(zip(columns, cells, strict=True))
        elif cells:
            bad = _misfit(cells, width, lines)
            if bad is not None:
                yield line, bad
            elif any(cells):
                yield line, dict(zip(columns, cells, strict=False))


def _reader(lines: Iterator[str], delimiter: str, strict: bool = False) -> Iterator[list[str]]:
    return csv.reader(
        lines, delimiter=delimiter, skipinitialspace=not delimiter.isspace(), strict=strict
    )


def _damaged(row: Sequence[str]) -> bool:
    return any(not line.isascii() and MARK in line for line in row)


def _misfit(cells: list[str], width: int, lines: _Lines) -> BadRow | None:
    if _damaged(lines.row):
        return BadRow(
            "bad_encoding", "holds bytes that are not in the file's encoding", _start(lines)
        )
    if len(cells) < width or any(cells[width:]):
        if len(cells) == 1 and not cells[0].strip():
            return None
        return BadRow(
            "wrong_width", f"{len(cells)} cells where the file has {width} columns", _start(lines)
        )
    return None  # only empty cells hang over


def _start(lines: _Lines) -> str:
    return "".join(lines.row)[:MAX_EXCERPT].rstrip().replace(MARK, "\ufffd")


def _too_long(lines: _Lines) -> BadRow:
    excerpt = _start(lines)
    if len(lines.row) > 1:
        lines.take_back()
        return BadRow("bad_quotes", "a quote opens a cell and nothing closes it", excerpt)
    return BadRow("too_long", f"a row or a cell is longer than {MAX_CELL:,} characters", excerpt)


def _well_quoted(row: Sequence[str], delimiter: str) -> bool:
    """Whether several lines are one row to a strict reader too: no stray quote swallowed them."""
    try:
        return sum(1 for _ in _reader(iter(row), delimiter, strict=True)) == 1
    except csv.Error:
        return False


# --- the layout --------------------------------------------------------------------------------


def layout_of(sample: str, whole: bool, given: str | None, header: bool, name: str) -> Layout:
    """Delimiter and columns, by the first SAMPLE characters (`whole`: that is all there is).

    Raises InvalidInput where there is no row.
    """
    skip = 0
    lines = io.StringIO(sample, newline="\n").readlines()
    if not whole and len(lines) > 1:
        lines.pop()
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == 5:
        given = given or lines[0].strip()[4]  # Excel's hint
        skip = 1
    while skip < len(lines) and not lines[skip].strip():
        skip += 1
    delimiter = given or _best_delimiter(lines[skip:])
    feed = _Lines(iter(lines[skip:]))
    rows = _reader(feed, delimiter)
    try:
        first = next(rows, [])
    except csv.Error:
        raise InvalidInput(
            f"{name}: its first row has a cell longer than {MAX_CELL:,} characters"
        ) from None
    if not first:
        raise InvalidInput(f"{name} is empty")
    if len(first) > MAX_COLUMNS:
        raise InvalidInput(f"{name} has {len(first)} columns; at most {MAX_COLUMNS} are read")
    if not header:
        return Layout(delimiter, tuple(f"column_{at}" for at in range(len(first))), skip)
    skip += feed.number
    if whole and not any(line.strip() for line in lines[skip:]):
        raise InvalidInput(f"{name} has a header and no rows")
    while len(first) > 1 and not first[-1].strip():
        first.pop()
    return Layout(delimiter, unique(first), skip)


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Column names: stripped, none empty, none twice."""
    made: dict[str, None] = {}
    for at, name in enumerate(names):
        tidy = name.strip().strip("\ufeff") or f"column_{at}"
        candidate, count = tidy, 2
        while candidate in made:
            candidate, count = f"{tidy}_{count}", count + 1
        made[candidate] = None
    return tuple(made)


def _best_delimiter(lines: Sequence[str]) -> str:
    """The character that cuts most rows as it cuts the first, into the most cells."""
    best, best_merit = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        try:
            widths = [len(cells) for cells in _reader(iter(lines), delimiter) if cells]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        alike = Counter(widths)[widths[0]] / len(widths)
        merit = (round(alike, 1), widths[0])
        if merit > best_merit:
            best, best_merit = delimiter, merit
    return best
