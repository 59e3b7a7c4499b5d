"""What the rest of windowshop relies on of a store, on every implementation of the port.

The server's adapter runs on its client's local mode, over HTTP against the stand-in, which is
strict about indexes, and where QDRANT_URL names a server, against that.
"""

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.stores import (
    DIM,
    MODEL,
    SERVERS,
    SHOP,
    fill,
    history,
    keys_of,
    make_world,
    payload,
    put,
    tail_of,
    unit,
    user,
)
from windowshop import filters as f
from windowshop.errors import InvalidInput, Misconfigured, NotReady, Unavailable
from windowshop.filters import NOTHING, And, AnyOf, Exists, NoneOf, Not, Or, Range, TimeRange
from windowshop.records import user_key
from windowshop.store import Search, StoredUser
from windowshop.store.edge import items as edge_items
from windowshop.store.schema import fingerprint

# The client's own memory has no payload indexes and searches exactly, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")

# --- items -----------------------------------------------------------------------------------------


def test_what_is_put_is_read_back(store):
    item = payload(
        "a", price=3.5, attributes={"colour": "red", "organic": True}, path=["x", "x > y"], order=1
    )
    put(store, [item])
    [key] = keys_of(["a"])
    assert store.items(SHOP, [key, 77]) == {key: item | {"store": SHOP}}
    assert store.items(SHOP, [key], ("price", "attributes", "brand")) == {
        key: {"price": 3.5, "attributes": {"colour": "red", "organic": True}}
    }


def test_a_store_nobody_wrote_to_is_empty(store):
    assert store.items("nobody", [1]) == {}
    assert store.vectors("nobody", [1]) == {}
    assert store.search("nobody", [Search(unit(1)[0], 5)]) == [[]]
    assert store.scan("nobody", None, 5) == ([], None)
    assert store.waiting("nobody", 5) == []
    assert store.count("nobody") == store.count_users("nobody") == 0
    assert store.users("nobody", [user_key("nobody", "u:1")]) == {}
    assert store.neighbours("nobody", history(1), 5) == []
    assert list(store.user_keys("nobody")) == []
    store.delete_items("nobody", [1])
    store.delete_users("nobody", [user_key("nobody", "u:1")])
    assert store.tenants() == []


def test_a_payload_is_replaced_whole_and_keeps_its_vector(store):
    [key] = fill(store, [payload("a", brand="Acme", order=1)], unit(1))
    put(store, [payload("a", price=2.0, order=2)])
    held = store.items(SHOP, [key])[key]
    assert held == payload("a", price=2.0, order=2) | {
        "store": SHOP,
        "vector_hash": "t-a",
        "embedded_at": 1000,
    }
    assert np.allclose(store.vectors(SHOP, [key])[key], unit(1)[0], atol=1e-6)
    assert store.waiting(SHOP, 9) == []


def test_an_older_write_does_not_take_effect(store):
    [key] = keys_of(["a"])
    put(store, [payload("a", price=2.0, order=5)])
    put(store, [payload("a", price=1.0, order=4)])
    assert store.items(SHOP, [key])[key]["price"] == 2.0
    put(store, [payload("a", price=3.0, order=5)])
    assert store.items(SHOP, [key])[key]["price"] == 3.0
    put(store, [payload("a", price=4.0)])
    assert store.items(SHOP, [key])[key]["price"] == 4.0
    put(store, [payload("a", price=5.0, order=1)])
    assert store.items(SHOP, [key])[key]["price"] == 5.0


def test_an_item_waits_until_its_present_text_is_embedded(store):
    put(store, [payload("a"), payload("b")])
    assert sorted(store.waiting(SHOP, 9)) == sorted(keys_of("ab"))
    assert len(store.waiting(SHOP, 1)) == 1
    assert store.put_vectors(SHOP, keys_of("a"), unit(1), ["t-a"], 7) == keys_of("a")
    assert store.waiting(SHOP, 9) == keys_of("b")
    put(store, [payload("a", text_hash="other")])
    assert sorted(store.waiting(SHOP, 9)) == sorted(keys_of("ab"))
    [key] = keys_of("a")
    assert store.items(SHOP, [key])[key]["vector_hash"] == "t-a"


def test_a_vector_of_an_older_text_does_not_take_effect(store):
    put(store, [payload("a", text_hash="new"), payload("b")])
    keys = keys_of("ab")
    done = store.put_vectors(SHOP, [*keys, 99], unit(3), ["old", "t-b", "x"], 7)
    assert done == keys[1:]
    assert list(store.vectors(SHOP, keys)) == keys[1:]
    assert "embedded_at" not in store.items(SHOP, keys)[keys[0]]


def test_items_are_deleted_unless_newer(store):
    put(store, [payload("a", order=1), payload("b", order=9), payload("c")])
    store.delete_items(SHOP, keys_of("abc"), order=5)
    assert list(store.items(SHOP, keys_of("abc"))) == keys_of("b")
    store.delete_items(SHOP, keys_of("abc"))
    assert store.count(SHOP) == 0
    store.delete_items(SHOP, [])


def test_all_items_are_scanned_in_pages(store):
    names = [f"i{n}" for n in range(25)]
    put(store, [payload(name, price=float(n)) for n, name in enumerate(names)])
    found, cursor, pages = [], None, 0
    while True:
        rows, cursor = store.scan(SHOP, cursor, 10)
        found += rows
        pages += 1
        if cursor is None:
            break
    assert [key for key, _ in found] == sorted(keys_of(names))
    assert pages == 3
    rows, _ = store.scan(SHOP, None, 99, Range("price", lt=3.0), ("item_id",))
    assert sorted(row["item_id"] for _, row in rows) == ["i0", "i1", "i2"]
    assert all(set(row) == {"item_id"} for _, row in rows)


def test_too_much_at_once_is_refused(store):
    with pytest.raises(InvalidInput, match="at most 1000"):
        store.put_items(SHOP, {n: payload(str(n)) for n in range(1001)})
    with pytest.raises(InvalidInput, match="shape"):
        store.put_vectors(SHOP, [1], np.ones((1, DIM + 1), np.float32), ["x"], 1)
    with pytest.raises(InvalidInput, match="finite"):
        store.put_vectors(SHOP, [1], np.full((1, DIM), np.nan, np.float32), ["x"], 1)
    with pytest.raises(InvalidInput, match="store"):
        store.put_items("../shop", {1: payload("a")})


# --- searching ---------------------------------------------------------------------------------------


def test_the_nearest_are_found_best_first(store):
    vectors = unit(60)
    keys = fill(store, [payload(f"i{n}") for n in range(60)], vectors)
    put(store, [payload("no vector yet")])
    queries = unit(3, seed=5)
    answers = store.search(SHOP, [Search(query, 10) for query in queries])
    for query, hits in zip(queries, answers, strict=True):
        cosines = vectors @ query
        best = np.argsort(-cosines)[:10]
        assert [hit.key for hit in hits] == [keys[n] for n in best]
        assert np.allclose([hit.score for hit in hits], cosines[best], atol=1e-5)
    assert store.search(SHOP, []) == []


def test_what_is_not_available_is_left_out_whatever_changes(store):
    vectors = unit(30)
    keys = fill(
        store, [payload(f"i{n}", available=n % 3 > 0, price=float(n)) for n in range(30)], vectors
    )
    where = AnyOf("available", (True,))

    def found(*more, limit=30):
        [hits] = store.search(
            SHOP, [Search(vectors[0], limit, And((where, *more)) if more else where)]
        )
        return {keys.index(hit.key) for hit in hits}

    assert found() == {n for n in range(30) if n % 3}
    assert len(found(limit=20)) == 20
    assert len(found(limit=5)) == 5
    assert found(Range("price", lt=10.0)) == {n for n in range(10) if n % 3}
    put(
        store, [payload("i0", available=True, price=0.0), payload("i1", available=False, price=1.0)]
    )
    assert found(Range("price", lt=10.0)) == {0, 2, 4, 5, 7, 8}
    store.delete_items(SHOP, [keys[2], keys[3]])
    put(store, [payload("i3", available=True, price=3.0)])
    assert found(Range("price", lt=10.0)) == {0, 4, 5, 7, 8}


CATALOGUE = [
    {
        "brand": "Acme",
        "price": 5.0,
        "available": True,
        "path": ["a", "a > b"],
        "created_at": "2026-01-01T00:00:00.000Z",
        "attributes": {
            "colour": "red",
            "size": 4,
            "organic": True,
            "since": "2020-05-01T00:00:00Z",
            "odd name": "x",
            "weight": 1.5,
        },
    },
    {
        "brand": "Acme",
        "price": 5,
        "available": False,
        "path": ["a", "a > c"],
        "created_at": "2026-02-01T12:00:00.000Z",
        "attributes": {"colour": ["red", "blue"], "size": 5, "organic": False, "größe": "L"},
    },
    {
        "brand": 'Brand "B"',
        "price": 7.25,
        "available": True,
        "path": ["a"],
        "attributes": {"colour": [], "size": 4},
    },
    {
        "brand": "",
        "available": True,
        "attributes": {"colour": "green", "weight": 1, "odd name": "y"},
    },
    {
        "price": 0.0,
        "available": True,
        "path": ["b", "b > b"],
        "created_at": "2025-12-31T23:59:59.999Z",
    },
    {
        "brand": "acme",
        "price": 1e6,
        "available": False,
        "path": ["b"],
        "attributes": {"organic": True, "size": -3},
    },
]
DECLARED = {
    "colour": "keyword",
    "size": "integer",
    "organic": "bool",
    "since": "datetime",
    "odd name": "keyword",
    "größe": "keyword",
    "weight": "float",
}

FILTERS = [
    AnyOf("brand", ("Acme",)), AnyOf("brand", ("Acme", "")), AnyOf("brand", ("nothing like it",)), AnyOf("brand", ()),
    NoneOf("brand", ("Acme",)), NoneOf("brand", ()), AnyOf("available", (True,)), AnyOf("available", (False,)),
    AnyOf("available", (True, False)), NoneOf("available", (False,)), AnyOf("path", ("a",)), AnyOf("path", ("a > b", "b > b")),
    NoneOf("path", ("a",)), Range("price", gte=5.0), Range("price", gt=5.0), Range("price", lte=5.0), Range("price", lt=5.0),
    Range("price", gte=5.0, lte=5.0), Range("price", gt=0.0, lt=7.25), TimeRange("created_at", gte="2026-01-01T00:00:00.000Z"),
    TimeRange("created_at", gt="2026-01-01T00:00:00.000Z"), TimeRange("created_at", lt="2026-01-01T00:00:00.000Z"),
    TimeRange("created_at", gte="2026-02-01T12:00:00.000Z", lte="2026-02-01T12:00:00.000Z"),
    Exists("brand", True), Exists("brand", False), Exists("price", True), Exists("created_at", False), Exists("path", True),
    Exists("attributes.colour", True), Exists("attributes.colour", False), Exists("attributes.organic", False),
    AnyOf("attributes.colour", ("red",)), AnyOf("attributes.colour", ("blue", "green")), NoneOf("attributes.colour", ("red",)),
    AnyOf("attributes.size", (4,)), AnyOf("attributes.size", (4, 5)), NoneOf("attributes.size", (4,)), Range("attributes.size", lt=0.0),
    AnyOf("attributes.organic", (True,)), AnyOf("attributes.organic", (False,)), NoneOf("attributes.organic", (True,)),
    AnyOf("attributes.odd name", ("x",)), AnyOf("attributes.größe", ("L",)), Range("attributes.weight", gte=1.0, lte=1.0),
    TimeRange("attributes.since", gte="2020-01-01T00:00:00.000Z"), TimeRange("attributes.since", gt="2020-05-01T00:00:00.000Z"),
    AnyOf("brand", ('Brand "B"',)), NOTHING, And(()), Not(NOTHING), Not(And(())), Or((NOTHING, AnyOf("brand", ("acme",)))),
]  # fmt: skip


@pytest.fixture(params=["edge", "edge indexed", *SERVERS], scope="module")
def filtered(request, tmp_path_factory):
    """A store with a small catalogue of everything that filters speak of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge_items, "INDEX_PAYLOAD_FROM", 0 if "indexed" in request.param else 1_000)
        yield from _filtered(request, tmp_path_factory)


def _filtered(request, tmp_path_factory):
    world = make_world(request.param, tmp_path_factory.mktemp("store"), request)
    store = world.open()
    for name, kind in DECLARED.items():
        store.declare(SHOP, name, kind)
        store.declare(SHOP, name, kind)
    items = [payload(f"i{n}") | more for n, more in enumerate(CATALOGUE)]
    for item in items:
        if "available" not in item:
            del item["available"]
    fill(store, items, unit(len(items)))
    yield store
    store.close()
    world.close()


def passing(store, where):
    """Items that pass, as searched, scanned and counted; and as `filters.matches` has it."""
    keys = keys_of([f"i{n}" for n in range(len(CATALOGUE))])
    [hits] = store.search(SHOP, [Search(unit(1)[0], 99, where)])
    rows, _ = store.scan(SHOP, None, 99, where, ("item_id",))
    found = sorted(keys.index(hit.key) for hit in hits)
    assert found == sorted(keys.index(key) for key, _ in rows)
    assert len(found) == store.count(SHOP, where)
    held = store.items(SHOP, keys)
    return found, [n for n, key in enumerate(keys) if f.matches(where, held[key])]


@pytest.mark.parametrize("where", FILTERS, ids=repr)
def test_filters_pass_what_the_reference_passes(filtered, where):
    found, expected = passing(filtered, where)
    assert found == expected


def test_filters_do_pass_something():
    items = [payload("i") | more for more in CATALOGUE]
    assert sum(0 < sum(f.matches(w, item) for item in items) < len(items) for w in FILTERS) > 40


trees = st.recursive(
    st.sampled_from(FILTERS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(trees)
def test_nested_filters_pass_what_the_reference_passes(filtered, where):
    found, expected = passing(filtered, where)
    assert found == expected


# --- users -------------------------------------------------------------------------------------------


def test_a_user_is_read_back_with_or_without_vectors(store):
    taste = unit(1)[0]
    assert (
        store.put_users(
            SHOP, [user("u:1", taste=taste, history=history(3, 2**32 - 1, values=[0.5, 0.25]))]
        )
        == []
    )
    [plain] = store.users(SHOP, [user_key(SHOP, "u:1"), user_key(SHOP, "u:2")]).values()
    assert (plain.key, plain.version) == (user_key(SHOP, "u:1"), 1)
    assert plain.payload == user("u:1").payload | {"store": SHOP}
    assert plain.taste is None
    assert plain.history is None
    [full] = store.users(SHOP, [user_key(SHOP, "u:1")], vectors=True).values()
    assert np.allclose(full.taste, taste, atol=1e-6)
    assert dict(zip(full.history.indices.tolist(), full.history.values.tolist(), strict=True)) == {
        3: 0.5,
        2**32 - 1: 0.25,
    }


def test_a_user_without_vectors_is_kept(store):
    assert store.put_users(SHOP, [user("u:1")]) == []
    [held] = store.users(SHOP, [user_key(SHOP, "u:1")], vectors=True).values()
    assert held.taste is None
    assert held.history is None


def test_only_a_write_on_the_present_version_takes_effect(store):
    first, second = user("u:1"), user("u:1")
    second.payload["tail"] = "second"
    assert store.put_users(SHOP, [first]) == []
    assert store.put_users(SHOP, [second]) == [second.key]
    assert store.put_users(SHOP, [user("u:1", 1), user("u:2", 1), user("u:3")]) == [
        user_key(SHOP, "u:2")
    ]
    held = store.users(SHOP, [user_key(SHOP, f"u:{n}") for n in (1, 2, 3)])
    assert {key: stored.version for key, stored in held.items()} == {
        user_key(SHOP, "u:1"): 2,
        user_key(SHOP, "u:3"): 1,
    }
    assert held[first.key].payload["tail"] == tail_of("u:1")
    assert store.put_users(SHOP, []) == []


def test_of_two_writes_of_one_user_in_a_call_the_second_loses(store):
    assert store.put_users(SHOP, [user("u:1"), user("u:1")]) == [user_key(SHOP, "u:1")]


def test_a_write_takes_away_what_it_does_not_bring(store):
    store.put_users(SHOP, [user("u:1", taste=unit(1)[0], history=history(1))])
    store.put_users(SHOP, [StoredUser(user_key(SHOP, "u:1"), 1, {"tail": "t"})])
    [held] = store.users(SHOP, [user_key(SHOP, "u:1")], vectors=True).values()
    assert (held.payload, held.taste, held.history) == ({"tail": "t", "store": SHOP}, None, None)
    assert store.neighbours(SHOP, history(1), 9) == []


def test_a_forgotten_user_does_not_come_back_by_an_update(store):
    store.put_users(SHOP, [user("u:1", history=history(1))])
    [held] = store.users(SHOP, [user_key(SHOP, "u:1")]).values()
    store.delete_users(SHOP, [held.key])
    assert store.put_users(SHOP, [held]) == [held.key]
    assert store.users(SHOP, [held.key]) == {}
    assert store.count_users(SHOP) == 0
    assert store.neighbours(SHOP, history(1), 9) == []


def test_users_are_listed_and_counted(store):
    names = [f"u:{n}" for n in range(30)]
    store.put_users(SHOP, [user(name) for name in names])
    assert store.count_users(SHOP) == 30
    assert sorted(store.user_keys(SHOP)) == sorted(user_key(SHOP, name) for name in names)


def test_neighbours_are_ranked_by_the_dot_product(store):
    store.put_users(SHOP, [
        user("u:1", history=history(1, 2, values=[1.0, 1.0])),
        user("u:2", history=history(2, 3, values=[3.0, 1.0])),
        user("u:3", history=history(9)),
        user("u:4"),
    ])  # fmt: skip
    near = store.neighbours(SHOP, history(1, 2, values=[0.5, 1.0]), 9)
    assert [(n.key, round(n.score, 4), n.tail) for n in near] == [
        (user_key(SHOP, "u:2"), 3.0, b"tail of u:2"),
        (user_key(SHOP, "u:1"), 1.5, b"tail of u:1"),
    ]
    assert [n.key for n in store.neighbours(SHOP, history(1, 2), 1)] == [user_key(SHOP, "u:2")]
    left = store.neighbours(
        SHOP, history(1, 2), 1, exclude=[user_key(SHOP, "u:2"), user_key(SHOP, "u:8")]
    )
    assert [n.key for n in left] == [user_key(SHOP, "u:1")]
    assert store.neighbours(SHOP, history(), 9) == []


def test_a_neighbours_tail_is_the_present_one(store):
    store.put_users(SHOP, [user("u:1", history=history(1))])
    assert store.neighbours(SHOP, history(1), 9)[0].tail == b"tail of u:1"
    store.put_users(
        SHOP,
        [
            StoredUser(
                user_key(SHOP, "u:1"),
                1,
                {"tail": base64.b64encode(b"newer").decode()},
                history=history(1),
            )
        ],
    )
    assert store.neighbours(SHOP, history(1), 9)[0].tail == b"newer"


# --- stores beside each other ------------------------------------------------------------------------


def test_two_stores_never_meet(store):
    vectors = unit(6)
    fill(store, [payload(f"i{n}", price=1.0) for n in range(3)], vectors[:3], "left")
    fill(store, [payload(f"i{n}", price=1.0) for n in range(3, 6)], vectors[3:], "right")
    left, right = keys_of(["i0", "i1", "i2"], "left"), keys_of(["i3", "i4", "i5"], "right")
    for where in (None, Range("price", gte=0.0), AnyOf("available", (True,)), Not(NOTHING)):
        [hits] = store.search("left", [Search(vectors[4], 9, where)])
        assert sorted(hit.key for hit in hits) == sorted(left)
        assert store.count("right", where) == 3
        assert sorted(key for key, _ in store.scan("right", None, 9, where)[0]) == sorted(right)
    assert store.items("left", right) == store.vectors("left", right) == {}
    store.delete_items("left", right)
    assert store.put_vectors("left", right, vectors[3:], ["t-i3", "t-i4", "t-i5"], 5) == []
    assert store.count("right") == 3
    assert store.tenants() == ["left", "right"]


def test_users_of_two_stores_never_meet(store):
    one = StoredUser(user_key("left", "u:1"), 0, {"tail": "l"}, history=history(1))
    two = StoredUser(user_key("right", "u:1"), 0, {"tail": "r"}, history=history(1))
    store.put_users("left", [one])
    before = store.neighbours("left", history(1), 9)
    store.put_users("right", [two] + [
        StoredUser(user_key("right", f"u:{n}"), 0, {"tail": "r"}, history=history(1)) for n in range(2, 9)
    ])  # fmt: skip
    assert store.neighbours("left", history(1), 9) == before
    assert store.users("left", [two.key]) == {}
    store.delete_users("left", [two.key])
    assert store.count_users("right") == 8
    assert list(store.user_keys("left")) == [one.key]


def test_waiting_is_of_one_store(store):
    put(store, [payload("a")], "left")
    put(store, [payload("a")], "right")
    assert store.waiting("left", 9) == keys_of("a", "left")


# --- the model, upkeep -------------------------------------------------------------------------------


def test_a_store_is_found_again_as_it_was(world):
    first = world.open()
    keys = fill(first, [payload("a"), payload("b", available=False)], unit(2))
    first.put_users(SHOP, [user("u:1", history=history(1))])
    first.flush()
    first.close()
    again = world.open()
    assert sorted(again.items(SHOP, keys)) == sorted(keys)
    [hits] = again.search(SHOP, [Search(unit(2)[1], 5, AnyOf("available", (True,)))])
    assert [hit.key for hit in hits] == keys[:1]
    assert again.neighbours(SHOP, history(1), 5)[0].tail == b"tail of u:1"
    assert again.model == MODEL
    again.close()


def test_vectors_of_two_models_are_never_mixed(world):
    first = world.open()
    keys = fill(first, [payload("a")], unit(1))
    first.close()
    for model, dim in (("other@00000002", DIM), (MODEL, DIM * 2)):
        with pytest.raises(Misconfigured, match="rebuild --embed"):
            world.open(model, dim)
    again = world.open()
    assert list(again.vectors(SHOP, keys)) == keys
    again.close()


def test_another_model_takes_over_when_all_is_embedded_anew(world):
    first = world.open()
    first.declare(SHOP, "colour", "keyword")
    fill(first, [payload("a", attributes={"colour": "red"}), payload("b")], unit(2))
    first.put_users(SHOP, [user("u:1")])
    first.close()
    filling = world.open("other@00000002", DIM * 2, fill=True)
    keys = keys_of("ab")
    assert sorted(filling.waiting(SHOP, 9)) == sorted(keys)
    assert filling.vectors(SHOP, keys) == {}
    assert filling.count_users(SHOP) == 0
    wide = np.tile(unit(2), 2) / np.sqrt(np.float32(2))
    assert filling.put_vectors(SHOP, keys, wide, ["t-a", "t-b"], 5) == keys
    filling.close()
    world.open().close()  # until it is promoted, the old one counts
    filling = world.open("other@00000002", DIM * 2, fill=True)
    assert filling.waiting(SHOP, 9) == []
    filling.promote()
    filling.close()
    with pytest.raises(Misconfigured):
        world.open()
    again = world.open("other@00000002", DIM * 2)
    assert again.count(SHOP, AnyOf("attributes.colour", ("red",))) == 1
    [hits] = again.search(SHOP, [Search(wide[0], 5)])
    assert hits[0].key == keys[0]
    again.close()


def test_upkeep_of_little_does_nothing(store):
    fill(store, [payload("a")], unit(1))
    assert store.maintain() == []
    store.flush()


def test_fingerprints_tell_models_and_widths_apart():
    made = {fingerprint(model, dim) for model in ("a", "b") for dim in (1, 2)}
    assert len(made) == 4


# --- foreign errors ----------------------------------------------------------------------------------


def test_what_cannot_be_stored_is_the_callers_error(store):
    with pytest.raises(InvalidInput):
        store.put_items(SHOP, {1: payload("a", price=object())})


def test_every_error_of_edge_is_one_of_ours():
    import qdrant_edge

    from windowshop.store.edge.shard import translate, translated

    classes = [
        c
        for c in vars(qdrant_edge).values()
        if isinstance(c, type) and issubclass(c, BaseException)
    ]
    assert (
        classes == []
    )  # it has none of its own: bare Exceptions from the engine, Python's from the bindings
    assert isinstance(translate(Exception("Service runtime error")), Unavailable)
    for error in (ValueError("x"), TypeError("x"), OverflowError("x")):
        assert isinstance(translate(error), InvalidInput)
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(Unavailable, match="boom"), translated():
        raise panic("boom")
    with pytest.raises(KeyboardInterrupt), translated():
        raise KeyboardInterrupt
    with pytest.raises(NotReady), translated():
        raise NotReady("ours stay as they are")
