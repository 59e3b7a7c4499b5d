"""The event log in SQLite, in one file: events, users, and what else a home must not lose.

Rows are appended in the order of arrival and found by an index over (user, event): several times
faster in bulk than a table clustered by user, and a user is read back no slower than a scan reads.
"""

from pathlib import Path
from typing import Any

from windowshop.log.appending import Appending
from windowshop.log.database import Database
from windowshop.log.folding import Folding
from windowshop.log.keyring import Keyring
from windowshop.log.letters import Letters
from windowshop.log.people import People


class SqliteLog(People, Folding, Keyring, Letters):
    """A `Log`, with the keys of the stores and their dead letters beside it. Thread-safe; several
    processes may have it open. Raises Misconfigured, Unavailable.
    """

    def __init__(self, path: Path) -> None:
        Appending.__init__(self)
        self._db = Database(path)

    def stores(self) -> list[str]:
        with self._db.reading() as con:
            rows = con.execute("SELECT name FROM stores UNION SELECT store FROM fields ORDER BY 1")
            return [name for (name,) in rows]

    def count(self, store: str) -> int:
        with self._db.reading() as con:
            row = con.execute("SELECT events FROM stores WHERE name = ?", (store,)).fetchone()
        return 0 if row is None else int(row[0])

    def newest(self, store: str) -> int | None:
        with self._db.reading() as con:
            row = con.execute("SELECT newest_ms FROM stores WHERE name = ?", (store,)).fetchone()
        return None if row is None else int(row[0])

    def items(self, store: str) -> list[tuple[int, str, int]]:
        with self._db.reading() as con:
            return con.execute(
                "SELECT item_key, max(item_id), count(*) FROM events"
                " CROSS JOIN users ON users.id = events.user"
                " WHERE store = ? AND item_id IS NOT NULL GROUP BY item_key",
                (store,),
            ).fetchall()

    def fields(self, store: str) -> dict[str, Any]:
        with self._db.reading() as con:
            return dict(
                con.execute("SELECT name, kind FROM fields WHERE store = ? ORDER BY name", (store,))
            )

    def put_field(self, store: str, name: str, kind: str) -> None:
        with self._db.writing() as con:
            con.execute("INSERT OR REPLACE INTO fields VALUES (?, ?, ?)", (store, name, kind))

    def snapshot(self, store: str, name: str, after: int = -1) -> tuple[int, bytes] | None:
        with self._db.reading() as con:
            found = con.execute(
                "SELECT seq, body FROM snapshots WHERE store = ? AND name = ? AND seq > ?",
                (store, name, after),
            ).fetchone()
        return None if found is None else (int(found[0]), bytes(found[1]))

    def put_snapshot(self, store: str, name: str, seq: int, body: bytes) -> None:
        # Not durable at once: the one before it, and more to replay, will do as well.
        with self._db.writing(durable=False) as con:
            con.execute(
                "INSERT INTO snapshots VALUES (?, ?, ?, ?) ON CONFLICT (store, name) DO UPDATE SET"
                " seq = excluded.seq, body = excluded.body WHERE excluded.seq >= seq",
                (store, name, seq, body),
            )

    def copy(self, path: Path) -> None:
        """All of it, as of when this returns, in a new file; it is written to meanwhile."""
        self._db.copy(path)

    def check(self) -> None:
        with self._db.reading() as con:
            con.execute("SELECT 1 FROM sequence").fetchone()

    def close(self) -> None:
        self._db.close()
