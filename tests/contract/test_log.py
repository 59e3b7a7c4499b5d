"""What every event log must do, run on each implementation."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.events import NOW, folded, refolded, row, rows
from windowshop import profile as profiles
from windowshop.errors import InvalidInput, Unavailable
from windowshop.log import event_row
from windowshop.profile import Profile
from windowshop.records import Event, item_key, read

numbers = itertools.count()


# --- appending -----------------------------------------------------------------------------------


def test_new_events_are_told_from_known_ones(log):
    first = log.append("default", rows(3), NOW)
    assert (first.new, first.duplicates, first.dropped) == ([True] * 3, 0, 0)
    again = log.append("default", rows(5), NOW + 1)
    assert (again.new, again.duplicates) == ([False] * 3 + [True] * 2, 3)
    assert log.counts_of("default", ["u:ann", "u:bob"]) == {"u:ann": 5}
    assert log.count("default") == 5


def test_the_same_id_twice_in_a_batch_is_one_event(log):
    one, other = row(event_id="x"), row(event_id="x", item="i2", at=5)
    appended = log.append("default", [one, other], NOW)
    assert appended.new == [True, False]
    assert refolded(log, "u:ann") == folded([one])


def test_ids_are_distinct_within_a_user_only(log):
    appended = log.append("default", [row(event_id="x"), row("u:bob", event_id="x")], NOW)
    assert appended.new == [True, True]


def test_many_batches_are_one_commit(log):
    batches = [("default", rows(2), NOW), ("other", rows(3), NOW), ("default", rows(4), NOW)]
    results = log.append_many(batches)
    assert [result.duplicates for result in results] == [0, 0, 2]
    assert [result.seq for result in results] == sorted(result.seq for result in results)
    assert log.count("default") == 4
    assert log.count("other") == 3
    assert log.stores() == ["default", "other"]


def test_a_batch_takes_effect_whole_or_not_at_all(log):
    log.append("default", rows(1), NOW)
    broken = row("u:new", event_id="y")._replace(time_ms=2**70)
    with pytest.raises(InvalidInput):
        log.append_many([("default", [row("u:new", event_id="x"), broken], NOW)])
    assert log.users("default") == ["u:ann"]
    assert log.append("default", [row("u:new", event_id="x")], NOW).new == [True]
    assert log.counts_of("default", ["u:new"]) == {"u:new": 1}


def test_nothing_to_append_is_fine(log):
    assert log.append("default", [], NOW).new == []
    assert log.append_many([]) == []
    assert log.stores() == []


def test_an_event_without_a_user_is_refused(log):
    with pytest.raises(InvalidInput, match="user"):
        log.append("default", [row()._replace(user="")], NOW)


def test_stores_are_apart(log):
    log.append("one", rows(3), NOW)
    log.append("two", rows(2, kind="like"), NOW)
    assert log.users("one") == log.users("two") == ["u:ann"]
    assert refolded(log, "u:ann", "one").counted == 3
    assert refolded(log, "u:ann", "two").counted == 2
    log.forget("one", "u:ann", NOW, "e1")
    assert log.counts_of("two", ["u:ann"]) == {"u:ann": 2}
    assert log.count("one") == 0


def test_the_stores_clock_is_its_newest_event(log):
    assert log.newest("default") is None
    log.append("default", [row(event_id="1", at=50), row(event_id="2", at=10)], NOW)
    log.append("default", [row(event_id="3", at=20)], NOW)
    assert log.newest("default") == NOW + 50
    log.append("default", [row(event_id="3", at=99)], NOW)  # a duplicate: not accepted anew
    assert log.newest("default") == NOW + 50


def test_writers_in_many_threads_lose_nothing(log):
    def write(n):
        return log.append("default", rows(20, f"u:{n % 4}") + rows(3, f"u:w{n}"), NOW)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(write, range(24)))
    assert sum(sum(result.new) for result in results) == 4 * 20 + 24 * 3
    assert log.count("default") == 4 * 20 + 24 * 3
    assert sum(log.counts_of("default", log.users("default")).values()) == 4 * 20 + 24 * 3


# --- export --------------------------------------------------------------------------------------


def test_export_gives_events_as_sent_in_pages(log):
    sent = [
        {"kind": "search", "user_id": "ann", "query": "oat milk", "event_id": "s",
         "timestamp": "2026-11-24T08:00:00Z"},
        {"kind": "impression", "user_id": "ann", "item_ids": ["a", "b"], "event_id": "i",
         "timestamp": "2026-11-24T08:00:01.500Z"},
        {"kind": "purchase", "user_id": "ann", "item_id": "a", "quantity": 2.0, "price": 1.5,
         "context": {"page": "home"}, "event_id": "p", "timestamp": "2026-11-24T07:00:00Z"},
    ]  # fmt: skip
    log.append("default", [event_row("default", read(Event, one), 0, NOW, {}) for one in sent], NOW)
    log.append("default", rows(2, "u:bob"), NOW)
    first, cursor = log.export("default", ["u:ann"], None, 2)
    last, end = log.export("default", ["u:ann"], cursor, 2)
    assert first + last == sent
    assert end is None
    assert log.export("default", ["u:nobody"], None, 2) == ([], None)
    both, _ = log.export("default", ["u:ann", "u:bob"], None, 100)
    assert len(both) == 5


@pytest.mark.parametrize("cursor", ["-1", "x", "1e3", "²", "9" * 30])
def test_a_cursor_that_is_none_is_refused(log, cursor):
    with pytest.raises(InvalidInput, match="cursor"):
        log.export("default", ["u:ann"], cursor, 10)


# --- folding -------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_live_and_rebuilt_profiles_are_equal(log, data):
    """Rows folded as they come, in any batches, against the log folded whole."""
    store = f"s{next(numbers)}"
    kinds = st.sampled_from(["view", "purchase", "rate", "dwell", "like", "search", "impression"])
    live = Profile.EMPTY
    for _ in range(data.draw(st.integers(1, 4))):
        batch = []
        for _ in range(data.draw(st.integers(1, 6))):
            kind = data.draw(kinds)
            extra = {
                "search": {"item": None, "query": "tea"},
                "impression": {"item": None, "item_ids": ["i1"]},
                "rate": {"value": 4.2},
                "dwell": {"value": 12.7},
            }.get(kind, {})
            at, eid = data.draw(st.integers(0, 9)), str(data.draw(st.integers(0, 15)))
            batch.append(row("u:x", kind, event_id=eid, at=at, row=at % 2, store=store, **extra))
        new = log.append(store, batch, NOW).new
        live = profiles.fold(live, [one for one, is_new in zip(batch, new, strict=True) if is_new])
    rebuilt = log.refold(store, ["u:x"])["u:x"]
    assert rebuilt.profile == live
    assert profiles.pack(rebuilt.profile) == profiles.pack(live)
    standing = log.standings(store, ["u:x"])["u:x"]
    assert (standing.events, standing.version) == (live.counted, rebuilt.version)


def test_who_is_behind_is_known_until_marked(log):
    log.append("default", rows(2) + rows(1, "u:bob"), NOW)
    assert log.unfolded("default") == ["u:ann", "u:bob"]
    assert log.unfolded("default", limit=1) == ["u:ann"]
    versions = {user: one.version for user, one in log.standings("default", ["u:ann"]).items()}
    log.mark_folded("default", versions)
    assert log.unfolded("default") == ["u:bob"]
    log.append("default", rows(2), NOW)  # duplicates only: nothing to fold
    assert log.unfolded("default") == ["u:bob"]


def test_a_mark_that_was_outrun_leaves_the_user_behind(log):
    log.append("default", rows(2), NOW)
    versions = {user: one.version for user, one in log.standings("default", ["u:ann"]).items()}
    log.append("default", rows(3), NOW)
    log.mark_folded("default", versions)
    assert log.unfolded("default") == ["u:ann"]


def test_impressions_leave_nobody_behind(log):
    seen = row(kind="impression", item=None, item_ids=["i1"], event_id="i")
    log.append("default", [seen], NOW)
    assert log.unfolded("default") == []
    assert log.counts_of("default", ["u:ann"]) == {"u:ann": 0}
    assert log.count("default") == 1
    assert refolded(log, "u:ann") == Profile.EMPTY


def test_refolding_nobody_is_fine(log):
    assert log.refold("default", []) == {}
    assert log.refold("default", ["u:nobody"])["u:nobody"].profile == Profile.EMPTY
    assert log.standings("default", ["u:nobody"]) == {}


def test_replay_gives_events_on_items_after_a_point(log):
    first = log.append("default", rows(3), NOW)
    log.append("other", rows(3), NOW)
    search = row(kind="search", item=None, query="tea", event_id="s")
    seen = row(kind="impression", item=None, item_ids=["i1"], event_id="i")
    more = [row("u:bob", "rate", event_id="r", value=4), search, seen]
    second = log.append("default", more, NOW)
    parts = list(log.replay_since("default", 0))
    assert sum(len(part.events) for part in parts) == 4
    assert parts[-1].seq > first.seq
    assert list(log.replay_since("default", parts[-1].seq)) == []
    assert len(set(np.concatenate([part.users for part in parts]).tolist())) == 2
    (rest,) = log.replay_since("default", first.seq)
    assert rest.events["item"].tolist() == [item_key("default", "i1")]
    assert rest.events["value"].tolist() == [4]
    assert rest.users.tolist() == second.users[:1].tolist()
    assert list(log.replay_since("default", second.seq)) == []


def test_items_that_events_name(log):
    log.append("default", rows(8), NOW)
    log.append("other", [row(item="else")], NOW)
    found = {item_id: (key, count) for key, item_id, count in log.items("default")}
    assert found["i0"] == (item_key("default", "i0"), 2)
    assert len(found) == 7


# --- what else a home must not lose ---------------------------------------------------------------


def test_fields_of_a_store(log):
    log.put_field("default", "colour", "keyword")
    log.put_field("default", "abv", "float")
    log.put_field("other", "colour", "keyword")
    assert log.fields("default") == {"abv": "float", "colour": "keyword"}
    assert log.fields("empty") == {}
    assert log.stores() == ["default", "other"]


def test_snapshots(log):
    assert log.snapshot("default", "popularity") is None
    log.put_snapshot("default", "popularity", 7, b"\0one")
    log.put_snapshot("default", "popularity", 9, b"\0two")
    assert log.snapshot("default", "popularity") == (9, b"\0two")
    assert log.snapshot("other", "popularity") is None


def test_a_closed_log_is_unavailable(log):
    log.check()
    log.close()
    for use in (log.check, lambda: log.append("default", rows(1), NOW), lambda: log.users("a")):
        with pytest.raises(Unavailable, match="closed"):
            use()
    log.close()


def test_reading_goes_on_while_somebody_writes(log):
    log.append("default", rows(50), NOW)
    stop, failures = threading.Event(), []

    def look():
        while not stop.is_set():
            profile, standing = refolded(log, "u:ann"), log.standings("default", ["u:ann"])
            if not 50 <= profile.counted <= standing["u:ann"].events:
                failures.append(profile.counted)

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(40):
        log.append("default", [row(event_id=f"more-{n}", at=n)], NOW)
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []
