"""Dead letters: what could not take effect, with its reason, kept in the log's file."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from windowshop.errors import InvalidInput, NotFound
from windowshop.letters import PAGE, Letter
from windowshop.log.database import Database

MAX_BODY = 1_048_576
MAX_REASON = 1_000


class Letters:
    """Every method raises Unavailable when the file cannot be used."""

    _db: Database

    def add_letter(
        self, store: str, user: str | None, received_ms: int, reason: str, body: Mapping[str, Any]
    ) -> str:
        """Keep a message that cannot take effect; returns the letter's id. Raises InvalidInput."""
        try:
            text = orjson.dumps(body)
        except TypeError:
            raise InvalidInput("a dead letter's body must be JSON") from None
        if len(text) > MAX_BODY:
            raise InvalidInput(f"a dead letter has at most {MAX_BODY} bytes")
        with self._db.writing() as con:
            cursor = con.execute(
                "INSERT INTO letters (store, user, received_ms, reason, body)"
                " VALUES (?, ?, ?, ?, ?)",
                (store, user, received_ms, reason[:MAX_REASON], text.decode()),
            )
        return str(cursor.lastrowid)

    def letters(self, store: str, after: str | None = None, limit: int = PAGE) -> list[Letter]:
        """A page of letters that came later than `after`, oldest first."""
        with self._db.reading() as con:
            rows = con.execute(
                "SELECT * FROM letters WHERE store = ? AND id > ? ORDER BY id LIMIT ?",
                (store, _number(after or "0"), min(limit, PAGE)),
            ).fetchall()
        return [_letter(row) for row in rows]

    def letter(self, store: str, letter_id: str) -> Letter:
        """Raises NotFound."""
        with self._db.reading() as con:
            row = con.execute(
                "SELECT * FROM letters WHERE store = ? AND id = ?", (store, _number(letter_id))
            ).fetchone()
        if row is None:
            raise NotFound(
                f"no dead letter {letter_id[:64]}: `windowshop dead-letters list` shows them"
            )
        return _letter(row)

    def count_letters(self, store: str) -> int:
        with self._db.reading() as con:
            return int(
                con.execute("SELECT count(*) FROM letters WHERE store = ?", (store,)).fetchone()[0]
            )

    def delete_letters(self, store: str, ids: Sequence[str]) -> int:
        """Letters that were retried or given up; returns how many there were."""
        with self._db.writing() as con:
            return con.executemany(
                "DELETE FROM letters WHERE store = ? AND id = ?",
                [(store, _number(one)) for one in ids],
            ).rowcount

    def delete_letters_of(self, store: str, users: Sequence[str]) -> int:
        """Also done by `forget`, in one transaction with the rest."""
        with self._db.writing() as con:
            return con.executemany(
                "DELETE FROM letters WHERE store = ? AND user = ?",
                [(store, user) for user in users],
            ).rowcount

    def send_back(self, store: str, ids: Sequence[str]) -> None:
        """There are no queues to send them to."""


def _letter(row: tuple[Any, ...]) -> Letter:
    letter_id, store, user, received_ms, reason, body = row
    return Letter(str(letter_id), store, user, received_ms, reason, orjson.loads(body))


def _number(letter_id: str) -> int:
    """The row that an id names; -1, which there is none of, for what is no id of ours."""
    known = letter_id.isascii() and letter_id.isdecimal() and len(letter_id) < 19
    return int(letter_id) if known else -1
