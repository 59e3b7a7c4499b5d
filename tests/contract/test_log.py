"""What every event log must do, run on each implementation."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windowshop import profile as profiles
from windowshop.errors import InvalidInput, NotFound, Unavailable
from windowshop.log import event_row
from windowshop.log.sqlite import SqliteLog
from windowshop.profile import Profile
from windowshop.records import Event, item_key, read, user_key

NOW = 1_700_000_000_000
numbers = itertools.count()


@pytest.fixture(params=["sqlite"])
def log(request, tmp_path):
    opened = {"sqlite": lambda: SqliteLog(tmp_path / "home" / "log.sqlite")}[request.param]()
    yield opened
    opened.close()


def row(user="u:ann", kind="view", item="i1", event_id=None, at=0, row=0, store="default", **more):
    space, _, name = user.partition(":")
    fields = {
        "kind": kind,
        {"u": "user_id", "a": "anonymous_id"}[space]: name,
        "timestamp": (NOW + at) / 1000,
        **more,
    }
    if item is not None:
        fields["item_id"] = item
    if event_id is not None:
        fields["event_id"] = event_id
    return event_row(store, read(Event, fields), row, NOW, {})


def rows(n, user="u:ann", **more):
    return [row(user, event_id=f"{user}-{i}", item=f"i{i % 7}", at=i, **more) for i in range(n)]


def folded(some):
    return profiles.fold(Profile.EMPTY, some)


def refolded(log, user, store="default"):
    return log.refold(store, [user])[user].profile


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
    assert parts[-1].seq == second.seq - 2
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


# --- guests --------------------------------------------------------------------------------------


def test_a_merged_guest_is_part_of_the_user_until_unmerged(log):
    own, guests = rows(3), rows(2, "a:g", kind="like")
    log.append("default", own + guests, NOW)
    assert log.link("default", "u:ann", "a:g") is True
    assert log.link("default", "u:ann", "a:g") is False
    assert log.links_of("default", "u:ann") == ["a:g"]
    assert log.owners_of("default", ["a:g", "a:h", "u:ann"]) == ["u:ann"]
    standing = log.standings("default", ["u:ann"])["u:ann"]
    assert (standing.events, standing.guests) == (5, ("a:g",))
    assert refolded(log, "u:ann") == profiles.merge(folded(own), folded(guests))
    assert refolded(log, "a:g") == folded(guests)
    assert log.unlink("default", "u:ann", "a:g") is True
    assert log.unlink("default", "u:ann", "a:g") is False
    assert log.unlink("default", "u:nobody", "a:g") is False
    assert refolded(log, "u:ann") == folded(own)


def test_a_merged_user_is_behind_whenever_what_it_is_made_of_changes(log):
    def mark():
        users = log.users("default")
        log.mark_folded(
            "default", {user: one.version for user, one in log.standings("default", users).items()}
        )
        assert log.unfolded("default") == []

    log.append("default", rows(2) + rows(2, "a:g") + rows(2, "a:h"), NOW)
    mark()
    log.link("default", "u:ann", "a:g")
    assert log.unfolded("default") == ["u:ann"]
    mark()
    log.append("default", rows(3, "a:g"), NOW)
    assert log.unfolded("default") == ["u:ann", "a:g"]
    mark()
    # One guest for another with as many events: the count alone would not tell.
    log.unlink("default", "u:ann", "a:g")
    log.link("default", "u:ann", "a:h")
    assert log.unfolded("default") == ["u:ann"]


def test_a_guest_can_be_merged_before_anything_is_known(log):
    log.link("default", "u:ann", "a:g")
    log.append("default", rows(2, "a:g"), NOW)
    assert refolded(log, "u:ann").counted == 2


def test_an_event_that_guest_and_user_both_sent_counts_once(log):
    log.append("default", [row(event_id="x"), row("a:g", event_id="x")], NOW)
    log.link("default", "u:ann", "a:g")
    profile = refolded(log, "u:ann")
    assert len(profile.events) == 1
    assert profile.counted == log.standings("default", ["u:ann"])["u:ann"].events == 2


@pytest.mark.parametrize(("user", "guest"), [("a:g", "u:ann"), ("u:a", "u:b"), ("a:a", "a:b")])
def test_only_a_guest_is_merged_into_a_user(log, user, guest):
    with pytest.raises(InvalidInput):
        log.link("default", user, guest)


# --- forgetting ----------------------------------------------------------------------------------


def test_forgetting_takes_the_user_and_their_guests(log):
    log.append("default", rows(3) + rows(2, "a:g") + rows(4, "u:bob"), NOW)
    log.link("default", "u:ann", "a:g")
    forgotten = log.forget("default", "u:ann", NOW + 10, "e1")
    assert forgotten.users == ("u:ann", "a:g")
    assert (forgotten.events, forgotten.owners) == (5, ())
    assert log.held("default", ["u:ann", "a:g"]) == 0
    assert log.users("default") == ["u:bob"]
    assert log.links_of("default", "u:ann") == []
    assert log.export("default", ["u:ann", "a:g"], None, 10) == ([], None)
    assert refolded(log, "u:ann") == Profile.EMPTY
    assert log.held("default", ["u:bob"]) == log.count("default") == 4


def test_what_was_received_before_comes_to_nothing_and_what_comes_after_counts(log):
    log.append("default", rows(2), NOW)
    log.forget("default", "u:ann", NOW + 10, "e1")
    late = log.append("default", rows(3) + rows(1, "u:bob"), NOW + 10)
    assert (late.new, late.dropped) == ([False] * 3 + [True], 3)
    assert late.users.tolist()[:3] == [0, 0, 0]
    assert log.users("default") == ["u:bob"]  # not even the name came back
    after = log.append("default", rows(1), NOW + 11)
    assert after.new == [True]
    assert log.append("default", rows(2), NOW + 10).dropped == 2  # still, now that the user exists
    assert log.counts_of("default", ["u:ann"]) == {"u:ann": 1}


def test_a_later_forget_reaches_further(log):
    log.forget("default", "u:ann", NOW + 20, "e1")
    log.forget("default", "u:ann", NOW + 10, "e2")
    assert log.append("default", rows(1), NOW + 15).dropped == 1
    log.forget("default", "u:ann", NOW + 30, "e3")
    assert log.append("default", rows(1), NOW + 25).dropped == 1


def test_forgotten_guests_leave_those_they_were_merged_into(log):
    log.append("default", rows(3) + rows(2, "a:g"), NOW)
    log.link("default", "u:ann", "a:g")
    versions = {user: one.version for user, one in log.standings("default", ["u:ann"]).items()}
    log.mark_folded("default", versions)
    forgotten = log.forget("default", "a:g", NOW, "e1")
    assert (forgotten.users, forgotten.owners) == (("a:g",), ("u:ann",))
    assert log.unfolded("default") == ["u:ann"]
    assert refolded(log, "u:ann") == folded(rows(3))


def test_forgetting_somebody_unknown_still_leaves_a_tombstone(log):
    forgotten = log.forget("default", "u:ann", NOW, "e1")
    assert (forgotten.events, forgotten.users) == (0, ("u:ann",))
    assert log.append("default", rows(1), NOW).dropped == 1


def test_a_link_does_not_outwit_a_tombstone(log):
    log.forget("default", "u:ann", NOW + 10, "e1")
    log.link("default", "u:ann", "a:g")
    assert log.append("default", rows(1), NOW + 10).dropped == 1


def test_numbers_of_forgotten_events_are_not_given_again(log):
    before = log.append("default", rows(3), NOW)
    log.forget("default", "u:ann", NOW, "e1")
    after = log.append("default", rows(1, "u:bob"), NOW)
    assert after.seq > before.seq
    (part,) = log.replay_since("default", before.seq)
    assert len(part.events) == 1


def test_an_erasure_is_on_record_until_it_is_done(log):
    log.append("default", rows(2), NOW)
    log.forget("default", "u:ann", NOW, "e1")
    running = log.erasure("default", "e1")
    assert running == {
        "erasure_id": "e1",
        "status": "running",
        "erased": {"events": 2, "profiles": 0},
        "verified": False,
    }
    assert log.unfinished_erasures() == [("default", "e1", [user_key("default", "u:ann")])]
    done = {**running, "status": "done", "verified": True}
    log.put_erasure("default", "e1", done)
    assert log.erasure("default", "e1") == done
    assert log.unfinished_erasures() == []
    assert log.erasure("other", "e1") is None
    with pytest.raises(NotFound):
        log.put_erasure("default", "e2", done)


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
