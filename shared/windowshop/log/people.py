"""Users of the log: guests merged into them, what is held about them, and forgetting them."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from windowshop.errors import InvalidInput, NotFound
from windowshop.log import MAX_LINKS, EventRow, Forgotten, as_sent
from windowshop.log.appending import NEVER, Appending, add_user, pseudonym, select_in, select_users
from windowshop.profile import IMPRESSION
from windowshop.records import user_key

MAX_PAGE = 10_000

_ROW = "event_id, event_key, kind, time_ms, row, item_id, item_key, value, rest"


class People(Appending):
    """Every method raises Unavailable when the file cannot be used."""

    def users(self, store: str) -> list[str]:
        with self._db.reading() as con:
            rows = con.execute("SELECT name FROM users WHERE store = ? ORDER BY id", (store,))
            return [name for (name,) in rows]

    def counts_of(self, store: str, users: Sequence[str]) -> dict[str, int]:
        with self._db.reading() as con:
            return dict(select_users(con, store, users, "name, count"))

    def export(
        self, store: str, users: Sequence[str], cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        after = cursor or "0"
        if not (after.isdecimal() and after.isascii() and len(after) < 19):
            raise InvalidInput("cursor: take the one that the last page gave as `next`")
        limit = max(1, min(limit, MAX_PAGE))
        with self._db.reading() as con:
            names = dict(select_users(con, store, users, "id, name"))
            rows = sorted(
                select_in(
                    con,
                    f"SELECT seq, user, {_ROW} FROM events WHERE seq > ? AND user IN",
                    (int(after),),
                    list(names),
                    f"ORDER BY seq LIMIT {limit + 1}",
                )
            )
        page = [as_sent(EventRow(names[user], *fields)) for _, user, *fields in rows[:limit]]
        return page, str(rows[limit - 1][0]) if len(rows) > limit else None

    def rows(self, store: str) -> Iterator[EventRow]:
        """All events of a store as they were appended, for a replay of them."""
        sql = f"SELECT name, {_ROW} FROM users JOIN events ON user = users.id WHERE store = ?"
        with self._db.reading() as con:
            yield from map(EventRow._make, con.execute(sql, (store,)))

    # --- guests -----------------------------------------------------------------------------

    def links(self, store: str) -> Iterator[tuple[str, str]]:
        with self._db.reading() as con:
            yield from con.execute(
                "SELECT users.name, guests.name FROM links"
                " JOIN users ON users.id = user JOIN users AS guests ON guests.id = guest"
                " WHERE users.store = ?",
                (store,),
            )

    def link(self, store: str, user: str, guest: str) -> bool:
        if not (user.startswith("u:") and guest.startswith("a:")):
            raise InvalidInput("a guest (anonymous_id) is merged into a user (user_id)")
        with self._db.writing() as con:
            owner, other = self._number(con, store, user), self._number(con, store, guest)
            new = con.execute("INSERT OR IGNORE INTO links VALUES (?, ?)", (owner, other)).rowcount
            for side, number in (("user", owner), ("guest", other)):
                sql = f"SELECT count(*) FROM links WHERE {side} = ?"
                (held,) = con.execute(sql, (number,)).fetchone()
                if held > MAX_LINKS:
                    raise InvalidInput(
                        f"at most {MAX_LINKS} guests can be merged into one user, and one guest "
                        f"into {MAX_LINKS} users"
                    )
            if new:
                _touch(con, [owner])
        return bool(new)

    def unlink(self, store: str, user: str, guest: str) -> bool:
        with self._db.writing() as con:
            numbers = dict(select_users(con, store, (user, guest), "name, id"))
            pair = numbers.get(user), numbers.get(guest)
            gone = con.execute("DELETE FROM links WHERE user = ? AND guest = ?", pair).rowcount
            if gone:
                _touch(con, [numbers[user]])
        return bool(gone)

    def links_of(self, store: str, user: str) -> list[str]:
        with self._db.reading() as con:
            return _guests(con, store, user)

    def owners_of(self, store: str, guests: Sequence[str]) -> list[str]:
        some = [guest for guest in guests if guest.startswith("a:")]
        if not some:
            return []
        with self._db.reading() as con:
            return [name for _, name in _owners(con, store, some)]

    def _number(self, con: sqlite3.Connection, store: str, user: str) -> int:
        for (number,) in select_users(con, store, [user], "id"):
            return int(number)
        forgotten = self._tombstones(con, store, [user]).get(user, NEVER)
        return add_user(con, store, user, forgotten)

    # --- forgetting -------------------------------------------------------------------------

    def forget(self, store: str, user: str, now_ms: int, erasure_id: str) -> Forgotten:
        with self._db.writing() as con:
            users = [user, *_guests(con, store, user)]
            owners = _owners(con, store, [name for name in users if name.startswith("a:")])
            others = [(number, name) for number, name in owners if name not in users]
            numbers = [number for (number,) in select_users(con, store, users, "id")]
            one_each = [(number,) for number in numbers]
            events = con.executemany("DELETE FROM events WHERE user = ?", one_each).rowcount
            con.executemany("DELETE FROM links WHERE ? IN (user, guest)", one_each)
            con.executemany("DELETE FROM users WHERE id = ?", one_each)
            _touch(con, [number for number, _ in others])
            con.executemany(
                "DELETE FROM letters WHERE store = ? AND user = ?", [(store, one) for one in users]
            )
            con.executemany(
                "INSERT INTO tombstones VALUES (?, ?, ?) ON CONFLICT (store, who) DO UPDATE SET"
                " forgotten_ms = max(forgotten_ms, excluded.forgotten_ms)",
                [(store, pseudonym(store, one), now_ms) for one in users],
            )
            con.execute("UPDATE stores SET events = events - ? WHERE name = ?", (events, store))
            record = {"status": "running", "erased": {"events": events, "profiles": 0}}
            con.execute(
                "INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, ?)",
                (
                    store,
                    erasure_id,
                    orjson.dumps({"erasure_id": erasure_id, **record, "verified": False}).decode(),
                    orjson.dumps([user_key(store, one) for one in users]).decode(),
                ),
            )
            self._known.clear()
        self._db.scrub()
        return Forgotten(tuple(users), tuple(name for _, name in others), max(events, 0))

    def expire(self, store: str, before_ms: int) -> int:
        old = "user IN (SELECT id FROM users WHERE store = ?) AND time_ms < ?"
        with self._db.writing(bulk=True) as con:
            gone = con.execute(
                f"SELECT sum(kind <> {IMPRESSION}), count(*), user FROM events WHERE {old}"
                " GROUP BY user",
                (store, before_ms),
            ).fetchall()
            con.execute(f"DELETE FROM events WHERE {old}", (store, before_ms))
            con.executemany(
                "UPDATE users SET count = count - ? WHERE id = ?",
                [(folded, user) for folded, _, user in gone],
            )
            folded = [user for counted, _, user in gone if counted]
            owners = select_in(con, "SELECT user FROM links WHERE guest IN", (), folded)
            _touch(con, {*folded, *(user for (user,) in owners)})
            events = int(sum(count for _, count, _ in gone))
            con.execute("UPDATE stores SET events = events - ? WHERE name = ?", (events, store))
        self._db.scrub()
        return events

    def held(self, store: str, users: Sequence[str]) -> int:
        with self._db.reading() as con:
            numbers = [number for (number,) in select_users(con, store, users, "id")]
            counts = select_in(con, "SELECT count(*) FROM events WHERE user IN", (), numbers)
            return sum(count for (count,) in counts)

    def put_erasure(self, store: str, erasure_id: str, record: Mapping[str, Any]) -> None:
        done = record.get("status") == "done"
        with self._db.writing() as con:
            changed = con.execute(
                "UPDATE erasures SET record = ?, pending = CASE WHEN ? THEN NULL ELSE pending END"
                " WHERE store = ? AND id = ?",
                (orjson.dumps(record).decode(), done, store, erasure_id),
            ).rowcount
        if not changed:
            raise NotFound(f"no erasure {erasure_id[:64]!r}")

    def erasure(self, store: str, erasure_id: str) -> dict[str, Any] | None:
        with self._db.reading() as con:
            row = con.execute(
                "SELECT record FROM erasures WHERE store = ? AND id = ?", (store, erasure_id)
            ).fetchone()
        return None if row is None else dict(orjson.loads(row[0]))

    def unfinished_erasures(self) -> list[tuple[str, str, list[str]]]:
        with self._db.reading() as con:
            rows = con.execute("SELECT store, id, pending FROM erasures WHERE pending IS NOT NULL")
            return [(store, one, orjson.loads(pending)) for store, one, pending in rows]


def _guests(con: sqlite3.Connection, store: str, user: str) -> list[str]:
    rows = con.execute(
        "SELECT guests.name FROM users JOIN links ON links.user = users.id"
        " JOIN users AS guests ON guests.id = links.guest"
        " WHERE users.store = ? AND users.name = ? ORDER BY guests.name",
        (store, user),
    )
    return [name for (name,) in rows]


def _owners(con: sqlite3.Connection, store: str, guests: Sequence[str]) -> list[tuple[int, str]]:
    numbers = [number for (number,) in select_users(con, store, guests, "id")]
    sql = "SELECT id, name FROM links JOIN users ON users.id = links.user WHERE guest IN"
    return sorted({(number, name) for number, name in select_in(con, sql, (), numbers)})


def _touch(con: sqlite3.Connection, users: Iterable[int]) -> None:
    """Their profiles have to follow something new."""
    con.executemany(
        "UPDATE users SET version = version + 1 WHERE id = ?", [(user,) for user in users]
    )
