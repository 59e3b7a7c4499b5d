"""Words and learned vectors: what the rest of windowshop relies on, on every store of vectors."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.stores import (
    DIM,
    SHOP,
    WORLDS,
    fill,
    history,
    keys_of,
    make_world,
    payload,
    put,
    unit,
    user,
)
from windowshop.errors import InvalidInput, NotReady
from windowshop.filters import AnyOf, Range
from windowshop.records import item_key
from windowshop.store import LEARNED_DIM, Search, Sparse, WordSearch
from windowshop.store.edge import learning as edge_learning
from windowshop.store.edge import shard
from windowshop.store.server import learning

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")

AVAILABLE = AnyOf("available", (True,))


@pytest.fixture(autouse=True, scope="module")
def hurried():
    """Nobody else writes here whose write could still be on its way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "GRACE_S", 0.0)
        patch.setattr(shard, "GRACE_S", 0.0)
        patch.setattr(edge_learning, "PAGE", 5)
        yield


def tower(seed=0):
    """Something that is learned: (what `learn` is given, the same for [n, dim])."""
    turn = np.random.default_rng(seed).normal(size=(DIM, LEARNED_DIM)).astype(np.float32)

    def rows(text):
        made = text @ turn
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    return (lambda _keys, text: rows(text)), rows


def words(*dims, values=None):
    return history(*dims, values=values)


def best(scores, keys, limit):
    order = np.argsort(-np.asarray(scores), kind="stable")[:limit]
    return [keys[n] for n in order]


def catalogue(store, count, tenant=SHOP):
    """`count` items with vectors, every third not available; (keys, vectors)."""
    vectors = unit(count, seed=len(tenant))
    items = [payload(f"i{n}", available=n % 3 > 0, price=float(n)) for n in range(count)]
    return fill(store, items, vectors, tenant), vectors


# --- words -------------------------------------------------------------------------------------------


def put_with_words(store, said, tenant=SHOP, **more):
    keys = {name: item_key(tenant, name) for name in said}
    store.put_items(
        tenant,
        {keys[name]: payload(name, **more) for name in said},
        {keys[name]: one for name, one in said.items() if one is not None},
    )
    return keys


def found(store, query, limit=9, where=None, tenant=SHOP):
    [hits] = store.search(tenant, [WordSearch(query, limit, where)])
    return [(hit.key, round(hit.score, 4)) for hit in hits]


def test_items_are_found_by_the_dot_product_of_words(store):
    keys = put_with_words(store, {
        "a": words(1, 2, values=[1.0, 0.5]),
        "b": words(2, 2**32 - 1, values=[3.0, 1.0]),
        "c": words(9),
        "d": None,
        "e": words(),
    })  # fmt: skip
    assert found(store, words(1, 2)) == [(keys["b"], 3.0), (keys["a"], 1.5)]
    assert found(store, words(2**32 - 1, values=[0.5])) == [(keys["b"], 0.5)]
    assert found(store, words(1, 2), limit=1) == [(keys["b"], 3.0)]
    assert found(store, words(7)) == found(store, words()) == []


def test_words_are_kept_until_others_come(store):
    [key] = put_with_words(store, {"a": words(1)}, order=1).values()
    put(store, [payload("a", price=2.0, order=2)])
    assert found(store, words(1)) == [(key, 1.0)]
    store.put_vectors(SHOP, [key], unit(1), ["t-a"], 7)
    assert found(store, words(1)) == [(key, 1.0)]
    put_with_words(store, {"a": words(2)}, order=3)
    assert (found(store, words(1)), found(store, words(2))) == ([], [(key, 1.0)])
    assert np.allclose(store.vectors(SHOP, [key])[key], unit(1)[0], atol=1e-6)
    put_with_words(store, {"a": words(3)}, order=1)  # older: none of it takes effect
    assert found(store, words(2, 3)) == [(key, 1.0)]
    put_with_words(store, {"a": words()}, order=4)
    assert found(store, words(2)) == []
    assert store.items(SHOP, [key])[key]["order"] == 4


def test_words_of_an_item_that_is_gone_are_gone(store):
    keys = put_with_words(store, {"a": words(1), "b": words(1)})
    store.delete_items(SHOP, [keys["a"]])
    assert found(store, words(1)) == [(keys["b"], 1.0)]


def test_words_that_are_none_are_refused(store):
    with pytest.raises(InvalidInput, match="twice"):
        put_with_words(store, {"a": words(1, 1)})
    with pytest.raises(InvalidInput, match="no item"):
        store.put_items(SHOP, {1: payload("a")}, {2: words(1)})
    with pytest.raises(InvalidInput, match="pairs"):
        put_with_words(store, {"a": words(1, values=[np.inf])})
    assert store.count(SHOP) == 0


def test_words_of_another_store_are_not_found_and_move_no_score(store):
    mine = put_with_words(store, {"a": words(1, 2)}, "left")
    before = found(store, words(1), tenant="left")
    put_with_words(store, {f"i{n}": words(1) for n in range(20)}, "right")
    assert before == found(store, words(1), tenant="left") == [(mine["a"], 1.0)]
    assert found(store, words(1), tenant="nobody") == []


# --- learned vectors ---------------------------------------------------------------------------------


def test_nothing_is_learned_at_first(store):
    keys, vectors = catalogue(store, 5)
    make, rows = tower()
    assert store.learned_by(SHOP) is None
    assert store.learned_by("nobody") is None
    assert store.learned(SHOP, keys) == {}
    answers = store.search(
        SHOP, [Search(rows(vectors)[0], 5, using="learned"), Search(vectors[0], 5)]
    )
    assert answers[0] == []
    assert len(answers[1]) == 5
    assert store.learn("nobody", "v1", make) == 0
    assert store.learn(SHOP, "", make) == 0


def test_items_are_found_by_what_was_learned(store):
    keys, vectors = catalogue(store, 40)
    put(store, [payload("no vector yet")])
    store.put_users(SHOP, [user("u:1", history=history(1))])
    make, rows = tower()
    told, asked = [], []

    def making(some, text):
        asked.extend(some)
        return make(some, text)

    assert store.learn(SHOP, "v1", making, lambda done, total: told.append((done, total))) == 40
    assert sorted(asked) == sorted(keys)
    assert told[-1] == (41, 41)
    assert store.learned_by(SHOP) == "v1"
    made = rows(vectors)
    held = store.learned(SHOP, keys_of(["no vector yet", "i3"]))
    assert list(held) == [keys[3]]
    assert np.allclose(held[keys[3]], made[3], atol=1e-5)
    for where, rest in ((None, range(40)), (AVAILABLE, [n for n in range(40) if n % 3])):
        [hits] = store.search(SHOP, [Search(made[3], 10, where, "learned")])
        cosines = made[list(rest)] @ made[3]
        assert [hit.key for hit in hits] == best(cosines, [keys[n] for n in rest], 10)
        assert np.allclose([hit.score for hit in hits], sorted(cosines)[::-1][:10], atol=1e-5)
    assert store.count(SHOP) == 41
    assert np.allclose(store.vectors(SHOP, keys[:1])[keys[0]], vectors[0], atol=1e-5)
    assert store.waiting(SHOP, 9) == keys_of(["no vector yet"])
    assert store.neighbours(SHOP, history(1), 5)[0].tail == b"tail of u:1"


def test_versions_take_each_others_place(world):
    store = world.open()
    keys = list(put_with_words(store, {f"i{n}": words(n % 4) for n in range(12)}).values())
    vectors = unit(12)
    store.put_vectors(SHOP, keys, vectors, [f"t-i{n}" for n in range(12)], 7)
    store.declare(SHOP, "colour", "keyword")
    for version, seed in (("v1", 1), ("v2", 2)):
        make, rows = tower(seed)
        assert store.learn(SHOP, version, make) == 12
        assert store.learned_by(SHOP) == version
        held = store.learned(SHOP, keys)
        assert np.allclose([held[key] for key in keys], rows(vectors), atol=1e-5)
    store.close()
    store = world.open()
    assert store.learned_by(SHOP) == "v2"
    assert len(store.learned(SHOP, keys)) == 12
    assert store.learn(SHOP, "", make) == 0
    assert store.learned_by(SHOP) is None
    assert store.learned(SHOP, keys) == {}
    assert store.search(SHOP, [Search(rows(vectors)[0], 5, using="learned")]) == [[]]
    assert store.learn(SHOP, "", make) == 0
    assert len(found(store, words(1))) == 3
    assert len(store.vectors(SHOP, keys)) == 12
    assert store.count(SHOP, AnyOf("attributes.colour", ("red",))) == 0
    store.close()


def test_a_vector_of_another_version_finds_nothing(store):
    _, vectors = catalogue(store, 9)
    make, rows = tower()
    store.learn(SHOP, "v2", make)
    near = rows(vectors)[0]
    answers = store.search(SHOP, [
        Search(near, 5, None, "learned", "v1"), Search(near, 5, None, "learned", "v2"),
        Search(vectors[0], 5, None, "text", "v1"),
    ])  # fmt: skip
    assert [len(hits) for hits in answers] == [0, 5, 5]


def test_an_item_embedded_later_gets_both_vectors_at_once(store):
    catalogue(store, 3)
    put(store, [payload("new"), payload("late")])
    new, late = keys_of(["new", "late"])
    make, rows = tower()
    text, learned = unit(2, 9), rows(unit(2, 9))
    hashes = ["t-new", "t-late"]
    store.put_vectors(SHOP, [new, late], text, hashes, 7, learned)
    assert store.learned(SHOP, [new, late]) == {}  # there is no room for them
    store.learn(SHOP, "v1", make)
    assert set(store.learned(SHOP, [new, late])) == {new, late}
    put_with_words(store, {"new": words(5)})
    other = unit(2, 77)
    assert store.put_vectors(SHOP, [new, late], other, hashes, 8, rows(other), "v1") == [new, late]
    held = store.learned(SHOP, [new, late])
    assert np.allclose([held[new], held[late]], rows(other), atol=1e-5)
    third = unit(2, 78)
    store.put_vectors(SHOP, [new, late], third, hashes, 9, rows(third), "v0")
    store.put_vectors(SHOP, [new, late], third, hashes, 9)
    kept = store.learned(SHOP, [new, late])
    assert np.allclose([kept[new], kept[late]], rows(other), atol=1e-5)
    assert np.allclose(store.vectors(SHOP, [new])[new], third[0], atol=1e-5)
    assert found(store, words(5)) == [(new, 1.0)]
    put(store, [payload("new", price=1.0)])
    assert np.allclose(store.learned(SHOP, [new])[new], rows(other)[0], atol=1e-5)
    with pytest.raises(InvalidInput, match="learned"):
        store.put_vectors(SHOP, [new], third[:1], ["t-new"], 9, np.ones((1, 5), np.float32))


def test_each_store_learns_for_itself(store):
    left, of_left = catalogue(store, 8, "left")
    right, of_right = catalogue(store, 8, "right")
    make_left, rows_left = tower(1)
    make_right, rows_right = tower(2)
    store.learn("left", "l1", make_left)
    assert (store.learned_by("left"), store.learned_by("right")) == ("l1", None)
    assert store.learned("right", right) == store.learned("left", right) == {}
    store.learn("right", "r1", make_right)
    assert (store.learned_by("left"), store.learned_by("right")) == ("l1", "r1")
    for tenant, keys, made in (
        ("left", left, rows_left(of_left)), ("right", right, rows_right(of_right)),
    ):  # fmt: skip
        held = store.learned(tenant, keys)
        assert np.allclose([held[key] for key in keys], made, atol=1e-5)
        [hits] = store.search(tenant, [Search(made[0], 99, None, "learned")])
        assert sorted(hit.key for hit in hits) == sorted(keys)
    store.learn("left", "", make_left)
    assert store.learned("left", left) == {}
    assert len(store.learned("right", right)) == 8


def test_what_cannot_be_made_changes_nothing(world):
    store = world.open()
    keys, vectors = catalogue(store, 5)
    make, rows = tower()
    store.learn(SHOP, "v1", make)

    def broken(_keys, _text):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        store.learn(SHOP, "v2", broken)
    for wrong in (np.ones((5, 7), np.float32), np.full((5, LEARNED_DIM), np.nan, np.float32)):
        with pytest.raises(InvalidInput, match="learned"):
            store.learn(SHOP, "v2", lambda _keys, _text, made=wrong: made)
    assert store.learned_by(SHOP) == "v1"
    held = store.learned(SHOP, keys)
    assert np.allclose([held[key] for key in keys], rows(vectors), atol=1e-5)
    put(store, [payload("after")])
    store.close()
    again = world.open()
    assert again.learned_by(SHOP) == "v1"
    assert again.count(SHOP) == 6
    again.close()


def test_while_one_learns_another_is_told_to_wait(store):
    catalogue(store, 3)
    make, _ = tower()
    said = []

    def making(keys, text):
        with pytest.raises(NotReady, match="again") as raised:
            store.learn(SHOP, "v2", make)
        said.append(raised.value)
        return make(keys, text)

    store.learn(SHOP, "v1", making)
    assert said
    assert store.learned_by(SHOP) == "v1"


# --- what happens meanwhile --------------------------------------------------------------------------


def test_what_is_written_while_learning_is_taken_along(store):
    keys, vectors = catalogue(store, 12)
    others, _ = catalogue(store, 4, "other")
    make, rows = tower()
    later = unit(4, seed=5)
    once = threading.Lock()

    def making(some, text):
        if once.acquire(blocking=False):
            put(store, [payload("i0", available=True, price=-1.0), payload("bare")])
            fresh = put_with_words(store, {"n0": words(8), "n1": words(8)})
            store.put_vectors(SHOP, list(fresh.values()), later[:2], ["t-n0", "t-n1"], 9)
            put(store, [payload("i2", text_hash="other", available=True)])
            store.put_vectors(SHOP, keys[2:3], later[2:3], ["other"], 9)
            put_with_words(store, {"i4": words(8)})
            store.delete_items(SHOP, keys[5:6])
            store.delete_items("other", others[:1])
            [hits] = store.search(SHOP, [Search(later[0], 1)])
            assert hits[0].key == fresh["n0"]  # who serves knows it at once
        return make(some, text)

    assert store.learn(SHOP, "v1", making) == 13
    n0, n1, bare = keys_of(["n0", "n1", "bare"])
    expected = dict(zip(keys, vectors, strict=True)) | {n0: later[0], n1: later[1]}
    expected[keys[2]] = later[2]
    del expected[keys[5]]
    held = store.learned(SHOP, [*keys, n0, n1, bare])
    assert set(held) == set(expected)
    for key, text in expected.items():
        assert np.allclose(held[key], rows(text[None])[0], atol=1e-5)
    read = store.items(SHOP, [keys[0], bare, keys[2]])
    assert (read[keys[0]]["price"], read[keys[2]]["vector_hash"]) == (-1.0, "other")
    assert read[bare]["item_id"] == "bare"
    assert {key for key, _ in found(store, words(8))} == {n0, n1, keys[4]}
    assert store.count(SHOP) == 14
    assert store.count("other") == 3
    [hits] = store.search(SHOP, [Search(rows(vectors)[0], 99, AVAILABLE, "learned")])
    assert keys[0] in {hit.key for hit in hits}


# The client's own memory bears one thread.
@pytest.mark.parametrize("world", [name for name in WORLDS if name != "memory"], indirect=True)
def test_serving_and_writing_go_on_while_versions_change(world, store):
    keys, vectors = catalogue(store, 30)
    make, rows = tower()
    done, failures, written = threading.Event(), [], {}

    def serve():
        try:
            turn = 0
            while not done.is_set():
                turn += 1
                time.sleep(0.01)
                key = keys[turn % 30]
                put(store, [payload(f"i{turn % 30}", price=float(turn), available=True)])
                written[key] = float(turn)
                version = store.learned_by(SHOP)
                near = rows(vectors)[turn % 30]
                answers = store.search(SHOP, [
                    Search(vectors[turn % 30], 3), Search(near, 3, None, "learned", version),
                ])  # fmt: skip
                if answers[0][0].key != key or (answers[1] and answers[1][0].key != key):
                    failures.append(answers)
                if store.items(SHOP, [key])[key]["price"] != float(turn):
                    failures.append((key, turn))
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    for version in ("v1", "v2"):
        assert store.learn(SHOP, version, make) == 30
    done.set()
    thread.join()
    assert failures == []
    assert len(written) > 3
    held = store.items(SHOP, keys)
    assert {key: held[key]["price"] for key in written} == written


# --- another model -----------------------------------------------------------------------------------


def test_another_model_takes_the_words_along_and_what_was_learned_not(world):
    first = world.open()
    keys = list(put_with_words(first, {"a": words(1), "b": words(1, 2)}).values())
    first.put_vectors(SHOP, keys, unit(2), ["t-a", "t-b"], 5)
    make, _ = tower()
    first.learn(SHOP, "v1", make)
    first.close()
    filling = world.open("other@00000002", DIM * 2, fill=True)
    assert sorted(filling.waiting(SHOP, 9)) == sorted(keys)
    wide = np.tile(unit(2), 2) / np.sqrt(np.float32(2))
    filling.put_vectors(SHOP, keys, wide, ["t-a", "t-b"], 5)
    filling.close()
    old = world.open()
    assert old.learned_by(SHOP) == "v1"
    old.close()
    filling = world.open("other@00000002", DIM * 2, fill=True)
    filling.promote()
    assert filling.learned_by(SHOP) is None
    assert found(filling, words(2)) == [(keys[1], 1.0)]
    assert filling.learn(SHOP, "v2", lambda some, _: np.ones((len(some), 128), np.float32)) == 2
    filling.close()
    again = world.open("other@00000002", DIM * 2)
    assert again.learned_by(SHOP) == "v2"
    assert len(found(again, words(1))) == 2
    again.close()


# --- all at once -------------------------------------------------------------------------------------

COUNT = 40


@pytest.fixture(params=[name for name in WORLDS if name != "standin"], scope="module")
def mixed(request, tmp_path_factory):
    """(store, vectors, learned vectors, words): a catalogue beside another store's."""
    world = make_world(request.param, tmp_path_factory.mktemp("store"), request)
    store = world.open()
    draw = np.random.default_rng(4)
    said = [
        Sparse(
            np.sort(draw.choice(12, size=3, replace=False)).astype(np.uint32),
            draw.integers(1, 9, size=3).astype(np.float32) + np.float32(n / 1000),
        )
        for n in range(COUNT)
    ]
    make, rows = tower(3)
    for tenant in (SHOP, "other"):
        keys, vectors = catalogue(store, COUNT, tenant)
        items = {
            key: payload(f"i{n}", available=n % 3 > 0, price=float(n)) for n, key in enumerate(keys)
        }
        store.put_items(tenant, items, dict(zip(keys, said, strict=True)))
    store.learn(SHOP, "v1", make)
    store.learn("other", "v1", make)
    vectors = unit(COUNT, seed=len(SHOP))
    yield store, vectors, rows(vectors), said
    store.close()
    world.close()


FILTERS = (None, AVAILABLE, Range("price", gte=25.0), Range("price", lt=0.0))
asks = st.tuples(
    st.sampled_from(["text", "learned", "words"]),
    st.integers(0, COUNT - 1),
    st.integers(1, COUNT + 9),
    st.integers(0, len(FILTERS) - 1),
)


@settings(max_examples=15)
@given(st.lists(asks, max_size=6))
def test_many_searches_at_once_find_what_each_finds_alone(mixed, several):
    store, vectors, learned, said = mixed
    keys = np.asarray(keys_of([f"i{n}" for n in range(COUNT)]))
    passing = [
        [n for n in range(COUNT) if keep(n)]
        for keep in (lambda _: True, lambda n: n % 3, lambda n: n >= 25, lambda _: False)
    ]
    table = np.zeros((COUNT, 12), np.float32)
    for n, one in enumerate(said):
        table[n, one.indices] = one.values
    searches = [
        WordSearch(said[n], limit, FILTERS[f])
        if kind == "words"
        else Search({"text": vectors, "learned": learned}[kind][n], limit, FILTERS[f], kind)
        for kind, n, limit, f in several
    ]
    answers = store.search(SHOP, searches)
    alone = [store.search(SHOP, [search])[0] for search in searches]
    for (kind, n, limit, f), hits, same in zip(several, answers, alone, strict=True):
        assert [hit.key for hit in hits] == [hit.key for hit in same]
        assert np.allclose([h.score for h in hits], [h.score for h in same], atol=1e-5)
        rows = {"text": vectors, "learned": learned, "words": table}[kind]
        scores = rows @ rows[n]
        left = [k for k in passing[f] if kind != "words" or scores[k] > 0]
        assert {hit.key for hit in hits} <= set(keys[left].tolist())
        expected = np.sort(scores[left])[::-1][:limit]
        assert np.allclose([hit.score for hit in hits], expected, atol=1e-4)
