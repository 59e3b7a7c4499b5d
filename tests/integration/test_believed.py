"""Two processes on one store and one log: what one writes, the other believes after a while."""

import contextlib
import io

import numpy as np
import pytest

from tests.integration.warehouse import STORE, Warehouse, tiny_encoder, wall_ms
from windowshop.records import Event, Item, item_key
from windowshop.settings import Settings
from windowshop.world import VECTORS_BELIEVED, World

BELIEVED_MS = 10_000
KEY = item_key(STORE, "i1")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def house(tmp_path, encoder):
    with contextlib.closing(Warehouse(tmp_path, encoder)) as opened:
        yield opened


class Clock:
    def __init__(self):
        self.ms = wall_ms()

    def __call__(self):
        return self.ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def other(house, clock):
    """Another process's world, which counts nothing itself."""
    here = house.shop.world
    return World(
        here.store, here.log, here.encoder, Settings(), clock,
        keyring=here.keyring, letters=here.letters, believed_ms=BELIEVED_MS, counting=False,
    )  # fmt: skip


def put(house, title, **more):
    house.shop.put_items(STORE, [Item(item_id="i1", title=title, **more)])
    house.shop.embed_waiting(STORE)


def test_items_and_fields_of_others_are_seen_after_a_while(house, other, clock):
    put(house, "milk", price=1)
    assert other.cards(other.tenant(STORE), [KEY])[KEY]["price"] == 1
    put(house, "milk", price=2, available=False)
    house.shop.declare_field(STORE, "colour", "keyword")
    assert other.cards(other.tenant(STORE), [KEY])[KEY]["price"] == 1
    clock.ms += BELIEVED_MS
    tenant = other.tenant(STORE)
    assert other.cards(tenant, [KEY])[KEY]["price"] == 2
    assert other.cards(tenant, [KEY])[KEY]["available"] is False
    assert tenant.fields == {"colour": "keyword"}
    house.shop.delete_items(STORE, ["i1"])
    clock.ms += BELIEVED_MS
    assert other.cards(other.tenant(STORE), [KEY]) == {}
    assert other.known(other.tenant(STORE), [KEY]) == set()


def test_a_vector_of_others_is_seen_in_the_end(house, other, clock):
    """Not as soon as anything else: they are large, and texts change seldom."""
    put(house, "milk")
    before = other.vectors(other.tenant(STORE), [KEY])[KEY]
    clock.ms += BELIEVED_MS
    other.vectors(other.tenant(STORE), [KEY])
    put(house, "a red shoe")
    clock.ms += BELIEVED_MS
    assert np.array_equal(other.vectors(other.tenant(STORE), [KEY])[KEY], before)
    clock.ms += VECTORS_BELIEVED * BELIEVED_MS
    assert not np.array_equal(other.vectors(other.tenant(STORE), [KEY])[KEY], before)


def viewed(house, user):
    event = Event(kind="view", user_id=user, item_id="i1", event_id=f"e-{user}")
    house.shop.record(STORE, [event], wall_ms())


@pytest.fixture
def counted(house):
    """The house's own world counts, and others do as well."""
    house.shop.world.believed_ms = BELIEVED_MS
    house.shop.put_items(STORE, [Item(item_id="i1", title="milk")])
    viewed(house, "ann")
    house.shop.refresh()
    return house


def test_counts_are_those_that_another_process_saved_last(counted, other, clock):
    assert other.tenant(STORE).popularity.population == 1
    viewed(counted, "bob")
    counted.shop.refresh()
    assert other.tenant(STORE).popularity.population == 1
    clock.ms += BELIEVED_MS
    assert other.tenant(STORE).popularity.population == 2
    assert other.tenant(STORE).popularity.users(np.array([KEY], np.uint64)) == [2]


def test_who_only_reads_counts_is_not_told_who_has_what(counted, other):
    """It would be eight bytes for each user and item, every minute, and outlive a forget."""
    saved = [counted.shop.world.log.snapshot(STORE, name)[1] for name in ("popularity", "counts")]
    parts = [set(np.load(io.BytesIO(body)).files) for body in saved]
    assert parts[0] - parts[1] == {"people", "pairs"}


def test_counts_made_anew_are_not_undone_by_a_process_with_older_ones(counted, other):
    """As `windowshop rebuild` does beside the function that counts every minute."""
    house = counted.shop
    viewed(counted, "bob")
    house.refresh()
    house.forget(STORE, "u:bob")
    viewed(counted, "cat")
    assert house.world.tenant(STORE).popularity.population == 3
    other.recount(STORE)
    other.save_counts()
    house.refresh()
    assert house.world.tenant(STORE).popularity.population == 2
