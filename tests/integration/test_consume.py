"""A queue's messages into a real shop."""

import contextlib
import json

import pytest

from windowshop import consume
from windowshop.errors import InvalidInput, Unavailable
from windowshop.local import open_shop, wall_ms
from windowshop.records import Event, user_key
from windowshop.store import StoredUser

STORE = "default"


def queued(events, received_ms):
    return json.loads(json.dumps(consume.message(STORE, events, received_ms)))


def view(item="i1", user="u1", **more):
    return Event(kind="view", user_id=user, item_id=item, **more)


@pytest.fixture
def shop(tmp_path):
    with contextlib.closing(open_shop(tmp_path)) as opened:
        yield opened


@pytest.fixture
def stored(shop):
    """The stored profile of a user, or None."""

    def read(user="u:u1"):
        key = user_key(STORE, user)
        return shop.world.store.users(STORE, [key]).get(key)

    return read


def statuses(shop, *batch):
    return [one.status for one in consume.events(shop, batch)]


def test_messages_are_logged_folded_and_delivered_twice_without_harm(shop):
    now = wall_ms()
    ahead = view("i2", timestamp="2999-01-01T00:00:00Z")
    good, partly = queued([view(), view()], now), queued([view(), ahead], now)
    for _ in range(2):
        outcomes = consume.events(shop, [good, {"store": STORE}, partly])
        assert [one.status for one in outcomes] == ["ok", "dead", "dead"]

    held = shop.export(STORE, "u:u1")
    assert len(held["events"]) == 3
    assert shop.fold_waiting(STORE) == 0

    letter = outcomes[2].letter
    assert letter is not None
    assert [event["item_id"] for event in letter["events"]] == ["i2"]
    assert "24 hours" in (outcomes[2].reason or "")


def test_what_is_delivered_again_writes_no_profile_again(shop, stored):
    message = queued([view("i1"), view("i2")], wall_ms())
    assert statuses(shop, message) == ["ok"]
    before = stored()
    assert statuses(shop, message, message) == ["ok", "ok"]

    assert stored().version == before.version


def test_a_crash_between_log_and_fold_heals_when_the_message_comes_again(shop, stored):
    now = wall_ms()
    message = queued([view("i1"), view("i2")], now)
    events = [Event(**row) for row in message["events"]]
    assert shop.record(STORE, events, now, fold=False).duplicates == 0
    assert stored() is None

    assert statuses(shop, message) == ["ok"]
    assert shop.export(STORE, "u:u1")["profile"]["events"] == 2
    assert shop.fold_waiting(STORE) == 0


def test_impressions_alone_write_no_profile(shop, stored):
    now = wall_ms()
    shown = Event(kind="impression", user_id="u1", item_ids=["i1", "i2"])
    assert statuses(shop, queued([shown], now)) == ["ok"]
    assert stored() is None

    assert statuses(shop, queued([view()], now + 1)) == ["ok"]
    before = stored()
    assert statuses(shop, queued([shown], now + 2)) == ["ok"]
    assert stored().version == before.version
    assert len(shop.export(STORE, "u:u1")["events"]) == 3


def test_each_message_of_a_batch_keeps_the_time_of_its_receipt(shop, stored):
    early = queued([view("before"), view("by", "u2")], wall_ms() - 5)
    consume.events(shop, [queued([view("old")], wall_ms() - 10)])
    shop.forget(STORE, "u:u1")
    assert statuses(shop, early) == ["ok"]
    assert stored() is None
    assert stored("u:u2") is not None

    late = queued([view("after")], wall_ms() + 5)
    assert statuses(shop, early, late, early) == ["ok", "ok", "ok"]
    held = shop.export(STORE, "u:u1")
    assert [event["item_id"] for event in held["events"]] == ["after"]
    assert held["profile"]["events"] == 1


def test_who_is_forgotten_while_being_folded_leaves_no_profile(shop, stored, monkeypatch):
    put = shop.world.store.put_users

    def forgotten_meanwhile(tenant, users):
        monkeypatch.setattr(shop.world.store, "put_users", put)
        assert shop.forget(STORE, "u:u1")["verified"]
        return put(tenant, users)

    monkeypatch.setattr(shop.world.store, "put_users", forgotten_meanwhile)
    assert statuses(shop, queued([view(), view("i1", "u2")], wall_ms() - 5)) == ["ok"]
    assert stored() is None
    assert stored("u:u2") is not None


def test_a_profile_that_came_back_after_a_forget_goes_with_the_next_late_message(
    shop, stored, monkeypatch
):
    """A fold that was under way when the user was forgotten, and died before it looked again."""
    late = queued([view()], wall_ms() - 5)

    def dies(*_):
        shop.forget(STORE, "u:u1")
        written = shop.world.store.put_users(STORE, [profile])
        assert written == []
        raise Unavailable("the process is gone")

    consume.events(shop, [late])
    profile = StoredUser(stored().key, 0, stored().payload)
    monkeypatch.setattr(shop.world.log, "mark_folded", dies)
    consume.events(shop, [queued([view("i2")], wall_ms() - 4)])
    monkeypatch.undo()
    assert stored() is not None

    assert statuses(shop, late) == ["ok"]
    assert stored() is None


def test_what_the_store_refuses_is_no_fault_of_the_message(shop, monkeypatch):
    """The event is logged; a store that takes no profile just now is waited for."""

    def refuse(*_):
        raise InvalidInput("Qdrant cannot take this: strict mode")

    one = queued([view()], wall_ms())
    with monkeypatch.context() as broken:
        broken.setattr(shop.world.store, "put_users", refuse)
        [outcome] = consume.events(shop, [one])
    assert (outcome.status, outcome.fault) == ("retry", False)
    assert "strict mode" in outcome.reason
    assert statuses(shop, one) == ["ok"]
