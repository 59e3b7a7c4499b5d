"""The server's adapter and a server that comes and goes."""

import contextlib
import socket
import threading
import time
import uuid

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import ResponseHandlingException

from localstack import qdrant_standin
from windowshop.errors import InvalidInput, Misconfigured, NotReady, Unavailable
from windowshop.filters import AnyOf
from windowshop.records import user_key
from windowshop.store import Sparse, StoredUser
from windowshop.store.server import Patience, Place, ServerStore
from windowshop.store.server import items as server_items
from windowshop.store.server.collection import Collection
from windowshop.store.server.operations import BYTES_A_NUMBER, MAX_BYTES, by_size

SHOP = "shop"
VECTOR = np.eye(4, dtype=np.float32)
NOWHERE = "http://127.0.0.1:9"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def prefix(qdrant):
    mine = f"test-{uuid.uuid4().hex[:8]}-"
    yield mine
    client = QdrantClient(url=qdrant.url, check_compatibility=False)
    for collection in client.get_collections().collections:
        if collection.name.startswith(mine):
            client.delete_collection(collection.name)
    client.close()


@pytest.fixture
def connect(qdrant, prefix):
    """Makes stores on the stand-in that share their collections."""
    with contextlib.ExitStack() as made:

        def store(place=None, **more):
            place = place or Place(qdrant.url)
            return made.enter_context(
                contextlib.closing(ServerStore(place, "model", 4, prefix=prefix, **more))
            )

        yield store


@pytest.fixture
def client(qdrant):
    with contextlib.closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as made:
        yield made


@contextlib.contextmanager
def silence():
    """A server that takes connections and never answers: its address."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(16)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


def item(name, **more):
    return {"item_id": name, "title": name, "available": True, "text_hash": f"t-{name}"} | more


# --- a server that is away -------------------------------------------------------------------------


def test_a_store_is_made_without_a_call_and_asks_when_it_is_used(connect):
    store = connect(Place(NOWHERE))
    assert store.model == "model"
    with pytest.raises(Unavailable, match="cannot be reached"):
        store.count(SHOP)
    with pytest.raises(Unavailable):
        store.open()


def test_after_a_failure_nobody_is_asked_for_a_while(connect, qdrant):
    clock = Clock()
    store = connect(Place(NOWHERE), clock=clock, patience=Patience(rest=2))
    with pytest.raises(Unavailable, match="cannot be reached"):
        store.count(SHOP)
    clock.now += 1.9
    with pytest.raises(Unavailable, match="a moment ago"):
        store.count(SHOP)
    clock.now += 0.2
    with pytest.raises(Unavailable, match="cannot be reached"):
        store.count(SHOP)
    store.renew(qdrant.url)
    assert store.count(SHOP) == 0


def test_a_server_that_does_not_answer_is_waited_for_once(connect):
    with silence() as url:
        store = connect(Place(url), patience=Patience(short=0.2, long=30))
        begin = time.monotonic()
        with pytest.raises(Unavailable, match="cannot be reached"):
            store.count(SHOP)
        for _ in range(20):
            with pytest.raises(Unavailable, match="a moment ago"):
                store.users(SHOP, [user_key(SHOP, "u:1")])
        assert time.monotonic() - begin < 2


def test_while_one_asks_again_the_others_do_not_wait(connect):
    with silence() as url:
        clock = Clock()
        store = connect(Place(url), clock=clock, patience=Patience(short=0.5, rest=2))
        with pytest.raises(Unavailable):
            store.count(SHOP)
        clock.now += 3
        said = []

        def ask():
            with pytest.raises(Unavailable) as raised:
                store.count(SHOP)
            said.append(raised.value.detail)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum("cannot be reached" in one for one in said) == 1
    assert sum("a moment ago" in one for one in said) == 3


def test_a_store_whose_server_was_away_at_first_opens_later(connect, qdrant):
    store = connect()
    qdrant.away(1.5)
    with pytest.raises(Unavailable, match="503"):
        store.count(SHOP)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(Unavailable):
            assert store.count(SHOP) == 0
            return
        time.sleep(0.05)
    pytest.fail("it stayed away")


def test_a_server_that_left_and_came_back_with_its_data_is_used_again(tmp_path):
    standin = qdrant_standin.start(folder=tmp_path / "data")
    try:
        store = ServerStore(standin.url, "model", 4, patience=Patience(rest=0))
        store.put_items(SHOP, {1: item("a", price=2.5)})
        assert store.put_vectors(SHOP, [1], VECTOR[:1], ["t-a"], 7) == [1]
        store.put_users(SHOP, [StoredUser(user_key(SHOP, "u:1"), 0, {"tail": "t"}, VECTOR[1])])
        standin.stop()
        with pytest.raises(Unavailable):
            store.count(SHOP)
        standin.start_again()
        held = store.items(SHOP, [1])[1]
        assert (held["price"], held["embedded_at"]) == (2.5, 7)
        assert np.allclose(store.vectors(SHOP, [1])[1], VECTOR[0])
        assert store.count(SHOP, AnyOf("available", (True,))) == 1
        assert store.count_users(SHOP) == 1
        store.close()
    finally:
        standin.stop()


# --- settings that are wrong -------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_a_wrong_key_is_a_wrong_setting_however_late_it_shows():
    with qdrant_standin.running(key="right") as standin:
        store = ServerStore(Place(standin.url, "wrong"), "model", 4)
        for _ in range(2):
            with pytest.raises(Misconfigured, match="QDRANT_API_KEY"):
                store.count(SHOP)
        store.renew(standin.url, "right")
        assert store.count(SHOP) == 0
        store.renew()
        assert store.count(SHOP) == 0
        store.close()


@pytest.mark.parametrize(
    "place",
    [
        Place("http://[nonsense"),
        Place("ftp://qdrant"),
        Place("https://qdrant", ca="no certificate"),
    ],
)
def test_an_address_that_is_none_is_a_wrong_setting(place):
    with pytest.raises(Misconfigured):
        ServerStore(place, "m", 4)


def test_another_models_vectors_are_found_out_at_the_first_use(connect, qdrant, prefix):
    connect().open()
    store = ServerStore(qdrant.url, "another", 4, prefix=prefix)
    for _ in range(2):
        with pytest.raises(Misconfigured, match="rebuild --embed"):
            store.count(SHOP)
    store.close()


# --- collections that are missing, or half there -----------------------------------------------------


def test_many_may_open_an_empty_server_at_once(connect):
    stores = [connect() for _ in range(4)]
    errors = []

    def use(store):
        try:
            store.put_items(SHOP, {1: item("a")})
        except NotReady:  # somebody else has just written it
            pass
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=use, args=(store,)) for store in stores * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [store.count(SHOP) for store in stores] == [1] * 4


def test_indexes_that_are_missing_are_made(connect, client, prefix):
    connect().put_items(SHOP, {1: item("a")})
    made = next(c.name for c in client.get_collections().collections if "items-" in c.name)
    whole = set(client.get_collection(made).payload_schema)
    client.delete_collection(made)
    client.create_collection(made, vectors_config={}, metadata={})
    connect().open()
    assert set(client.get_collection(made).payload_schema) == whole
    assert {"store", "order", "_write", "_marks", "available"} <= whole


def test_a_collection_that_was_lost_is_made_anew(connect, client, prefix):
    store = connect()
    store.put_items(SHOP, {1: item("a")})
    for collection in client.get_collections().collections:
        if collection.name.startswith(prefix):
            client.delete_collection(collection.name)
    with pytest.raises(Unavailable, match="doesn't exist"):
        store.count(SHOP)
    assert store.count(SHOP) == 0
    store.put_items(SHOP, {1: item("a")})
    assert store.count(SHOP) == 1


def test_a_filter_on_a_field_without_an_index_is_refused(connect):
    with pytest.raises(InvalidInput, match="Index required"):
        connect().count(SHOP, AnyOf("attributes.colour", ("red",)))


# --- others that write at the same time ---------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch):
    """Has somebody else write between a write's reading and its writing, so many times."""

    def between(deed, times=1):
        made = server_items.new_write
        left = [deed] * times

        def new_write():
            monkeypatch.setattr(server_items, "new_write", made)  # the deed is a write itself
            if left:
                left.pop()()
            monkeypatch.setattr(server_items, "new_write", new_write)
            return made()

        monkeypatch.setattr(server_items, "new_write", new_write)

    return between


def test_a_vector_is_not_lost_to_a_new_price(connect, meanwhile):
    store, other = connect(), connect()
    store.put_items(SHOP, {1: item("a", price=1.0), 2: item("b")})
    meanwhile(lambda: other.put_items(SHOP, {1: item("a", price=2.0)}))
    assert store.put_vectors(SHOP, [1, 2], VECTOR[:2], ["t-a", "t-b"], 7) == [1, 2]
    held = store.items(SHOP, [1, 2])
    assert (held[1]["price"], held[1]["vector_hash"]) == (2.0, "t-a")
    assert store.waiting(SHOP, 9) == []


def test_a_vector_of_a_text_that_changed_just_now_does_not_take_effect(connect, meanwhile):
    store, other = connect(), connect()
    store.put_items(SHOP, {1: item("a"), 2: item("b")})
    meanwhile(lambda: other.put_items(SHOP, {1: item("a", text_hash="new")}))
    assert store.put_vectors(SHOP, [1, 2], VECTOR[:2], ["t-a", "t-b"], 7) == [2]
    assert store.waiting(SHOP, 9) == [1]
    assert list(store.vectors(SHOP, [1, 2])) == [2]


def test_a_vector_of_an_item_that_was_just_deleted_brings_nothing_back(connect, meanwhile):
    store, other = connect(), connect()
    store.put_items(SHOP, {1: item("a")})
    meanwhile(lambda: other.delete_items(SHOP, [1]))
    assert store.put_vectors(SHOP, [1], VECTOR[:1], ["t-a"], 7) == []
    assert store.count(SHOP) == 0


def test_an_older_payload_that_is_overtaken_does_not_take_effect(connect, meanwhile):
    store, other = connect(), connect()
    store.put_items(SHOP, {1: item("a", order=1)})
    meanwhile(lambda: other.put_items(SHOP, {1: item("a", order=3, price=3.0)}))
    store.put_items(SHOP, {1: item("a", order=2, price=2.0)})
    assert store.items(SHOP, [1])[1]["price"] == 3.0


def test_a_payload_keeps_what_a_vector_said_just_now(connect, meanwhile):
    store, other = connect(), connect()
    store.put_items(SHOP, {1: item("a")})
    meanwhile(lambda: other.put_vectors(SHOP, [1], VECTOR[:1], ["t-a"], 7))
    store.put_items(SHOP, {1: item("a", price=2.0)})
    held = store.items(SHOP, [1])[1]
    assert (held["price"], held["vector_hash"], held["embedded_at"]) == (2.0, "t-a", 7)


def test_a_writer_that_always_loses_says_so(connect, meanwhile):
    store, other = connect(), connect()
    store.put_items(SHOP, {1: item("a", price=0.0)})
    prices = iter(range(1, 99))
    meanwhile(lambda: other.put_items(SHOP, {1: item("a", price=float(next(prices)))}), times=9)
    with pytest.raises(NotReady, match="others"):
        store.put_vectors(SHOP, [1], VECTOR[:1], ["t-a"], 7)


def test_what_an_older_server_keeps_of_a_user_is_taken_away(connect, client, monkeypatch):
    """There, a point that was indexed keeps the vectors that a write does not bring."""
    store = connect()
    key, history = user_key(SHOP, "u:1"), Sparse(np.array([3], np.uint32), np.ones(1, np.float32))
    store.put_users(SHOP, [StoredUser(key, 0, {"tail": "t"}, VECTOR[0], history)])
    made = Collection.written

    def written(self, ids, write):
        vector = {"history": m.SparseVector(indices=[3], values=[1.0]), "taste": [1, 0, 0, 0]}
        points = m.UpdateVectors(points=[m.PointVectors(id=key, vector=vector)])
        client.batch_update_points(self.name, [m.UpdateVectorsOperation(update_vectors=points)])
        return made(self, ids, write)

    monkeypatch.setattr(Collection, "written", written)
    assert store.put_users(SHOP, [StoredUser(key, 1, {"tail": "t"}, VECTOR[1])]) == []
    held = store.users(SHOP, [key], vectors=True)[key]
    assert (held.version, held.history) == (2, None)
    assert held.taste is not None
    assert store.neighbours(SHOP, history, 9) == []


# --- the line itself ---------------------------------------------------------------------------------


def test_a_connection_that_was_closed_while_idle_is_replaced(connect):
    line = connect()._line
    sent = []

    def onward(request):
        sent.append(request)
        if len(sent) == 1:
            raise ResponseHandlingException(httpx.RemoteProtocolError("closed"))
        return "answered"

    request = httpx.Request("POST", "http://q/collections/items/points/query/batch")
    assert line._send(request, onward) == "answered"
    assert request.extensions["timeout"]["read"] == Patience().short
    other = httpx.Request("PUT", "http://q/collections/items/points")
    sent.append(other)
    line._send(other, onward)
    assert other.extensions["timeout"]["read"] == Patience().long


def test_a_request_carries_no_more_than_a_server_takes():
    texts = {key: {"text": "x" * 3_000_000} for key in range(5)}
    assert list(by_size(texts)) == [[0, 1], [2, 3], [4]]
    small = {key: {"a": 1} for key in range(1_000)}
    assert list(by_size(small)) == [list(range(1_000))]
    parts = list(by_size(small, numbers=4_096))
    assert [key for part in parts for key in part] == list(range(1_000))
    assert max(map(len, parts)) * 4_096 * BYTES_A_NUMBER <= MAX_BYTES
    assert list(by_size({1: {"text": "x" * (MAX_BYTES + 1)}})) == [[1]]
    assert list(by_size({})) == []
    with pytest.raises(InvalidInput):
        list(by_size({1: {"a": object()}}))
