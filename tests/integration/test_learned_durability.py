"""What learning promises of Edge's folder: who is killed on the way leaves what served, and a home
from before there were words or learned vectors is one that has none of them yet.
"""

import numpy as np
import pytest
import qdrant_edge as q

from tests.integration import test_edge_durability as t
from windowshop.filters import AnyOf
from windowshop.store import LEARNED_DIM, Search, Sparse, WordSearch
from windowshop.store.edge import EdgeStore, items, layout, shard
from windowshop.store.edge.files import copy_folder
from windowshop.store.schema import fingerprint, item_payload

SHOP = t.SHOP
TURN = np.random.default_rng(5).normal(size=(t.DIM, LEARNED_DIM)).astype(np.float32)
AVAILABLE = AnyOf("available", (True,))


def make(_keys, text):
    return text @ TURN


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(shard, "GRACE_S", 0.0)


def words(*dims):
    return Sparse(np.asarray(dims, np.uint32), np.ones(len(dims), np.float32))


def check(store, version, vectors):
    assert store.learned_by(SHOP) == version
    held = store.learned(SHOP, range(1, len(vectors) + 1))
    assert len(held) == (len(vectors) if version else 0)
    near = vectors[2] @ TURN
    [hits] = store.search(SHOP, [Search(near, 1, AVAILABLE, "learned")])
    assert [hit.key for hit in hits] == ([3] if version else [])
    assert store.count(SHOP) == len(vectors)


# --- kill -9 -----------------------------------------------------------------------------------------

STAGES = ("made", "_replay")
KILLED = """
    import os
    from windowshop.store.edge import learning, shard

    def ending(kind, name):
        done = getattr(kind, name)
        def then_die(*given):
            found = done(*given)
            print("there", flush=True)
            time.sleep(600)
        setattr(kind, name, then_die)

    {where}
    store.learn(t.SHOP, "v2", lambda keys, text: -(text @ turn))
"""


@pytest.mark.parametrize("stage", STAGES)
def test_kill_9_while_learning_leaves_what_served(tmp_path, stage):
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    vectors = t.fill(store, 40)
    store.learn(SHOP, "v1", make)
    store.close()
    where = (
        "ending(learning.Learning, '_made')"
        if stage == "made"
        else f"store.count(t.SHOP); ending(shard.Shard, '{stage}')"
    )
    head = f"""
        import numpy as np
        turn = np.random.default_rng(5).normal(size=(t.DIM, {LEARNED_DIM})).astype(np.float32)
    """
    program = t.textwrap.dedent(head) + t.textwrap.dedent(KILLED).format(where=where)
    writer = t.start(tmp_path, program)
    assert writer.stdout.readline() == "there\n"
    t.kill(writer)
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    check(store, "v1", vectors)
    assert len(t.generations(t.home(store))) == 1
    store.close()


def test_what_is_learned_survives_kill_9(tmp_path):
    program = f"""
        import numpy as np
        t.fill(store, 40)
        turn = np.random.default_rng(5).normal(size=(t.DIM, {LEARNED_DIM})).astype(np.float32)
        store.learn(t.SHOP, "v1", lambda keys, text: text @ turn)
        store.put_items(t.SHOP, {{7: t.payload(7, available=False)}})
        print("learned", flush=True)
        time.sleep(600)
    """
    writer = t.start(tmp_path, program)
    assert writer.stdout.readline() == "learned\n"
    t.kill(writer)
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    check(store, "v1", t.unit(40, seed=1))
    assert store.items(SHOP, [7])[7]["available"] is False
    store.close()


# --- while it serves ---------------------------------------------------------------------------------


def test_an_answer_is_of_one_version(tmp_path, monkeypatch):
    """Another version comes between the question and its answer."""
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    vectors = t.fill(store, 5)
    store.learn(SHOP, "v1", make)
    asked = items.Items._search

    def slowly(self, searches):
        found = asked(self, searches)
        monkeypatch.undo()
        store.learn(SHOP, "v2", make)
        return found

    monkeypatch.setattr(items.Items, "_search", slowly)
    near = Search(vectors[0] @ TURN, 3, None, "learned", "v1")
    assert [len(hits) for hits in store.search(SHOP, [near, Search(vectors[0], 3)])] == [0, 3]
    store.close()


def test_what_is_written_while_all_is_forgotten_has_nothing_of_it(tmp_path, monkeypatch):
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    vectors = t.fill(store, 5)
    store.learn(SHOP, "v1", make)
    build = shard.Shard._build

    def writing(self, copy, orders):
        build(self, copy, orders)
        store.put_items(SHOP, {3: t.payload(3)}, {3: words(1)})

    monkeypatch.setattr(shard.Shard, "_build", writing)
    assert store.learn(SHOP, "", make) == 0
    check(store, None, vectors)
    assert [hit.key for hit in store.search(SHOP, [WordSearch(words(1), 5)])[0]] == [3]
    store.close()


# --- indexes -----------------------------------------------------------------------------------------


def test_indexes_are_built_with_what_is_learned(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "INDEX_FROM", 500)
    monkeypatch.setattr(items, "CHANGED_LEAST", 100)
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    vectors = t.fill(store, 800)
    store.put_items(SHOP, {key: t.payload(key) for key in range(1, 301)}, {
        key: words(key % 7, 100) for key in range(1, 301)})  # fmt: skip
    assert store.learn(SHOP, "v1", make) == 800
    assert store.maintain() == []  # that was done on the way
    check(store, "v1", vectors)
    held = store._items[SHOP].shard
    assert held.read(lambda edge: edge.info().indexed_vectors_count) >= 2 * 800
    asks = [Search(vectors[2] @ TURN, 9, None, "learned"), WordSearch(words(3), 99)]
    before = store.search(SHOP, asks)
    store.put_items(SHOP, {key: t.payload(key, price=0.0) for key in range(301, 601)})
    assert store.maintain() == [f"built the index of {SHOP}'s items (800)"]
    check(store, "v1", vectors)
    assert [{hit.key for hit in hits} for hits in store.search(SHOP, asks)] == [
        {hit.key for hit in hits} for hits in before
    ]
    assert store.learn(SHOP, "", make) == 0
    check(store, None, vectors)
    store.close()


# --- a home of before --------------------------------------------------------------------------------


def unindexed(_shard):
    pass


def old_shard(folder, indexing):
    """A shard as it was laid out at first, with the text vectors `t.unit(40)` of 40 items."""
    old = q.EdgeShard.create(str(folder), layout.item_config(t.DIM, words=False))
    points = []
    for key, vector in enumerate(t.unit(40).tolist(), start=1):
        said = t.payload(key) | {"vector_hash": f"t{key}", "embedded_at": 1}
        points.append(q.Point(key, {"text": vector}, item_payload(SHOP, key, said, None)))
    old.update(q.UpdateOperation.upsert_points(points))
    indexing(old)
    old.flush()
    return old


def home_for(root):
    return root / SHOP / f"items-{fingerprint(t.MODEL, t.DIM)}"


@pytest.mark.parametrize("indexing", [unindexed, q.EdgeShard.optimize])
def test_a_home_from_before_is_used_as_it_is(tmp_path, indexing):
    vectors = t.unit(40)
    (home_for(tmp_path) / "g-old").mkdir(parents=True)
    old_shard(home_for(tmp_path) / "g-old", indexing).close()
    (home_for(tmp_path) / "current").write_text("g-old")

    for _ in range(2):
        store = EdgeStore(tmp_path, t.MODEL, t.DIM)
        assert store.learned_by(SHOP) is None
        check(store, None, vectors)
        answers = store.search(SHOP, [
            WordSearch(words(1), 5), Search(vectors[2], 1, AVAILABLE),
            Search(vectors[2] @ TURN, 5, None, "learned"),
        ])  # fmt: skip
        assert [[hit.key for hit in hits] for hits in answers] == [[], [3], []]
        store.close()
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    store.put_items(SHOP, {3: t.payload(3)}, {3: words(1)})
    [hits] = store.search(SHOP, [WordSearch(words(1), 5)])
    assert [hit.key for hit in hits] == [3]
    store.close()
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    [hits] = store.search(SHOP, [WordSearch(words(1), 5)])
    assert [hit.key for hit in hits] == [3]
    assert store.learn(SHOP, "v1", make) == 40
    check(store, "v1", vectors)
    assert len(store.search(SHOP, [WordSearch(words(1), 5)])[0]) == 1
    store.close()


def test_a_conversion_that_was_cut_short_is_no_harm(tmp_path):
    """The room for words is in the shard's log, and nothing else says so."""
    (tmp_path / "old").mkdir()
    old = old_shard(tmp_path / "old", unindexed)
    old.close()
    converting = layout.ItemLayout(t.DIM).converted(tmp_path / "old")
    copy_folder(tmp_path / "old", home_for(tmp_path) / "g-cut")  # as a crash would leave it
    (home_for(tmp_path) / "current").write_text("g-cut")
    converting.close()
    store = EdgeStore(tmp_path, t.MODEL, t.DIM)
    store.put_items(SHOP, {3: t.payload(3)}, {3: words(1)})
    assert len(store.search(SHOP, [WordSearch(words(1), 5)])[0]) == 1
    assert store.count(SHOP) == 40
    store.close()
