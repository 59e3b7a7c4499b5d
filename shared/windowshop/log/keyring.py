"""Keys and signing secrets of the stores, kept in the log's file."""

from windowshop.errors import NotFound
from windowshop.keys import Key, make_signing_secret
from windowshop.log.database import Database

_COLUMNS = "id, digest, store, role, created_ms, revoked_ms, note"


class Keyring:
    """Every method raises Unavailable when the file cannot be used."""

    _db: Database

    def put_key(self, key: Key) -> None:
        with self._db.writing() as con:
            con.execute(
                f"INSERT OR REPLACE INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    key.id, key.digest, key.store, key.role,
                    key.created_ms, key.revoked_ms, key.note,
                ),
            )  # fmt: skip

    def key(self, digest: str) -> Key | None:
        """The key with this digest, revoked or not."""
        with self._db.reading() as con:
            row = con.execute(f"SELECT {_COLUMNS} FROM keys WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else Key(*row)

    def keys(self, store: str) -> list[Key]:
        """All keys of a store, oldest first."""
        with self._db.reading() as con:
            rows = con.execute(
                f"SELECT {_COLUMNS} FROM keys WHERE store = ? ORDER BY created_ms, id", (store,)
            ).fetchall()
        return [Key(*row) for row in rows]

    def has_keys(self) -> bool:
        """Whether a key was ever made, in any store."""
        with self._db.reading() as con:
            return con.execute("SELECT 1 FROM keys LIMIT 1").fetchone() is not None

    def revoke_key(self, store: str, key_id: str, now_ms: int) -> None:
        """From now on the key works no more. Raises NotFound."""
        with self._db.writing() as con:
            done = con.execute(
                "UPDATE keys SET revoked_ms = coalesce(revoked_ms, ?) WHERE store = ? AND id = ?",
                (now_ms, store, key_id),
            ).rowcount
        if not done:
            raise NotFound(f"no key {key_id[:64]!r}: `windowshop keys list` shows the ids")

    def signing_secret(self, store: str, create: bool = False) -> str | None:
        """The secret that a store's user tokens are signed with; with `create` one is made."""
        if create:
            with self._db.writing() as con:
                con.execute(
                    "INSERT OR IGNORE INTO secrets VALUES (?, ?)", (store, make_signing_secret())
                )
        with self._db.reading() as con:
            row = con.execute("SELECT secret FROM secrets WHERE store = ?", (store,)).fetchone()
        return None if row is None else str(row[0])
