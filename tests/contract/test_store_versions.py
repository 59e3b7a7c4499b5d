"""Versions of the items' collection on a server: other processes serve and write meanwhile, and may
die at any moment. Two stores on one stand-in are two processes.
"""

import contextlib
import uuid

import numpy as np
import pytest
from qdrant_client import QdrantClient
from qdrant_client import models as m

from tests.contract.stores import DIM, MODEL, SHOP, fill, history, keys_of, payload, put, unit
from windowshop.errors import NotReady, Unavailable
from windowshop.store import LEARNED_DIM, Search, WordSearch
from windowshop.store.schema import model_card
from windowshop.store.server import BELIEVED_S, Place, ServerStore, layout, learning, opening
from windowshop.store.server.collection import Collection

TURN = np.random.default_rng(5).normal(size=(DIM, LEARNED_DIM)).astype(np.float32)


def make(_keys, text):
    return text @ TURN


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(learning, "GRACE_S", 0.0)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def prefix(qdrant):
    mine = f"test-{uuid.uuid4().hex[:8]}-"
    yield mine
    with contextlib.closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as client:
        for name in names(client, mine):
            client.delete_collection(name)


@pytest.fixture
def connect(qdrant, prefix):
    with contextlib.ExitStack() as made:

        def store(**more):
            opened = ServerStore(Place(qdrant.url), MODEL, DIM, prefix=prefix, **more)
            return made.enter_context(contextlib.closing(opened))

        yield store


@pytest.fixture
def client(qdrant):
    with contextlib.closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as made:
        yield made


def names(client, prefix, kind=""):
    found = [one.name for one in client.get_collections().collections]
    return sorted(name for name in found if name.startswith(prefix + kind))


def aliases(client, prefix):
    held = {one.alias_name: one.collection_name for one in client.get_aliases().aliases}
    return {name.removeprefix(prefix): to for name, to in held.items() if name.startswith(prefix)}


def near(vectors, version=None):
    return Search(vectors[0] @ TURN, 3, None, "learned", version)


# --- others serve ------------------------------------------------------------------------------------


def test_two_aliases_move_at_once_and_the_old_version_goes(connect, client, prefix):
    store = connect()
    fill(store, [payload("a")], unit(1))
    [first] = names(client, prefix, "items")
    assert aliases(client, prefix)["items"] == first
    store.learn(SHOP, "v1", make)
    [second] = names(client, prefix, "items")
    assert second.startswith(f"{first}-")
    held = aliases(client, prefix)
    assert {held["items"], held[f"{first.removeprefix(prefix)}-serving"]} == {second}


def test_another_process_notices_within_a_minute(connect):
    clock = Clock()
    store, other = connect(), connect(clock=clock)
    [key] = fill(store, [payload("a")], unit(1))
    assert other.learned_by(SHOP) is None
    store.learn(SHOP, "v1", make)
    put(other, [payload("b")])  # writes find the version that serves at once
    assert store.count(SHOP) == other.count(SHOP) == 2
    assert other.search(SHOP, [near(unit(1)), Search(unit(1)[0], 1)])[1][0].key == key
    clock.now += BELIEVED_S + 1
    assert other.learned_by(SHOP) == "v1"
    assert other.search(SHOP, [near(unit(1), "v1")])[0][0].key == key


def test_a_vector_of_the_version_that_is_gone_meets_no_other(connect):
    store, other = connect(), connect()
    [key] = fill(store, [payload("a")], unit(1))
    store.learn(SHOP, "v1", make)
    asks = [near(unit(1)), Search(unit(1)[0], 3)]
    assert [len(hits) for hits in other.search(SHOP, asks)] == [1, 1]
    third = connect()
    assert third.learned_by(SHOP) == "v1"
    store.learn(SHOP, "v2", lambda keys, text: -make(keys, text))
    assert third.learned(SHOP, [key]) == {}  # for who asked, it would be v1's
    assert third.learned_by(SHOP) == "v2"
    assert list(third.learned(SHOP, [key])) == [key]
    assert other._held.as_items.version.learned == {SHOP: "v1"}
    assert [len(hits) for hits in other.search(SHOP, asks)] == [0, 1]
    assert other.learned_by(SHOP) == "v2"
    assert [len(hits) for hits in other.search(SHOP, asks)] == [1, 1]
    other.put_vectors(SHOP, [key], unit(1), ["t-a"], 9, make([], unit(1)), "v1")
    assert np.allclose(other.learned(SHOP, [key])[key] @ (unit(1)[0] @ TURN), -np.linalg.norm(
        unit(1)[0] @ TURN), atol=1e-4)  # fmt: skip


def test_a_worker_that_does_not_know_the_version_writes_no_others_vector(connect):
    store, worker = connect(), connect()
    [a] = fill(store, [payload("a")], unit(1))
    worker.count(SHOP)
    store.learn(SHOP, "v2", make)
    put(worker, [payload("b")])
    [b] = keys_of(["b"])
    assert worker.put_vectors(SHOP, [a, b], unit(2, 3), ["t-a", "t-b"], 9) == [a, b]
    assert list(store.learned(SHOP, [a, b])) == [a]
    rows = make([], unit(2, 3))
    assert worker.put_vectors(SHOP, [a, b], unit(2, 3), ["t-a", "t-b"], 9, rows, "v1") == [a, b]
    assert list(store.learned(SHOP, [a, b])) == [a]
    assert worker.put_vectors(SHOP, [a, b], unit(2, 3), ["t-a", "t-b"], 9, rows, "v2") == [a, b]
    assert sorted(store.learned(SHOP, [a, b])) == sorted([a, b])


# --- others write ------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after", "both"])
def test_a_write_at_the_moment_of_the_change_is_not_lost(connect, monkeypatch, when):
    """Just before the aliases move: to the old version; just after: to the new one."""
    store, other = connect(), connect()
    keys = fill(store, [payload(name, price=1.0) for name in "abcdef"], unit(6))
    a, b, c, d, e, _ = keys
    serve = opening.Aliases.serve

    def meanwhile():
        put(other, [payload("a", price=2.0), payload("new")])
        other.put_vectors(SHOP, [b], unit(1, 9), ["t-b"], 5)
        other.delete_items(SHOP, [c])
        other.put_items(SHOP, {d: payload("d", price=3.0)}, {d: history(7)})

    def moving(self, name, **more):
        if when == "both":  # the same item in the one and then in the other
            put(other, [payload("a", price=1.5), payload("d", price=1.5)])
            other.delete_items(SHOP, [e])
            other.put_vectors(SHOP, [b], unit(1, 8), ["t-b"], 5)
        if when == "before":
            meanwhile()
        serve(self, name, **more)
        if when != "before":
            meanwhile()
            put(other, [payload("e", price=5.0)])

    monkeypatch.setattr(opening.Aliases, "serve", moving)
    store.learn(SHOP, "v1", make)
    monkeypatch.undo()
    read = store.items(SHOP, [*keys, *keys_of(["new"])])
    assert set(read) == {*keys, *keys_of(["new"])} - {c}
    assert [read[key]["price"] for key in (a, b, d)] == [2.0, 1.0, 3.0]
    assert read[e]["price"] == (1.0 if when == "before" else 5.0)
    assert np.allclose(store.vectors(SHOP, [b])[b], unit(1, 9)[0], atol=1e-5)
    assert [hit.key for hit in store.search(SHOP, [WordSearch(history(7), 5)])[0]] == [d]
    learned = store.learned(SHOP, keys)
    if when == "before":  # made of the new text vector too
        row = make([], unit(1, 9))[0]
        assert np.allclose(learned[b], row / np.linalg.norm(row), atol=1e-5)
    assert set(keys) - {c, e} <= set(learned) <= set(keys) - {c}
    put(other, [payload("a", price=4.0)])
    assert store.items(SHOP, [a])[a]["price"] == 4.0


def test_a_write_that_spans_the_change_finds_its_condition_met(connect, monkeypatch):
    """Read from the old version, written to the new one."""
    store, other = connect(), connect()
    [key] = fill(store, [payload("a", price=1.0)], unit(1))
    from windowshop.store.server import items

    made, left = items.new_write, [True]

    def new_write():
        if left:
            left.pop()
            store.learn(SHOP, "v1", make)
        return made()

    monkeypatch.setattr(items, "new_write", new_write)
    put(other, [payload("a", price=2.0)])
    assert store.items(SHOP, [key])[key]["price"] == 2.0
    assert list(store.learned(SHOP, [key])) == [key]


def test_words_that_follow_their_payload_late_are_not_lost(connect, monkeypatch):
    """The copy is made between the two."""
    store, other = connect(), connect()
    [a, b] = fill(store, [payload("a"), payload("b")], unit(2))
    update = Collection.update

    def halting(self, operations):
        if not any(isinstance(one, m.UpdateVectorsOperation) for one in operations):
            return update(self, operations)
        update(self, operations[:1])
        monkeypatch.undo()
        monkeypatch.setattr(opening.Aliases, "serve", lambda *given, **more: (
            update(self, operations[1:]), serve(*given, **more)))  # fmt: skip
        store.learn(SHOP, "v1", make)
        return None

    serve = opening.Aliases.serve
    monkeypatch.setattr(Collection, "update", halting)
    other.put_items(SHOP, {a: payload("a", price=2.0)}, {a: history(7)})
    monkeypatch.undo()
    assert store.items(SHOP, [a])[a]["price"] == 2.0
    assert [hit.key for hit in store.search(SHOP, [WordSearch(history(7), 5)])[0]] == [a]
    assert sorted(store.learned(SHOP, [a, b])) == sorted([a, b])


def test_words_of_an_item_that_is_being_deleted_stop_no_other(connect, monkeypatch):
    store, other = connect(), connect()
    [a, b] = fill(store, [payload("a"), payload("b")], unit(2))
    update = Collection.update

    def late(self, operations):
        monkeypatch.undo()
        update(self, operations[:2])
        other.delete_items(SHOP, [a])
        update(self, operations[2:])

    monkeypatch.setattr(Collection, "update", late)
    items = {a: payload("a", price=2.0), b: payload("b", price=2.0)}
    store.put_items(SHOP, items, {a: history(7), b: history(7)})
    assert len(store.search(SHOP, [WordSearch(history(7), 5)])[0]) == 2
    assert store.items(SHOP, [b])[b]["price"] == 2.0


# --- who dies ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: it does nothing more, neither tidying up."""


@pytest.mark.parametrize("moment", ["fill", "catch_up", "_serve", "swapped"])
def test_who_dies_leaves_a_whole_version_and_what_is_left_is_removed(
    connect, client, prefix, monkeypatch, moment
):
    store, other = connect(), connect()
    keys = fill(store, [payload(name) for name in "abc"], unit(3))
    store.learn(SHOP, "v1", make)
    owner = {"fill": learning.Copy, "catch_up": learning.Copy}
    kind = ServerStore if moment == "swapped" else owner.get(moment, learning.Versions)
    name = "_swapped" if moment == "swapped" else moment
    done = getattr(kind, name)

    def dying(*given):
        done(*given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, dying)
        patch.setattr(learning.Versions, "_left_over", lambda _self: {})  # nor does it tidy up
        with pytest.raises(Killed):
            store.learn(SHOP, "v2", make)
    version = "v1" if moment in owner else "v2"
    fresh = connect()
    assert fresh.learned_by(SHOP) == version
    assert len(fresh.learned(SHOP, keys)) == fresh.count(SHOP) == 3
    assert len(names(client, prefix, "items")) == 2
    with pytest.raises(NotReady, match="another process"):
        fresh.learn(SHOP, "v3", make)
    assert fresh.maintain() == []  # whoever it was may still be at work
    fresh._versions._wall = lambda: learning.time.time() + learning.LEASE_S + 1
    [said] = fresh.maintain()
    assert "left over" in said
    assert len(names(client, prefix, "items")) == 1
    assert fresh.learn(SHOP, "v3", make) == 3
    assert other.count(SHOP) == 3


def test_a_change_whose_answer_was_lost_took_place(connect, monkeypatch):
    store = connect()
    fill(store, [payload("a")], unit(1))
    serve = opening.Aliases.serve

    def lost(self, name, **more):
        serve(self, name, **more)
        raise Unavailable("Qdrant cannot be reached: no answer")

    monkeypatch.setattr(opening.Aliases, "serve", lost)
    assert store.learn(SHOP, "v1", make) == 1
    monkeypatch.undo()
    assert connect().learned_by(SHOP) == "v1"


def test_a_server_that_goes_away_leaves_what_served(connect, qdrant):
    store = connect()
    fill(store, [payload("a")], unit(1))

    def making(keys, text):
        qdrant.away(1.0)
        return make(keys, text)

    with pytest.raises(Unavailable):
        store.learn(SHOP, "v1", making)
    learning.time.sleep(1.1)
    again = connect()
    assert again.learned_by(SHOP) is None
    assert again.count(SHOP) == 1


# --- collections of before ---------------------------------------------------------------------------


def old_collections(client, prefix):
    """As they were made before there were words, with one item, and no alias for what serves."""
    card = model_card(MODEL, DIM)
    mark = opening.Aliases(None, prefix, learning_mark()).own
    client.create_collection(
        mark["items"],
        vectors_config={"text": m.VectorParams(size=DIM, distance=m.Distance.COSINE)},
        metadata=card,
    )
    layout.create_users(client, mark["users"], DIM, card)
    client.update_collection_aliases([
        m.CreateAliasOperation(
            create_alias=m.CreateAlias(collection_name=mark[kind], alias_name=prefix + kind)
        )
        for kind in opening.KINDS
    ])  # fmt: skip
    return mark["items"]


def learning_mark():
    from windowshop.store.schema import fingerprint

    return fingerprint(MODEL, DIM)


def test_collections_from_before_are_used_as_they_are(connect, client, prefix):
    name = old_collections(client, prefix)
    store = connect()
    [key] = fill(store, [payload("a")], unit(1))
    store.put_items(SHOP, {key: payload("a", price=1.0)}, {key: history(1)})
    answers = store.search(SHOP, [
        WordSearch(history(1), 5), near(unit(1)), Search(unit(1)[0], 5),
    ])  # fmt: skip
    assert [[hit.key for hit in hits] for hits in answers] == [[], [], [key]]
    assert aliases(client, prefix)["items"] == name
    # The stand-in is a Qdrant 1.17, which can make room only by making the collection anew.
    assert store.maintain() == ["made room for words in the items"]
    assert store.maintain() == []
    assert store.items(SHOP, [key])[key]["price"] == 1.0
    assert np.allclose(store.vectors(SHOP, [key])[key], unit(1)[0], atol=1e-5)
    store.put_items(SHOP, {key: payload("a")}, {key: history(1)})
    assert len(store.search(SHOP, [WordSearch(history(1), 5)])[0]) == 1


@pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")
def test_a_newer_server_makes_room_at_once():
    client = QdrantClient(":memory:")
    old_collections(client, "")
    store = ServerStore(client, MODEL, DIM)
    [key] = fill(store, [payload("a")], unit(1))
    store.put_items(SHOP, {key: payload("a")}, {key: history(1)})
    assert len(store.search(SHOP, [WordSearch(history(1), 5)])[0]) == 1
    assert store.maintain() == []
    store.close()


def test_learning_makes_room_for_words_too(connect, client, prefix):
    old_collections(client, prefix)
    store = connect()
    [key] = fill(store, [payload("a")], unit(1))
    assert store.learn(SHOP, "v1", make) == 1
    store.put_items(SHOP, {key: payload("a")}, {key: history(1)})
    assert len(store.search(SHOP, [WordSearch(history(1), 5)])[0]) == 1
    assert list(store.learned(SHOP, [key])) == [key]
