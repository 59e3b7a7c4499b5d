"""Writing events: each once, whatever crashes, and without transactions, which cost twice.

What a batch writes, in this order: the events themselves (a key that is taken tells a duplicate),
the heads of its users, the heads of those into whom these are merged, and an entry of the feed.
The entry says that the batch is complete. An event that is there but of no complete batch was left
behind by a crash: it is taken over as if it were new, and its user's events are counted.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from windowshop.aws.log.expressions import Item, Key
from windowshop.aws.log.feed import STORES, Feed
from windowshop.aws.log.heads import Added, Heads
from windowshop.aws.log.layout import Head, item_of_row, number, stamp_of
from windowshop.aws.log.table import Table
from windowshop.errors import InvalidInput, Unavailable
from windowshop.log import Appended, Batch, EventRow
from windowshop.profile import IMPRESSION
from windowshop.records import user_key

CHUNK = 1_000
TRIES = 12


@dataclass(slots=True, eq=False)
class Line:
    """A row on its way into the log, its place among all rows of the call, and what became of it:
    new, held already, dropped.
    """

    place: int
    store: str
    row: EventRow
    received: int
    item: Item
    seq: str = ""
    state: str = "new"

    @property
    def key(self) -> Key:
        return self.item["pk"], self.item["sk"]


class User(NamedTuple):
    """Whose lines are written together."""

    store: str
    name: str


class Appending:
    """Every method raises Unavailable; events that cannot be kept raise InvalidInput."""

    _table: Table
    _feed: Feed
    _heads: Heads
    _kept_ms: int | None

    def __init__(self) -> None:
        self._stores_known: set[str] = set()

    def append(self, store: str, rows: Sequence[EventRow], received_ms: int) -> Appended:
        return self.append_many([(store, rows, received_ms)])[0]

    def append_many(self, batches: Sequence[Batch]) -> list[Appended]:
        lines = self._lines(batches)
        stamps = [self._chunk(lines[at : at + CHUNK]) for at in range(0, len(lines), CHUNK)]
        results = []
        at, last = 0, self._feed.now() if not stamps else stamps[0]
        for store, rows, _ in batches:
            mine = lines[at : at + len(rows)]
            at += len(rows)
            last = stamps[(at - 1) // CHUNK] if rows else last
            results.append(_appended(store, mine, last))
        return results

    def _lines(self, batches: Sequence[Batch]) -> list[Line]:
        """All rows, checked before anything is written: bad data takes no effect at all."""
        lines: list[Line] = []
        for store, rows, received_ms in batches:
            for row in rows:
                if not row.user:
                    raise InvalidInput("an event needs a user before it can be logged")
                item = item_of_row(store, row, received_ms, self._kept_ms)
                lines.append(Line(len(lines), store, row, received_ms, item))
        return lines

    def _chunk(self, lines: Sequence[Line]) -> int:
        """Write some lines. The ms under which they are in the feed."""
        self._declare({line.store for line in lines})
        ms = self._feed.now()
        stamps = {store: self._feed.stamp(ms) for store in {line.store for line in lines}}
        users: dict[User, list[Line]] = defaultdict(list)
        for place, line in enumerate(lines):
            line.seq = f"{stamps[line.store]}-{place:04d}"
            users[User(line.store, line.row.user)].append(line)
        heads = self._read_heads(users)
        # First of all come the heads: what is received after this look is told by their `last`.
        self._table.each(lambda user: self._drop(users[user], heads[user]), list(users))
        taken = self._write(_distinct(lines))
        self._table.each(
            lambda user: self._settle(user, users[user], heads[user], taken), list(users)
        )
        for store, stamp in stamps.items():
            ms = max(ms, self._complete(store, stamp, [x for x in lines if x.store == store]))
        return ms

    def _declare(self, stores: Iterable[str]) -> None:
        for store in stores:
            if store not in self._stores_known:
                self._table.update((STORES, store), "SET #there = :yes", {"yes": True})
                self._stores_known.add(store)

    def _read_heads(self, users: Iterable[User]) -> dict[User, Head]:
        names: dict[str, list[str]] = defaultdict(list)
        for user in users:
            names[user.store].append(user.name)
        return {
            User(store, name): head
            for store, some in names.items()
            for name, head in self._heads.of(store, some).items()
        }

    def _drop(self, lines: Sequence[Line], head: Head) -> None:
        """What was received before its user was forgotten comes to nothing; also what an earlier
        try, which did not know yet, may have left of it. What was complete is for the forget to
        delete, which looks there for what it has to take out of the feed.
        """
        late = [x for x in lines if x.state != "dropped" and x.received <= head.forgotten]
        for line in late:
            line.state = "dropped"
        if not late:
            return
        found = self._table.get_many([line.key for line in late], ("seq",))
        stamps = {stamp_of(item["seq"]) for item in found.values()}
        open_ = self._feed.abandoned(late[0].store, stamps)
        left = [key for key, item in found.items() if stamp_of(item["seq"]) in open_]
        self._table.delete(left, "received", head.forgotten)

    # --- events -------------------------------------------------------------------------------

    def _write(self, lines: Sequence[Line]) -> set[User]:
        """Write those of the lines that are new. The users of whom some were taken over: their
        counts are not to be trusted.
        """
        taken: set[User] = set()
        left = [line for line in lines if line.state == "new"]
        for attempt in range(TRIES):
            written = self._table.insert([{**line.item, "seq": line.seq} for line in left])
            there = [line for line, new in zip(left, written, strict=True) if not new]
            if not there:
                return taken
            left = self._look(there, taken)
            if not left:
                return taken
            self._table.wait(attempt)
        raise Unavailable("events are being written by many at once: try again shortly")

    def _look(self, lines: Sequence[Line], taken: set[User]) -> list[Line]:
        """What became of lines whose key is taken; those where it is not any more."""
        found = self._table.get_many([line.key for line in lines], ("seq",))
        seqs = {line: found[line.key]["seq"] for line in lines if line.key in found}
        # A write that boto3 sent twice, because the answer was lost, finds itself: it is new.
        others = {line: seq for line, seq in seqs.items() if seq != line.seq}
        stamps: dict[str, set[str]] = defaultdict(set)
        for line, seq in others.items():
            stamps[line.store].add(stamp_of(seq))
        open_ = {store: self._feed.abandoned(store, some) for store, some in stamps.items()}
        gone = [line for line in lines if line not in seqs]
        for line, seq in others.items():
            if stamp_of(seq) not in open_[line.store]:
                line.state = "held"
                continue
            taken.add(User(line.store, line.row.user))
            if not self._table.put({**line.item, "seq": line.seq}, "#seq = :was", {"was": seq}):
                gone.append(line)  # another one took it over, or a forget took it away
        return gone

    # --- heads --------------------------------------------------------------------------------

    def _settle(self, user: User, lines: Sequence[Line], head: Head, taken: set[User]) -> None:
        """Add the new lines to their user's head, and tell those into whom the user is merged."""
        for attempt in range(TRIES):
            new = [line for line in lines if line.state == "new"]
            if not new:
                return
            added = _added(new)
            exact = attempt > 0 or user in taken
            key = user_key(user.store, user.name)
            tally = self._heads.tally(user.store, key, head.forgotten) if exact else None
            if self._heads.add(user.store, head, added, tally):
                break
            self._table.wait(attempt)
            head = self._heads.read(user.store, key)
            if head.last == stamp_of(added.seq):
                break  # a write of ours that was sent twice
            self._drop(lines, head)
        else:
            raise Unavailable("a user's events are written by many at once: try again shortly")
        if head.owners and added.counted:
            self._heads.touch(user.store, self._heads.owners(user.store, user.name))

    # --- the feed -----------------------------------------------------------------------------

    def _complete(self, store: str, stamp: str, lines: Sequence[Line]) -> int:
        """Make the batch complete. The ms under which it is."""
        for attempt in range(TRIES):
            new = [line for line in lines if line.state == "new"]
            if not new:
                return int(stamp[:13])
            if not self._feed.is_late(stamp):
                numbers = [number(user_key(store, line.row.user)) for line in new]
                rows = [line.row for line in new]
                if self._feed.commit(store, stamp, rows, np.array(numbers, np.uint64)):
                    return int(stamp[:13])
                self._table.wait(attempt)
            # Too late, or somebody took this for broken off and took events over: what is left of
            # it is completed under another stamp.
            stamp = self._feed.stamp(self._feed.now())
            self._table.each(partial(self._restamp, stamp), new)
        raise Unavailable("events are being written by many at once: try again shortly")

    def _restamp(self, stamp: str, line: Line) -> None:
        was, line.seq = line.seq, f"{stamp}{line.seq[22:]}"
        values = {"was": was, "seq": line.seq}
        if not self._table.update(line.key, "SET #seq = :seq", values, "#seq = :was"):
            found = self._table.get(line.key)
            if found is None or found["seq"] != line.seq:
                line.state = "held"


def _distinct(lines: Sequence[Line]) -> list[Line]:
    """The first of the lines with one key; the others hold nothing new."""
    first: dict[Key, Line] = {}
    for line in lines:
        if line.state == "new" and first.setdefault(line.key, line) is not line:
            line.state = "held"
    return list(first.values())


def _added(lines: Sequence[Line]) -> Added:
    return Added(
        lines[0].row.user,
        lines[0].seq,
        sum(line.row.kind != IMPRESSION for line in lines),
        len(lines),
        max(line.received for line in lines),
        min(line.row.time_ms for line in lines),
    )


def _appended(store: str, lines: Sequence[Line], seq: int) -> Appended:
    states = [line.state for line in lines]
    numbers = [
        0 if line.state == "dropped" else number(user_key(store, line.row.user)) for line in lines
    ]
    return Appended(
        [state == "new" for state in states],
        states.count("held"),
        states.count("dropped"),
        np.array(numbers, np.uint64),
        seq,
    )
