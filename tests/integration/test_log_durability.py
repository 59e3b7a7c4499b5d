"""The log's file: what was acknowledged survives, what was forgotten is gone, errors are ours."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from windowshop.errors import Misconfigured, Unavailable, WindowshopError
from windowshop.log import EventRow
from windowshop.log.database import Database, translated
from windowshop.log.sqlite import SqliteLog
from windowshop.records import event_key, item_key

NOW = 1_700_000_000_000


def row(user, n, event_id=None):
    event_id = event_id or f"{user}-{n}"
    item = f"item-{n % 50}"
    key = item_key("default", item)
    rest = b'{"context":{"note":"secret-of-%s"}}' % user[2:].encode()
    return EventRow(user, event_id, event_key(event_id), 0, NOW + n, 0, item, key, 1.0, rest)


@pytest.fixture
def log(tmp_path):
    opened = SqliteLog(tmp_path / "log.sqlite")
    yield opened
    opened.close()


# --- copies --------------------------------------------------------------------------------------


def test_a_copy_is_whole_whatever_is_written_and_forgotten_meanwhile(log, tmp_path, monkeypatch):
    monkeypatch.setattr("windowshop.log.database.COPIED", 5)
    log.append("default", [row(f"u:{n % 50}", n) for n in range(5_000)], NOW)
    waited, over = [], threading.Event()

    def write():
        n = 5_000
        while not over.is_set():
            begin = time.perf_counter()
            log.append("default", [row("u:late", n)], NOW)
            if n == 5_002:
                log.forget("default", "u:0", NOW + 1, "e")
            waited.append(time.perf_counter() - begin)
            n += 1

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        log.copy(tmp_path / "copy.sqlite")
        over.set()
        writing.result()
    assert len(waited) > 5
    assert max(waited) < 5
    copied = SqliteLog(tmp_path / "copy.sqlite")
    held = list(copied.rows("default"))
    assert copied.count("default") == len(held) >= 4_905
    assert "u:0" not in {one.user for one in held}
    copied.close()


def test_a_copy_of_a_closed_log_or_into_nowhere_is_told(log, tmp_path):
    with pytest.raises(Unavailable):
        log.copy(tmp_path / "none" / "copy.sqlite")
    log.append("default", [row("u:ann", 1)], NOW)
    log.close()
    with pytest.raises(Unavailable, match="closed"):
        log.copy(tmp_path / "copy.sqlite")


# --- durability ----------------------------------------------------------------------------------

WRITER = """
    import sys
    from pathlib import Path
    from windowshop.log import EventRow
    from windowshop.log.sqlite import SqliteLog
    from windowshop.records import event_key, item_key

    log = SqliteLog(Path(sys.argv[1]))
    for n in range(1_000_000):
        rows = [
            EventRow(f"u:{i}", f"{n}-{i}", event_key(f"{n}-{i}"), 0, n, i, "x",
                     item_key("default", "x"), 1.0, None)
            for i in range(n % 40 + 1)
        ]
        assert all(log.append("default", rows, n).new)
        log.mark_folded("default", {"u:0": n})
        print(n, flush=True)
"""


@pytest.mark.parametrize("after", [3, 60])
def test_every_acknowledged_event_survives_kill_9(tmp_path, after):
    path = tmp_path / "log.sqlite"
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    acknowledged = -1
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged >= after:
            writer.send_signal(signal.SIGKILL)
            break
    # What was printed before the signal arrived was acknowledged too.
    rest = writer.stdout.read().split(b"\n")
    acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL

    log = SqliteLog(path)
    for user in range(40):
        expected = {f"{n}-{user}" for n in range(acknowledged + 1) if n % 40 >= user}
        found = {event["event_id"] for event in log.export("default", [f"u:{user}"], None, 9999)[0]}
        assert expected <= found
    users = log.users("default")
    counts = log.counts_of("default", users)
    assert counts == {user: log.held("default", [user]) for user in users}
    assert sum(counts.values()) == log.count("default")
    assert set(users) - {"u:0"} <= set(log.unfolded("default"))
    assert log.append("default", [row("u:0", 1)], NOW).new == [True]
    log.close()


def test_two_processes_may_have_it_open(tmp_path):
    """What one writes or forgets the other knows, although it remembers users' numbers."""
    one, two = SqliteLog(tmp_path / "log.sqlite"), SqliteLog(tmp_path / "log.sqlite")
    one.append("default", [row("u:ann", 1)], NOW)
    assert two.append("default", [row("u:ann", 1), row("u:ann", 2)], NOW).new == [False, True]
    one.forget("default", "u:ann", NOW + 1, "e1")
    assert two.append("default", [row("u:ann", 3)], NOW).dropped == 1
    assert two.append("default", [row("u:ann", 3)], NOW + 2).new == [True]
    assert one.append("default", [row("u:ann", 4)], NOW + 2).new == [True]
    assert one.counts_of("default", ["u:ann"]) == {"u:ann": 2}

    def write(log, n):
        return sum(log.append("default", [row(f"u:{n % 3}", i) for i in range(n, n + 9)], NOW).new)

    with ThreadPoolExecutor(4) as pool:
        new = sum(pool.map(write, [one, two] * 20, range(40)))
    assert new == sum(one.held("default", [f"u:{n}"]) for n in range(3))
    one.close()
    two.close()


def test_a_file_of_one_opening_serves_the_next(tmp_path):
    first = SqliteLog(tmp_path / "log.sqlite")
    first.append("default", [row("u:ann", n) for n in range(5)], NOW)
    first.close()
    again = SqliteLog(tmp_path / "log.sqlite")
    assert again.counts_of("default", ["u:ann"]) == {"u:ann": 5}
    assert again.append("default", [row("u:ann", n) for n in range(6)], NOW).duplicates == 5
    again.close()


# --- privacy -------------------------------------------------------------------------------------


def test_the_forgotten_cannot_be_read_in_the_file(tmp_path):
    """Neither in the database nor in what SQLite keeps beside it, while it is open and after."""
    log = SqliteLog(tmp_path / "log.sqlite")
    users = [f"u:user-{n}-of-many" for n in range(60)]
    for n in range(0, 9000, 900):
        log.append("default", [row(users[i % 60], i) for i in range(n, n + 900)], NOW)
    log.add_letter("default", users[7], NOW, "broken", {"context": "secret-of-user-7-of-many"})
    log.link("default", users[7], "a:guest-of-seven")
    log.append("default", [row("a:guest-of-seven", n) for n in range(200)], NOW)
    marks = [b"user-7-of-many", b"guest-of-seven"]
    log._db.scrub()
    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert all(mark in everything for mark in marks)

    log.forget("default", users[7], NOW + 1, "e1")
    for _ in range(2):
        everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert not any(mark in everything for mark in marks)
        assert b"user-8-of-many" in everything
        log.close()


def test_the_file_is_its_owners_alone(tmp_path):
    SqliteLog(tmp_path / "log.sqlite").close()
    mode = stat.S_IMODE((tmp_path / "log.sqlite").stat().st_mode)
    assert mode == 0o600


# --- errors --------------------------------------------------------------------------------------


def test_every_error_of_sqlite_is_one_of_ours(tmp_path):
    codes = {
        name: code
        for name, code in vars(sqlite3).items()
        if name.startswith("SQLITE_") and isinstance(code, int)
    }
    kinds = [
        kind
        for kind in vars(sqlite3).values()
        if isinstance(kind, type) and issubclass(kind, sqlite3.Error)
    ]
    assert len(codes) > 20
    assert len(kinds) > 5
    for kind in kinds:
        assert isinstance(translated(kind("x"), tmp_path), WindowshopError)
        for code in codes.values():
            error = kind("x")
            error.sqlite_errorcode = code
            assert isinstance(translated(error, tmp_path), WindowshopError)


def test_a_full_disk_is_unavailable_and_loses_nothing(log):
    log.append("default", [row("u:ann", 1)], NOW)
    (pages,) = log._db._writer.execute("PRAGMA page_count").fetchone()
    log._db._writer.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(Unavailable, match="disk is full"):
        log.append("default", [row("u:new", n) for n in range(3000)], NOW)
    assert log.users("default") == ["u:ann"]
    log._db._writer.execute("PRAGMA max_page_count = 1000000")
    assert all(log.append("default", [row("u:new", n) for n in range(3000)], NOW).new)


def test_a_log_that_another_holds_is_unavailable(log):
    other = sqlite3.connect(log._db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    log._db._writer.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(Unavailable, match="another process"):
        log.append("default", [row("u:ann", 1)], NOW)
    other.execute("ROLLBACK")
    other.close()
    assert log.append("default", [row("u:ann", 1)], NOW).new == [True]


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_log_says_what_to_do(tmp_path, content):
    (tmp_path / "log.sqlite").write_bytes(content)
    with pytest.raises(Unavailable, match="put back a copy"):
        SqliteLog(tmp_path / "log.sqlite")


def test_a_damaged_file_says_what_to_do(tmp_path):
    path = tmp_path / "log.sqlite"
    log = SqliteLog(path)
    log.append("default", [row("u:ann", n) for n in range(3000)], NOW)
    log.close()
    body = bytearray(path.read_bytes())
    body[4096 * 12 : 4096 * 60] = b"\xa5" * (4096 * 48)
    path.write_bytes(bytes(body))
    log = SqliteLog(path)
    with pytest.raises(Unavailable, match="damaged"):
        log.export("default", ["u:ann"], None, 5000)
    log.close()


def test_a_folder_that_cannot_be_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="folder"):
        SqliteLog(tmp_path / "file" / "log.sqlite")
    with pytest.raises(Unavailable):
        SqliteLog(tmp_path)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "log.sqlite"
    con = sqlite3.connect(path)
    con.execute("PRAGMA user_version = 99")
    con.close()
    with pytest.raises(Misconfigured, match="newer"):
        SqliteLog(path)


def test_an_error_of_the_caller_leaves_the_log_usable(tmp_path):
    db = Database(tmp_path / "log.sqlite")
    with pytest.raises(ZeroDivisionError), db.writing() as con:
        con.execute("INSERT INTO secrets VALUES ('default', ?)", (str(1 // 0),))
    with pytest.raises(ZeroDivisionError), db.reading() as con:
        con.execute("SELECT ?", (1 // 0,))
    with db.reading() as con:
        assert con.execute("SELECT count(*) FROM secrets").fetchone() == (0,)
    db.close()


# --- letters -------------------------------------------------------------------------------------


def test_letters_of_the_forgotten_are_gone(log):
    mine = log.add_letter("default", "u:ann", NOW, "r", {})
    theirs = log.add_letter("default", "u:bob", NOW, "r", {})
    log.forget("default", "u:ann", NOW, "e1")
    assert [letter.id for letter in log.letters("default")] == [theirs]
    assert mine != theirs
