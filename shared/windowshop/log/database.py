"""The SQLite file under the log: one writer, many readers, SQLite's errors in one place."""

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from windowshop.errors import InvalidInput, Misconfigured, Unavailable, WindowshopError

VERSION = 1
BUSY_MS = 10_000
PAGES, BULK_PAGES = 1_000, 32_768  # of 4 KiB in the write-ahead log before a checkpoint
IDLE_READERS = 16
COPIED = 1_000
"""Pages that are copied at once while writers wait: a few ms."""
BREATH_S = 0.001

SCHEMA = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    store TEXT NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 0,    -- own events, impressions apart
    version INTEGER NOT NULL DEFAULT 0,  -- grows with all that the profile must follow
    folded INTEGER NOT NULL DEFAULT 0,   -- the version that the stored profile has
    forgotten_ms INTEGER NOT NULL,       -- what was received until then comes to nothing
    UNIQUE (store, name)
);
CREATE INDEX users_unfolded ON users (store) WHERE version <> folded;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    user INTEGER NOT NULL,
    event_key INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    kind INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    row INTEGER NOT NULL,
    item_id TEXT,
    item_key INTEGER NOT NULL,
    value REAL NOT NULL,
    received_ms INTEGER NOT NULL,
    rest BLOB  -- JSON of what else was sent
);
CREATE UNIQUE INDEX events_of_user ON events (user, event_key);

CREATE TABLE links (user INTEGER, guest INTEGER, PRIMARY KEY (user, guest)) WITHOUT ROWID;
CREATE INDEX links_of_guest ON links (guest);

CREATE TABLE stores (
    name TEXT PRIMARY KEY, events INTEGER NOT NULL, newest_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE sequence (
    last INTEGER NOT NULL  -- no seq is ever given twice, whatever is deleted
);
INSERT INTO sequence VALUES (0);

CREATE TABLE tombstones (
    store TEXT, who BLOB, forgotten_ms INTEGER NOT NULL, PRIMARY KEY (store, who)
) WITHOUT ROWID;
CREATE TABLE erasures (
    store TEXT, id TEXT, record TEXT NOT NULL, pending TEXT, PRIMARY KEY (store, id)
) WITHOUT ROWID;
CREATE TABLE letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    store TEXT NOT NULL,
    user TEXT,
    received_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX letters_of_store ON letters (store);

CREATE TABLE fields (store TEXT, name TEXT, kind TEXT NOT NULL, PRIMARY KEY (store, name))
    WITHOUT ROWID;
CREATE TABLE keys (
    digest TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    store TEXT NOT NULL,
    role TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    note TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE secrets (store TEXT PRIMARY KEY, secret TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshots (
    store TEXT, name TEXT, seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (store, name)
);
"""

# secure_delete overwrites what is deleted: a forgotten user must not be readable in the file.
# fullfsync is what it takes on macOS for a commit to be on disk.
_PRAGMAS = f"""
PRAGMA busy_timeout = {BUSY_MS};
PRAGMA journal_mode = WAL;
PRAGMA fullfsync = ON;
PRAGMA secure_delete = ON;
PRAGMA journal_size_limit = 16777216;
PRAGMA mmap_size = 268435456;
PRAGMA temp_store = MEMORY;
"""


class Database:
    """Raises Misconfigured (a newer version's file), Unavailable (cannot be opened)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            # It holds what people did and the stores' secrets: nobody else's business.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._writer = self._connect(cache_mb=64)
            with closed_on_error(self._writer):
                self._create()

    @contextmanager
    def writing(self, *, durable: bool = True, bulk: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction, one at a time. On disk when it ends; with `durable=False` soon after.

        `bulk` puts off moving pages from the write-ahead log into the file: bulk loads touch the
        same pages of the index again and again. Otherwise it happens often, a few ms each.
        """
        with self._lock, self._translated():
            con = self._open(self._writer)
            con.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            con.execute(f"PRAGMA wal_autocheckpoint = {BULK_PAGES if bulk else PAGES}")
            con.execute("BEGIN IMMEDIATE")
            try:
                yield con
                con.execute("COMMIT")
            except BaseException:
                if con.in_transaction:
                    con.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A view of the data as of one moment, beside any writer and other readers."""
        with self._translated():
            con = self._reader()
            with closed_on_error(con):
                con.execute("BEGIN")
                yield con
                con.execute("COMMIT")
            if self._closed or len(self._idle) >= IDLE_READERS:
                con.close()
            else:
                self._idle.append(con)

    def scrub(self) -> None:
        """Move all that was written into the file proper and empty the write-ahead log, where
        deleted rows could still be read.
        """
        with self._lock, self._translated():
            self._open(self._writer).execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy(self, path: Path) -> None:
        """All of it, as of when this returns, in a new file. Writers wait some ms now and then."""

        def breathe(*_: object) -> None:
            # By the writer's own connection SQLite follows what is written between two steps, and
            # neither begins anew nor keeps the write-ahead log from being emptied meanwhile.
            self._lock.release()
            time.sleep(BREATH_S)
            self._lock.acquire()
            self._open(self._writer)

        with self._lock, self._translated(), closing(sqlite3.connect(path)) as target:
            target.execute("PRAGMA synchronous = OFF")
            self._open(self._writer).backup(target, pages=COPIED, progress=breathe)

    def close(self) -> None:
        with self._lock, self._translated():
            self._closed = True
            while self._idle:
                self._idle.pop().close()
            self._writer.close()

    # --- inside -----------------------------------------------------------------------------

    def _connect(self, cache_mb: int) -> sqlite3.Connection:
        con = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        with closed_on_error(con):
            con.executescript(_PRAGMAS)
            con.execute(f"PRAGMA cache_size = -{cache_mb * 1024}")
        return con

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            con = self._connect(cache_mb=8)
            with closed_on_error(con):
                con.execute("PRAGMA query_only = ON")
                return self._open(con)

    def _open(self, con: sqlite3.Connection) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable("the event log is closed")
        return con

    def _create(self) -> None:
        con = self._writer
        con.execute("BEGIN IMMEDIATE")
        (version,) = con.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            con.execute("ROLLBACK")
            raise Misconfigured(
                f"{self.path} was written by a newer windowshop: install that one, "
                "or choose another home"
            )
        if version == 0:
            for statement in SCHEMA.split(";\n"):
                con.execute(statement)
            con.execute(f"PRAGMA user_version = {VERSION}")
        con.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        except OverflowError as error:  # an int beyond 64 bits, from whoever called
            raise InvalidInput("a number is too large") from error
        except OSError as error:
            raise Unavailable(
                f"the event log {self.path} cannot be opened ({error.strerror}): "
                "check that its folder exists and may be written"
            ) from error


@contextmanager
def closed_on_error(con: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        con.close()
        raise


_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process is writing to it: try again shortly",
    sqlite3.SQLITE_LOCKED: "another process is writing to it: try again shortly",
    sqlite3.SQLITE_FULL: "the disk is full: free some space; nothing acknowledged was lost",
    sqlite3.SQLITE_IOERR: "the disk reports an error: check the disk, then start again",
    sqlite3.SQLITE_READONLY: "it may not be written: check the permissions of file and folder",
    sqlite3.SQLITE_PERM: "it may not be opened: check the permissions of file and folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that its folder exists and may be written",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: put back a copy of it, or save what can be read "
    "with `sqlite3 log.sqlite .recover`",
    sqlite3.SQLITE_NOTADB: "the file is no event log: move it away, or put back a copy of the log",
    sqlite3.SQLITE_NOMEM: "memory ran out: try again",
}


def translated(error: sqlite3.Error, path: Path) -> WindowshopError:
    """What SQLite's error means to whoever called."""
    code = getattr(error, "sqlite_errorcode", None)
    advice = _ADVICE.get(code & 0xFF) if code is not None else None
    return Unavailable(f"the event log {path}: {advice or error}")
