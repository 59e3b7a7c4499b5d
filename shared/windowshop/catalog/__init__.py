"""Rows of a catalogue file -> items, with a reason for every row that is none. Pure."""

from array import array
from collections.abc import Callable, Iterator
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass

import numpy as np

from windowshop.catalog.row import Accepted, Reader, Removed
from windowshop.columns import Mapping
from windowshop.table import BadRow, Rejected, Table, Warned

__all__ = [
    "Accepted",
    "Outcome",
    "Rejected",
    "Removed",
    "Repeats",
    "Warned",
    "find_repeats",
    "read_items",
]

MAX_HELD = 50_000  # items that wait for a later row of the same id
MAX_REPEATED = 1_000_000

Outcome = Accepted | Removed | Rejected | Warned


@dataclass(frozen=True, slots=True)
class Repeats:
    """Which ids a file has more than once: hash of the id -> index of the last row that has it.

    `rows`: how many the file has, good and bad.
    """

    last: ReadOnly[int, int]
    rows: int


def read_items(table: Table, mapping: Mapping, repeats: Repeats | None = None) -> Iterator[Outcome]:
    """Every row's outcome, about in the order of the rows.

    An id that comes again is yielded once, as its last good row has it; each earlier row is a
    `Warned` of code `repeated_id`: rows = Accepted + Removed + Rejected + repeated. `repeats` is
    found by reading the table twice unless given.

    Raises InvalidInput (before the first outcome) where no column holds ids or texts, or the
    mapping names a column that is not there.
    """
    reader = Reader(table, mapping)
    last = (repeats or find_repeats(table, mapping)).last
    yield from reader.notes()
    held: dict[str, Accepted | Removed] = {}
    for index, (line, row) in enumerate(table):
        outcome = reader.outcome(line, row)
        yield from reader.notes()
        if not last or isinstance(row, BadRow):
            yield outcome
            continue
        item_id = reader.id_of(row)
        until = last.get(hash(item_id)) if item_id else None
        if until is None or item_id is None:
            yield outcome
            continue
        if isinstance(outcome, Rejected):
            yield outcome
        else:
            if item_id in held:
                yield Warned(
                    held[item_id].line,
                    "repeated_id",
                    f"{item_id} comes again on line {line}: the last one counts",
                )
            held[item_id] = outcome
        if index >= until or len(held) > MAX_HELD:
            done = held.pop(item_id, None)
            if done is not None:
                yield done
    yield from held.values()


def find_repeats(
    table: Table, mapping: Mapping, each: Callable[[str], None] | None = None
) -> Repeats:
    """One quick reading of the ids alone, 8 bytes a row; `each` is called with every one."""
    reader = Reader(table, mapping)
    hashes = array("q")
    for _, row in table:
        item_id = None if isinstance(row, BadRow) else reader.id_of(row)
        hashes.append(hash(item_id) if item_id else 0)
        if item_id and each is not None:
            each(item_id)
    keys = np.frombuffer(hashes, np.int64)
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    same_as_next = np.zeros(len(ranked), bool)
    same_as_next[:-1] = ranked[:-1] == ranked[1:]
    ends = ~same_as_next & (ranked != 0)
    ends[1:] &= same_as_next[:-1]
    ends[:1] = False
    found = np.flatnonzero(ends)
    # The hashes of texts differ from process to process; which of them are kept must not.
    found = found[np.argsort(order[found], kind="stable")[:MAX_REPEATED]]
    last = dict(zip(ranked[found].tolist(), order[found].tolist(), strict=True))
    return Repeats(last, len(keys))
