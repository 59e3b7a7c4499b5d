"""What Edge's folder promises: nothing acknowledged is lost, building changes nothing, one process."""

import base64
import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from windowshop.errors import NotReady, Unavailable
from windowshop.filters import AnyOf, Range
from windowshop.records import user_key
from windowshop.store import Search, Sparse, StoredUser
from windowshop.store.edge import EdgeStore, items, users

DIM = 16
MODEL = "test@00000001"
SHOP = "shop"
PATIENCE_S = 60


def unit(rows, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def payload(key, **more):
    return {
        "item_id": str(key),
        "title": "x",
        "available": True,
        "text_hash": f"t{key}",
        "price": float(key),
    } | more


def fill(store, count, start=1, tenant=SHOP):
    vectors = unit(count, seed=start)
    for at in range(0, count, 1000):
        keys = list(range(start + at, start + min(at + 1000, count)))
        store.put_items(tenant, {key: payload(key) for key in keys})
        store.put_vectors(tenant, keys, vectors[at : at + 1000], [f"t{key}" for key in keys], 1)
    return vectors


def history(*dims):
    return Sparse(np.asarray(dims, np.uint32), np.ones(len(dims), np.float32))


def start(folder, program):
    """A process that has the store open and runs `program`; its lines are read from stdout."""
    code = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        import test_edge_durability as t
        store = t.EdgeStore(Path({str(folder)!r}), t.MODEL, t.DIM)
    """) + textwrap.dedent(program)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, bufsize=1
    )


def kill(process):
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.wait(PATIENCE_S)
    process.stdout.close()
    return rest.splitlines()


@pytest.fixture
def small(monkeypatch):
    """Build indexes of little, so that the tests need not write much."""
    monkeypatch.setattr(items, "INDEX_FROM", 500)
    monkeypatch.setattr(items, "CHANGED_LEAST", 100)
    monkeypatch.setattr(users, "REMOVED_LEAST", 100)


def home(store, kind="items", tenant=SHOP):
    [folder] = (store._root / tenant).glob(f"{kind}-*")
    return folder


def generations(folder):
    return [entry for entry in folder.iterdir() if entry.is_dir()]


# --- kill -9 -----------------------------------------------------------------------------------------


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    writer = start(
        tmp_path,
        """
        for key in range(1, 100_000):
            store.put_items(t.SHOP, {key: t.payload(key)})
            store.put_vectors(t.SHOP, [key], t.unit(1, key), [f"t{key}"], 5)
            lost = store.put_users(t.SHOP, [t.StoredUser(t.user_key(t.SHOP, f"u:{key}"), 0, {"tail": f"{key:04}"}, history=t.history(key))])
            print(key if not lost else "lost", flush=True)
    """,
    )
    acknowledged = [int(writer.stdout.readline()) for _ in range(300)]
    acknowledged += [int(line) for line in kill(writer)[:-1]]
    store = EdgeStore(tmp_path, MODEL, DIM)
    held = store.items(SHOP, acknowledged)
    assert set(held) == set(acknowledged)
    assert all(item["embedded_at"] == 5 for item in held.values())
    assert np.allclose(store.vectors(SHOP, [17])[17], unit(1, 17)[0], atol=1e-6)
    found = store.users(SHOP, [user_key(SHOP, f"u:{key}") for key in acknowledged])
    assert sorted(int(user.payload["tail"]) for user in found.values()) == acknowledged
    assert store.neighbours(SHOP, history(17), 5)[0].tail == base64.b64decode("0017")
    store.close()


def test_kill_9_during_a_build_leaves_what_was_there(tmp_path, small):
    store = EdgeStore(tmp_path, MODEL, DIM)
    fill(store, 600)
    store.close()
    builder = start(
        tmp_path,
        """
        t.items.INDEX_FROM, t.items.CHANGED_LEAST = 500, 100
        from windowshop.store.edge import shard
        build = shard.Shard._build
        def slow(self, copy, orders):
            build(self, copy, orders)
            print("built", flush=True)
            time.sleep(600)
        shard.Shard._build = slow
        store.maintain()
    """,
    )
    assert builder.stdout.readline() == "built\n"
    [folder] = (tmp_path / SHOP).glob("items-*")
    assert len(generations(folder)) == 2
    kill(builder)
    store = EdgeStore(tmp_path, MODEL, DIM)
    assert store.count(SHOP) == 600
    assert len(generations(home(store))) == 1
    assert store.maintain() == [f"built the index of {SHOP}'s items (600)"]
    store.close()


def test_a_building_process_ends_with_the_one_that_started_it(tmp_path):
    parent = start(
        tmp_path,
        """
        import subprocess
        from windowshop.store.edge import optimize
        stub = Path(sys.argv[0]) if False else None
        code = "import sys, os; sys.path.insert(0, sys.argv[1]); import optimize, time; optimize.build = lambda folder: (print('worker', os.getpid(), flush=True), time.sleep(600)); optimize.main('x', os.getppid())"
        child = subprocess.Popen([sys.executable, "-c", code, str(Path(optimize.__file__).parent)], start_new_session=True)
        print("watcher", child.pid, flush=True)
        time.sleep(600)
    """,
    )
    pids = dict(parent.stdout.readline().split() for _ in range(2))
    parent.send_signal(signal.SIGKILL)
    parent.wait(PATIENCE_S)
    parent.stdout.close()
    until = time.monotonic() + PATIENCE_S
    while any(alive(int(pid)) for pid in pids.values()):
        assert time.monotonic() < until, "the child outlived its parent"
        time.sleep(0.05)


def alive(pid):
    try:
        with Path(f"/proc/{pid}/stat").open() as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


if not Path("/proc/self/stat").exists():
    test_a_building_process_ends_with_the_one_that_started_it = pytest.mark.skip("needs /proc")(
        test_a_building_process_ends_with_the_one_that_started_it
    )


# --- building ----------------------------------------------------------------------------------------


def test_building_changes_no_answer(tmp_path, small):
    store = EdgeStore(tmp_path, MODEL, DIM)
    vectors = fill(store, 1500)
    store.put_items(SHOP, {3: payload(3, available=False)})
    asks = [Search(vectors[n], 10, where) for n in (2, 7) for where in
            (None, AnyOf("available", (True,)), Range("price", lt=100.0))]  # fmt: skip
    before = store.search(SHOP, asks)
    assert store.maintain() == [f"built the index of {SHOP}'s items (1500)"]
    assert [[hit.key for hit in hits] for hits in store.search(SHOP, asks)] == [
        [hit.key for hit in hits] for hits in before
    ]
    assert store.maintain() == []
    assert len(generations(home(store))) == 1
    store.close()
    again = EdgeStore(tmp_path, MODEL, DIM)
    assert again.maintain() == []
    assert again.search(SHOP, asks[:1])[0][0].key == 3
    again.close()


def test_what_is_written_during_a_build_is_there_after_it(tmp_path, small):
    store = EdgeStore(tmp_path, MODEL, DIM)
    fill(store, 1000)
    done = threading.Event()
    built = []

    def build():
        built.extend(store.maintain())
        done.set()

    builder = threading.Thread(target=build)
    builder.start()
    expected = {key: float(key) for key in range(1, 1001)}
    writes, key = 0, 5000
    failures = []
    while not done.is_set() or writes < 50:
        key += 1
        writes += 1
        changed, gone = 1 + writes % 900, 1 + (writes * 7) % 1000
        vector = unit(1, key)
        store.put_items(SHOP, {key: payload(key), changed: payload(changed, price=-float(writes))})
        store.put_vectors(SHOP, [key], vector, [f"t{key}"], 2)
        store.delete_items(SHOP, [gone])
        expected |= {key: float(key), changed: -float(writes)}
        expected.pop(gone, None)
        if store.search(SHOP, [Search(vector[0], 1)])[0][0].key != key:
            failures.append(key)
        time.sleep(0.002)
    builder.join()
    assert built == [f"built the index of {SHOP}'s items ({built[0].rpartition('(')[2]}"]
    assert failures == []
    check(store, expected)
    store.close()
    again = EdgeStore(tmp_path, MODEL, DIM)
    check(again, expected)
    again.close()


def check(store, expected):
    rows, cursor = store.scan(SHOP, None, 1_000_000, None, ("price",))
    assert cursor is None
    assert {key: row["price"] for key, row in rows} == expected
    with_vectors = store.vectors(SHOP, list(expected))
    assert all(key in with_vectors for key in expected if key > 5000)


def test_users_are_built_anew_when_many_were_removed(tmp_path, small):
    store = EdgeStore(tmp_path, MODEL, DIM)
    keys = [user_key(SHOP, f"u:{n}") for n in range(300)]
    store.put_users(
        SHOP,
        [
            StoredUser(key, 0, {"tail": "QUJD"}, unit(1)[0], history(n))
            for n, key in enumerate(keys)
        ],
    )
    assert store.maintain() == []
    store.delete_users(SHOP, keys[:200])
    assert store.maintain() == [f"built the index of {SHOP}'s users (100)"]
    assert store.maintain() == []
    assert sorted(store.user_keys(SHOP)) == sorted(keys[200:])
    [held] = store.users(SHOP, [keys[250]], vectors=True).values()
    assert np.allclose(held.taste, unit(1)[0], atol=1e-6)
    assert store.neighbours(SHOP, history(250), 5) == [(keys[250], 1.0, b"ABC")]
    assert store.put_users(SHOP, [held]) == []
    store.close()


def test_a_build_that_fails_leaves_the_store_as_it_was(tmp_path, small, monkeypatch):
    store = EdgeStore(tmp_path, MODEL, DIM)
    fill(store, 600)
    from windowshop.store.edge import shard

    monkeypatch.setattr(shard.optimize, "__file__", str(tmp_path / "nothing.py"))
    with pytest.raises(Unavailable, match="no index was built"):
        store.maintain()
    monkeypatch.undo()
    assert len(generations(home(store))) == 1
    store.put_items(SHOP, {9999: payload(9999)})
    assert store.count(SHOP) == 601
    store.close()


def test_closing_ends_a_build(tmp_path, small, monkeypatch):
    store = EdgeStore(tmp_path, MODEL, DIM)
    fill(store, 600)
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(600)\n")
    from windowshop.store.edge import shard

    monkeypatch.setattr(shard.optimize, "__file__", str(slow))
    outcome = []

    def build():
        try:
            outcome.append(store.maintain())
        except Unavailable as error:
            outcome.append(error)

    builder = threading.Thread(target=build)
    builder.start()
    until = time.monotonic() + PATIENCE_S
    while store._items[SHOP].shard._child is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    store.close()
    builder.join(PATIENCE_S)
    assert isinstance(outcome[0], Unavailable)
    again = EdgeStore(tmp_path, MODEL, DIM)
    assert again.count(SHOP) == 600
    again.close()


def test_after_a_crash_the_index_is_built_again(tmp_path, small):
    store = EdgeStore(tmp_path, MODEL, DIM)
    fill(store, 600)
    assert store.maintain()
    store.close()
    [folder] = (tmp_path / SHOP).glob("items-*")
    [home_] = generations(folder)
    assert json.loads((home_ / "state.json").read_text()) == {"changed": 0, "removed": 0}
    kill_at_once = start(
        tmp_path, "store.count(t.SHOP); print('open', flush=True); time.sleep(600)"
    )
    kill_at_once.stdout.readline()
    kill(kill_at_once)
    again = EdgeStore(tmp_path, MODEL, DIM)
    assert again.maintain()
    again.close()


# --- one process -------------------------------------------------------------------------------------


def test_a_copy_has_what_was_written_and_is_a_store_of_its_own(tmp_path):
    store = EdgeStore(tmp_path / "home", MODEL, DIM)
    vectors = fill(store, 300)
    fill(store, 5, tenant="other")
    over = threading.Event()

    def write():
        for key in range(1_000, 100_000):
            store.put_items(SHOP, {key: payload(key)})
            if over.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    store.copy_items(SHOP, tmp_path / "copy")
    over.set()
    writer.join()
    store.delete_items(SHOP, list(range(1, 301)))
    store.close()
    copy = EdgeStore(tmp_path / "copy", MODEL, DIM)
    assert copy.tenants() == [SHOP]
    assert copy.count(SHOP) >= 300
    found = copy.vectors(SHOP, [1, 300])
    np.testing.assert_allclose([found[1], found[300]], vectors[[0, 299]], atol=1e-3)
    assert copy.count_users(SHOP) == 0
    copy.close()
    with pytest.raises(Unavailable, match="closed"):
        store.copy_items(SHOP, tmp_path / "late")


def test_a_second_process_is_told_who_has_it(tmp_path):
    other = start(tmp_path, "print('open', flush=True); time.sleep(600)")
    assert other.stdout.readline() == "open\n"
    with pytest.raises(NotReady, match=f"process {other.pid}"):
        EdgeStore(tmp_path, MODEL, DIM)
    kill(other)
    EdgeStore(tmp_path, MODEL, DIM).close()


def test_two_stores_have_folders_of_their_own(tmp_path):
    store = EdgeStore(tmp_path, MODEL, DIM)
    fill(store, 5, tenant="left")
    fill(store, 5, start=100, tenant="right")
    left, right = home(store, tenant="left"), home(store, tenant="right")
    assert left.parent.name == "left"
    assert right.parent.name == "right"
    assert store.items("left", range(100, 105)) == {}
    store.close()


def test_reading_makes_no_folders(tmp_path):
    store = EdgeStore(tmp_path, MODEL, DIM)
    store.search("anything", [Search(unit(1)[0], 3)])
    store.users("anything", [user_key("anything", "u:1")])
    assert store.tenants() == []
    store.close()


def test_a_closed_store_says_so(tmp_path):
    store = EdgeStore(tmp_path, MODEL, DIM)
    fill(store, 3)
    store.close()
    store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.count(SHOP)
    with pytest.raises(Unavailable, match="closed"):
        store.count("other")
