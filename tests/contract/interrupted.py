"""For the suites of the log in DynamoDB, which has no transactions around a batch: clients that
stop, or let others in, at every call, and what must hold then.
"""

import itertools
import threading
import time
from collections import Counter

import pytest

from tests.contract.events import NOW, row, rows
from windowshop import profile as profiles
from windowshop.profile import Profile

stores = (f"s{n}" for n in itertools.count())


class Crashed(Exception):
    """The process is gone: whatever it would have done next, it does not."""


WRITES = {
    "batch_execute_statement",
    "delete_item",
    "put_item",
    "transact_write_items",
    "update_item",
}

READS = {"batch_get_item", "get_item", "query", "scan"}


class Client:
    """A client that does something else at its n-th call of some kind."""

    def __init__(self, real, at, act, among=WRITES):
        self._real, self._at, self._act, self._among = real, at, act, among
        self._lock = threading.Lock()
        self.calls = 0

    def __getattr__(self, operation):
        def call(**asked):
            with self._lock:
                self.calls += operation in self._among
                here = operation in self._among and self.calls == self._at
            real = getattr(self._real, operation)
            return self._act(real, operation, asked) if here else real(**asked)

        return call


class Mortal(Client):
    """A client whose process dies at its n-th write: when that is done, or half done. Between two
    writes it does not matter when.
    """

    def __init__(self, real, at, half=False):
        super().__init__(real, at, self._die)
        self._half = half
        self.last = ""

    def _die(self, real, operation, asked):
        self.last = operation
        # Several users' writes come in no order, so this may be another one than the last time.
        if self._half and "Statements" in asked:
            asked["Statements"] = asked["Statements"][: len(asked["Statements"]) // 2]
        if asked.get("Statements") != []:
            real(**asked)
        raise Crashed

    def __getattr__(self, operation):
        if self.last:
            raise Crashed
        return super().__getattr__(operation)


class Wall:
    """A clock that is set by hand, and moves a little whenever it is read."""

    def __init__(self):
        self.ms = time.time_ns() // 1_000_000

    def __call__(self):
        self.ms += 1
        return self.ms


def exported(log, store, *users):
    return {event["event_id"] for event in log.export(store, users, None, 9_999)[0]}


def replayed(log, store, seq=0):
    """How often each event is replayed."""
    keys = [key for part in log.replay_since(store, seq) for key in part.events["event"].tolist()]
    return Counter(keys)


def check(log, store, expected, since):
    """The log holds exactly these rows, all logged after `since`, each once, wherever one looks.
    If u:ann is among them, a:g is merged into her.
    """
    distinct = {(one.user, one.event_key): one for one in reversed(expected)}.values()
    users = sorted({one.user for one in distinct})
    folded = [one for one in distinct if one.kind != profiles.IMPRESSION]
    counts = Counter(one.user for one in folded)
    assert exported(log, store, *users) == {one.event_id for one in distinct}
    assert log.counts_of(store, users) == {user: counts[user] for user in users}
    assert log.held(store, users) == log.count(store) == len(distinct)
    refolded, standings = log.refold(store, users), log.standings(store, users)
    for user in users:
        group = {user, *standings[user].guests}
        assert group == ({"u:ann", "a:g"} if user == "u:ann" else {user})
        own = profiles.fold(Profile.EMPTY, [one for one in folded if one.user in group])
        assert refolded[user].profile == own
        assert standings[user].events == own.counted
    once = Counter(one.event_key for one in folded if one.item_key)
    assert replayed(log, store) == once  # from the events
    assert replayed(log, store, since) == once  # from the feed


def batch(store):
    """What is in the log already, and a batch with a bit of everything."""
    before = [*rows(2, "u:ann", store=store), *rows(1, "a:g", store=store)]
    new = [
        *rows(5, "u:ann", store=store),  # two of them are duplicates
        row("u:ann", "impression", None, "seen", item_ids=["i1"], store=store),
        *rows(3, "a:g", kind="like", store=store),
        *rows(2, "u:bob", store=store),
        row("u:bob", "search", None, "asked", query="tea", store=store),
        row("u:bob", "search", None, "asked", query="tea", store=store),
    ]
    return before, new


def prepared(open_log):
    store, log = next(stores), open_log()
    since = log.append(store, [], NOW).seq
    before, new = batch(store)
    log.append(store, before, NOW)
    log.link(store, "u:ann", "a:g")
    return store, log, before, new, since


INSERTED = 2
"""The writes of an append after which events are there, and nothing else."""


def every_death(dynamodb, work):
    """Runs `work(client)` with a client that dies after the first write, after the second, ... until
    it comes through; and half way through calls that write several things. Says after which.
    """
    operations = []
    at = 0
    while True:
        at += 1
        client = Mortal(dynamodb, at)
        try:
            work(client)
        except Crashed:
            operations.append(client.last)
        else:
            return operations
        if client.last == "batch_execute_statement":
            with pytest.raises(Crashed):
                work(Mortal(dynamodb, at, half=True))


def every_meeting(dynamodb, scene):
    """`scene()` gives two things that are done at once, and what must hold then. The second is done
    before the first call of the first, before its second call, ... until there are no more.
    """
    at = 0
    while True:
        at += 1
        first, second, holds = scene()
        met = []

        def meet(real, operation, asked, second=second, met=met):
            met.append(second())
            return real(**asked)

        result = first(Client(dynamodb, at, meet, WRITES | READS))
        if met:
            holds(result, met[0])
        else:
            return


def forgotten(log, store, since, bobs):
    """Ann and her guest are gone; nothing else is."""
    group = ["u:ann", "a:g"]
    assert log.held(store, group) == 0
    assert (log.users(store), log.links_of(store, "u:ann")) == (["u:bob"] if bobs else [], [])
    assert log.standings(store, group) == {}
    assert log.export(store, group, None, 10) == ([], None)
    assert log.append(store, rows(3, "u:ann", store=store), NOW + 10).dropped == 3
    assert log.count(store) == log.held(store, ["u:bob"]) == bobs
    assert set(replayed(log, store, since)) <= {one.event_key for one in rows(9, "u:bob")}
    assert log.unfinished_erasures() == []


def whole_or_gone(log, store, since):
    """Of ann there are four events that came after the forget, or none. Says how many."""
    there = log.held(store, ["u:ann"])
    assert there in {0, 4}
    assert log.held(store, ["a:g"]) == 0
    assert log.counts_of(store, ["u:ann"]).get("u:ann", 0) == log.count(store) == there
    assert len(exported(log, store, "u:ann")) == sum(replayed(log, store, since).values()) == there
    return there
