"""Profiles: folding is a semilattice, exactly; what is read from them agrees with plain arithmetic."""

import base64
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop import profile as profiles
from windowshop.errors import InvalidInput
from windowshop.profile import EVENT, Limits, Profile, SearchEvent, as_sent, event_row
from windowshop.records import KIND_CODE, KINDS, Event, RecentEvent, read

DAY = 86_400_000
SMALL = Limits(strong=4, weak=3, searches=2)
STRONG = {"purchase", "return", "like", "dislike", "rate", "add_to_cart", "remove_from_cart"}
WEAK = {"view", "click", "dwell"}

# Few keys, times and rows, so that ties, repeats and overflowing limits are the rule.
event = st.tuples(
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(-3, 6),
    st.integers(0, 2),
    st.sampled_from([KIND_CODE[kind] for kind in KINDS if kind != "search"]),
    st.sampled_from([1.0, 2.5]),
)
search = st.builds(
    SearchEvent, st.integers(-3, 6), st.integers(0, 2), st.integers(20, 25), st.sampled_from("ab")
)
batch = st.tuples(st.lists(event, max_size=12), st.lists(search, max_size=4))


def records(rows):
    return np.array(rows, dtype=EVENT)


def folded(*batches, start=Profile.EMPTY, limits=SMALL):
    for rows, searches in batches:
        start = profiles.fold_events(start, records(rows), searches, limits)
    return start


def content(profile):
    return profile.events.tobytes(), profile.searches, profile.newest


def events_of(rows, step=DAY):
    """Events a day apart from (kind, item) or (kind, item, value)."""
    full = [
        (row[1], place + 1, place * step, 0, KIND_CODE[row[0]], (*row, 1.0)[2])
        for place, row in enumerate(rows)
    ]
    return profiles.fold_events(Profile.EMPTY, records(full))


# --- the semilattice -----------------------------------------------------------------------------


@given(st.lists(batch, max_size=4), st.randoms())
def test_order_and_batching_change_nothing(batches, random):
    at_once = folded(([e for rows, _ in batches for e in rows], [s for _, x in batches for s in x]))
    loose = [([e], []) for rows, _ in batches for e in rows]
    loose += [([], [s]) for _, searches in batches for s in searches]
    random.shuffle(loose)
    assert content(folded(*batches)) == content(at_once) == content(folded(*loose))


@given(batch, batch)
def test_folding_again_changes_nothing(first, second):
    once = folded(first, second)
    assert content(folded(first, second, start=once)) == content(once)


@given(batch, batch, batch)
def test_merge_is_associative_commutative_and_idempotent(one, two, three):
    a, b, c = folded(one), folded(two), folded(three)

    def merge(x, y):
        return profiles.merge(x, y, SMALL)

    assert content(merge(a, b)) == content(merge(b, a))
    assert content(merge(merge(a, b), c)) == content(merge(a, merge(b, c)))
    assert content(merge(a, a)) == content(a)
    assert merge(a, Profile.EMPTY) == merge(Profile.EMPTY, a) == a
    assert merge(a, b).counted == a.counted + b.counted


@given(batch, batch)
def test_merge_is_what_folding_both_logs_gives(one, two):
    assert profiles.merge(folded(one), folded(two), SMALL) == folded(one, two)


@given(batch)
def test_fold_keeps_the_newest_distinct_events_of_each_class(rows):
    """Against a model of plain sets and sorting."""
    events, searches = rows
    kept = []
    for kinds, limit in ((STRONG, SMALL.strong), (WEAK, SMALL.weak)):
        latest = {}
        for item, key, time, row, kind, value in events:
            if KINDS[kind] in kinds:
                latest[key] = max(latest.get(key, ()), (time, row, key, item, kind, value))
        kept += sorted(latest.values())[-limit:]
    kept.sort(key=lambda e: (e[0], e[1], e[2], e[4]))
    profile = folded(rows)
    assert [
        (e["time"], e["row"], e["event"], e["item"], e["kind"], e["value"]) for e in profile.events
    ] == kept
    by_key = {}
    for one in searches:
        by_key[one.event] = max(by_key.get(one.event, one), one)
    assert list(profile.searches) == sorted(by_key.values())[-SMALL.searches :]


@given(batch)
def test_impressions_are_not_counted(rows):
    events, _ = rows
    seen = [e for e in events if KINDS[e[4]] != "impression"]
    profile = folded((events, []))
    assert profile.counted == len(seen)
    assert profile.newest == max((e[2] for e in seen), default=None)


def test_default_limits_hold_thousands():
    rng = np.random.default_rng(5)
    events = np.zeros(7000, EVENT)
    events["event"] = rng.permutation(7000) + 1
    events["time"] = rng.permutation(7000)
    events["kind"] = np.where(rng.random(7000) < 0.7, KIND_CODE["purchase"], KIND_CODE["view"])
    profile = Profile.EMPTY
    for part in np.array_split(events, 9):
        profile = profiles.fold_events(profile, part)
    strong = profile.events["kind"] == KIND_CODE["purchase"]
    assert strong.sum() == 4096
    assert (~strong).sum() == 1024
    assert profile == profiles.fold_events(Profile.EMPTY, events)


# --- storing -------------------------------------------------------------------------------------


@given(batch)
def test_pack_and_unpack(rows):
    profile = folded(rows)
    payload = profiles.pack(profile)
    assert all(isinstance(value, str | int) for value in payload.values())
    assert profiles.unpack(payload) == profile


def test_tail_is_the_newest_fifty_in_seconds():
    profile = events_of([("purchase", n + 1) for n in range(60)])
    tail = np.frombuffer(base64.b64decode(profiles.pack(profile)["tail"]), profiles.TAIL)
    assert tail["item"].tolist() == list(range(11, 61))
    assert tail["time"].tolist() == [day * 86_400 for day in range(10, 60)]
    assert set(tail["kind"].tolist()) == {KIND_CODE["purchase"]}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"events": "???"},
        {"events": "QUJD", "searches": "[]", "counted": 3},
        {"events": "", "searches": "{", "counted": 3},
        {"events": "", "searches": "[[1]]", "counted": 3},
        {"events": None, "searches": None, "counted": None},
    ],
)
def test_an_unreadable_payload_has_counted_nothing(payload):
    assert profiles.unpack(payload) == Profile.EMPTY


def test_an_unreadable_tail_is_empty():
    assert profiles.check_tail(b"ABC") == b""
    assert profiles.check_tail(bytes(profiles.TAIL.itemsize)) == bytes(profiles.TAIL.itemsize)


# --- rows of the log -----------------------------------------------------------------------------


def row_of(event, row=0, now=1_700_000_000_000, record=Event):
    return event_row("default", read(record, event), row, now, {})


FULL = {
    "kind": "purchase",
    "user_id": "u 1",
    "item_id": "a/b",
    "quantity": 2,
    "price": 3.5,
    "currency": "EUR",
    "timestamp": "2026-11-24T08:00:00Z",
    "event_id": "order-1-1",
    "request_id": "01K",
    "context": {"page": "cart", "first": True, "n": 1},
}


@pytest.mark.parametrize(
    "event",
    [
        FULL,
        {"kind": "rate", "anonymous_id": "g", "item_id": "i", "value": 4.5, "event_id": "e",
         "timestamp": "2026-11-24T08:00:00.250Z"},
        {"kind": "search", "user_id": "u", "query": "oat milk", "event_id": "e",
         "timestamp": "1969-12-31T23:59:59Z"},
        {"kind": "impression", "user_id": "u", "item_ids": ["a", "b"], "event_id": "e",
         "timestamp": "2026-11-24T08:00:00Z"},
        {"kind": "view", "user_id": "u", "item_id": "i", "value": 3.0, "position": 4, "event_id": "e",
         "timestamp": "2026-11-24T08:00:00Z"},
    ],
)  # fmt: skip
def test_an_event_comes_back_as_it_was_sent(event):
    assert as_sent(row_of(event)) == event


def test_value_is_what_the_kind_is_measured_in():
    assert row_of(FULL).value == 2
    assert row_of({"kind": "purchase", "user_id": "u", "item_id": "i"}).value == 1
    assert row_of({"kind": "rate", "user_id": "u", "item_id": "i", "value": 4}).value == 4
    assert row_of({"kind": "dwell", "user_id": "u", "item_id": "i", "value": 30}).value == 30
    assert row_of({"kind": "view", "user_id": "u", "item_id": "i", "value": 30}).value == 1
    nothing = row_of({"kind": "dwell", "user_id": "u", "item_id": "i", "value": -0.0})
    assert math.copysign(1, nothing.value) == 1


def test_ids_are_given_derived_or_new():
    plain = {"kind": "view", "user_id": "u", "item_id": "i"}
    timed = {**plain, "timestamp": 1_700_000_000}
    assert row_of({**plain, "event_id": "mine"}).event_id == "mine"
    assert row_of(timed, row=1).event_id == row_of(timed, row=2, now=5).event_id
    assert row_of(timed).event_id != row_of({**timed, "item_id": "j"}).event_id
    assert row_of(plain).event_id != row_of(plain).event_id
    assert row_of(plain, now=5).time_ms == 5


def test_an_event_in_a_request_needs_no_user():
    assert row_of({"kind": "view", "item_id": "i"}, record=RecentEvent).user == ""


def test_a_name_in_the_context_that_no_log_could_hold_is_refused_in_few_words():
    """On AWS an event is one item of 400 KB at most, and good events would be lost with it."""
    with pytest.raises(InvalidInput) as caught:
        read(Event, {"kind": "view", "user_id": "u", "item_id": "i", "context": {"k" * 500_000: 1}})
    assert len(caught.value.detail) < 500


def test_context_that_json_cannot_hold_is_refused():
    event = {"kind": "view", "user_id": "u", "item_id": "i", "context": {"n": "\ud800"}}
    with pytest.raises(InvalidInput, match="context"):
        row_of(event)


def test_rows_fold_like_their_records():
    rows = [
        row_of(FULL),
        row_of({"kind": "search", "user_id": "u", "query": "tea", "event_id": "s"}),
    ]
    profile = profiles.fold(Profile.EMPTY, rows)
    assert profile == profiles.fold_events(
        Profile.EMPTY, profiles.as_events(rows), profiles.searches_in(rows)
    )
    assert profile.counted == 2
    assert [s.text for s in profile.searches] == ["tea"]
    assert profile.events["value"].tolist() == [2]


def test_one_key_on_two_classes_at_one_moment_has_one_order():
    """A guest and a user may use the same event id for different things."""
    view, buy = [(1, 7, 5, 0, KIND_CODE[kind], 1.0) for kind in ("view", "purchase")]
    assert content(folded(([view], []), ([buy], []))) == content(folded(([buy], []), ([view], [])))
    assert len(folded(([view, buy], [])).events) == 2
