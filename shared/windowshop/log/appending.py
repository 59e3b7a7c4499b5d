"""Writing events: many rows, one transaction, each event once."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, NamedTuple, TypeVar

import numpy as np

from windowshop.errors import InvalidInput
from windowshop.log import Appended, Batch, EventRow
from windowshop.log.database import Database
from windowshop.profile import IMPRESSION

MAX_KNOWN = 200_000
BULK = 2_000
IN_LIST = 500  # values in one IN (...)
NEVER = -(2**62)

_INSERT = (
    "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (user, event_key) DO NOTHING"
)
T = TypeVar("T")


class Numbered(NamedTuple):
    """A user's number, and until when what was received comes to nothing."""

    number: int
    forgotten_ms: int


class Appending:
    """Every method raises Unavailable when the file cannot be used."""

    _db: Database

    def __init__(self) -> None:
        # Only the writing connection, under its lock, reads and fills this.
        self._known: dict[tuple[str, str], Numbered] = {}
        self._data_version = 0

    def append(self, store: str, rows: Sequence[EventRow], received_ms: int) -> Appended:
        return self.append_many([(store, rows, received_ms)])[0]

    def append_many(self, batches: Sequence[Batch]) -> list[Appended]:
        with self._db.writing(bulk=sum(len(rows) for _, rows, _ in batches) > BULK) as con:
            try:
                (last,) = con.execute("SELECT last FROM sequence").fetchone()
                results = []
                for batch in batches:
                    results.append(self._append(con, batch, last))
                    last = results[-1].seq
                con.execute("UPDATE sequence SET last = ?", (last,))
            except BaseException:
                self._known.clear()  # it may hold numbers that are being rolled back
                raise
        return results

    def _append(self, con: sqlite3.Connection, batch: Batch, last: int) -> Appended:
        store, rows, received_ms = batch
        known = self._numbers(con, store, dict.fromkeys(row.user for row in rows), received_ms)
        numbers = [known.get(row.user, 0) for row in rows]
        records = [
            (
                seq, number, row.event_key, row.event_id, row.kind, row.time_ms, row.row,
                row.item_id, row.item_key, row.value, received_ms, row.rest,
            )
            for seq, number, row in zip(
                range(last + 1, last + 1 + len(rows)), numbers, rows, strict=True
            )
            if number
        ]  # fmt: skip
        written = con.executemany(_INSERT, records).rowcount if records else 0
        if written == len(records):
            new = [number != 0 for number in numbers]
        else:
            found = con.execute("SELECT seq FROM events WHERE seq > ?", (last,))
            seqs = {seq for (seq,) in found}
            new = [seq in seqs for seq in range(last + 1, last + 1 + len(rows))]
        fresh = rows if all(new) else list(compress(rows, new))
        if fresh:
            self._count(con, store, known, fresh)
        return Appended(
            new,
            len(records) - len(fresh),
            len(rows) - len(records),
            np.array(numbers, np.uint64),
            last + len(rows),
        )

    def _count(
        self, con: sqlite3.Connection, store: str, known: dict[str, int], fresh: Sequence[EventRow]
    ) -> None:
        counts = Counter(row.user for row in fresh if row.kind != IMPRESSION)
        con.executemany(
            "UPDATE users SET count = count + ?, version = version + 1 WHERE id = ?",
            [(count, known[user]) for user, count in counts.items()],
        )
        # What a guest does changes the profiles of those that they turned out to be.
        guests = [(known[user],) for user in counts if user.startswith("a:")]
        con.executemany(
            "UPDATE users SET version = version + 1"
            " WHERE id IN (SELECT user FROM links WHERE guest = ?)",
            guests,
        )
        con.execute(
            "INSERT INTO stores VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " events = events + excluded.events, newest_ms = max(newest_ms, excluded.newest_ms)",
            (store, len(fresh), max(row.time_ms for row in fresh)),
        )

    def _numbers(
        self, con: sqlite3.Connection, store: str, users: Collection[str], received_ms: int
    ) -> dict[str, int]:
        """A number for each user, made for new ones; none for what was received before the user
        was forgotten.
        """
        if "" in users:
            raise InvalidInput("an event needs a user before it can be logged")
        (version,) = con.execute("PRAGMA data_version").fetchone()
        if version != self._data_version or len(self._known) > MAX_KNOWN:
            self._known.clear()  # another connection wrote: it may have forgotten somebody
            self._data_version = version
        known = self._known
        missing = [user for user in users if (store, user) not in known]
        for user, number, forgotten in select_users(con, store, missing, "name, id, forgotten_ms"):
            known[store, user] = Numbered(number, forgotten)
        missing = [user for user in missing if (store, user) not in known]
        if missing:
            tombs = self._tombstones(con, store, missing)
            for user in missing:
                forgotten = tombs.get(user, NEVER)
                if forgotten < received_ms:
                    known[store, user] = Numbered(add_user(con, store, user, forgotten), forgotten)
        found = {user: known[store, user] for user in users if (store, user) in known}
        return {user: one.number for user, one in found.items() if one.forgotten_ms < received_ms}

    def _tombstones(
        self, con: sqlite3.Connection, store: str, users: Sequence[str]
    ) -> dict[str, int]:
        any_sql = "SELECT 1 FROM tombstones WHERE store = ? LIMIT 1"
        if con.execute(any_sql, (store,)).fetchone() is None:
            return {}
        named = {pseudonym(store, user): user for user in users}
        rows = select_in(
            con,
            "SELECT who, forgotten_ms FROM tombstones WHERE store = ? AND who IN",
            (store,),
            list(named),
        )
        return {named[who]: forgotten for who, forgotten in rows}


def pseudonym(store: str, user: str) -> bytes:
    """What a tombstone keeps of a name."""
    return hashlib.blake2b(f"{store}/{user}".encode(), digest_size=16).digest()


def add_user(con: sqlite3.Connection, store: str, user: str, forgotten_ms: int) -> int:
    cursor = con.execute(
        "INSERT INTO users (store, name, forgotten_ms) VALUES (?, ?, ?)",
        (store, user, forgotten_ms),
    )
    return int(cursor.lastrowid or 0)


def select_users(
    con: sqlite3.Connection, store: str, users: Iterable[str], columns: str
) -> Iterator[tuple[Any, ...]]:
    """These columns of the users that there are."""
    sql = f"SELECT {columns} FROM users WHERE store = ? AND name IN"
    return select_in(con, sql, (store,), list(users))


def select_in(
    con: sqlite3.Connection, sql: str, first: tuple[Any, ...], values: Sequence[T], end: str = ""
) -> Iterator[tuple[Any, ...]]:
    """The rows of `sql` (which ends with IN) for all values, a few hundred at a time."""
    for start in range(0, len(values), IN_LIST):
        part = values[start : start + IN_LIST]
        marks = ",".join("?" * len(part))
        yield from con.execute(f"{sql} ({marks}) {end}", (*first, *part))
