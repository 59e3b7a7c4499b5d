"""The files of an upload, opened and found usable before anything is written."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from windowshop import catalog, eventfile
from windowshop.columns import Mapping
from windowshop.files import Rows, open_rows
from windowshop.mapping import load
from windowshop.records import new_id

MAY_BREAK = frozenset({"JSON array", "JSON objects", "Parquet"})
"""Formats that can be wrong from some place on; in the others only single rows can."""


class Source(NamedTuple):
    """A file that can be used: its rows' outcomes have begun."""

    rows: Rows
    outcomes: Iterator[Any]


def mapping_of(path: Path | None) -> Mapping:
    """Raises InvalidInput."""
    return Mapping.default() if path is None else load(path)


def item_sources(paths: Sequence[Path], mapping: Mapping) -> list[Source]:
    """Catalogue files; each is read once to its end for this. Raises InvalidInput."""
    opened = [open_rows(path, mapping.options) for path in paths]
    return [Source(rows, _begun(catalog.read_items(rows, mapping))) for rows in opened]


def event_sources(paths: Sequence[Path], mapping: Mapping) -> list[Source]:
    """Event files; those that could break off are read once to their end. Raises InvalidInput."""
    opened = [open_rows(path, mapping.options) for path in paths]
    for rows in opened:
        if rows.format in MAY_BREAK:
            for _ in rows:
                pass
    return [
        Source(rows, _begun(eventfile.read_events(rows, mapping, rows.content_hash)))
        for rows in opened
    ]


def _begun(outcomes: Iterator[Any]) -> Iterator[Any]:
    """The same outcomes; what is wrong with the file as a whole is raised now."""
    return itertools.chain(list(itertools.islice(outcomes, 1)), outcomes)


def report_path(home: Path, command: str, now_ms: int) -> Path:
    """Where the report of one upload goes."""
    return home / "reports" / f"{command}-{new_id(now_ms)}.csv"
