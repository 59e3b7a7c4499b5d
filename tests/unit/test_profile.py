"""Profiles: folding is a semilattice, exactly; what is read from them agrees with plain arithmetic."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop import profile as profiles
from windowshop.errors import InvalidInput, Misconfigured
from windowshop.profile import EVENT, Limits, Profile, SearchEvent, Weights, as_sent, event_row
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
    tail = profiles.unpack_tail(profiles.pack(profile)["tail"])
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
    assert len(profiles.unpack_tail("QUJD")) == 0


# --- reading -------------------------------------------------------------------------------------


def test_seen_and_recently_viewed():
    profile = events_of([("view", 3), ("purchase", 9), ("click", 2), ("view", 3), ("dwell", 5)])
    assert profiles.seen(profile).tolist() == [2, 3, 5, 9]
    assert profiles.recently_viewed(profile).tolist() == [5, 3, 2]
    assert profiles.last_kind(profile, 3) == KIND_CODE["view"]
    assert profiles.last_kind(profile, 9) == KIND_CODE["purchase"]
    assert profiles.last_kind(profile, 77) is None


@given(batch, st.integers(0, 20))
def test_habit_against_plain_arithmetic(rows, now):
    """Decayed counts of purchases; without any, of other positive strong kinds; then of visits."""
    profile = folded(rows, limits=profiles.LIMITS)
    weigh = dict(zip(range(len(profile.events)), Weights().weigh(profile.events), strict=True))
    named = [(KINDS[e["kind"]], e, weigh[n]) for n, e in enumerate(profile.events)]
    for wanted in (
        lambda kind, _: kind == "purchase",
        lambda kind, weight: kind in STRONG and weight > 0,
        lambda kind, _: kind in {"view", "click"},
    ):
        chosen = [(e, 1) for kind, e, weight in named if wanted(kind, weight)]
        if chosen:
            break
    else:
        assert profiles.habit(profile, now).basis is None
        return
    chosen += [(e, -1) for kind, e, _ in named if kind == "return"]
    scores, counts, last = defaultdict(float), defaultdict(int), {}
    for e, sign in chosen:
        item = int(e["item"])
        scores[item] += sign * 2 ** (-max(now - int(e["time"]), 0) / DAY / 0.0001)
        if sign > 0:
            counts[item] += 1
            last[item] = max(last.get(item, -9), int(e["time"]))
    found = profiles.habit(profile, now, half_life_days=0.0001)
    expected = [item for item in sorted(last) if scores[item] > 1e-7]
    assert found.keys.tolist() == expected
    assert found.scores == pytest.approx([scores[item] for item in expected], rel=1e-5)
    assert found.counts.tolist() == [counts[item] for item in expected]
    assert found.last_ms.tolist() == [last[item] for item in expected]


def test_a_return_takes_back_a_purchase():
    profile = events_of([("purchase", 1), ("purchase", 2), ("purchase", 2), ("return", 1)])
    assert profiles.habit(profile, 4 * DAY).keys.tolist() == [2]
    assert profiles.repeats(profile) == {2: (2, KIND_CODE["purchase"])}


def test_habit_says_what_it_rests_on():
    assert profiles.habit(events_of([("view", 1), ("purchase", 2)]), 0).basis == "purchase"
    assert profiles.habit(events_of([("view", 1), ("rate", 2, 5)]), 0).basis == "strong"
    assert profiles.habit(events_of([("view", 1), ("rate", 2, 1)]), 0).basis == "weak"
    assert profiles.habit(Profile.EMPTY, 0).basis is None


def test_history_against_plain_arithmetic():
    profile = events_of(
        [("purchase", 7), ("view", 8), ("purchase", 7), ("dislike", 9), ("like", 3)]
    )
    now = 10 * DAY
    counts = {
        7: 2 ** (-10 / 120) + 2 ** (-8 / 120),
        8: 0.2 * 2 ** (-9 / 120),
        3: 0.8 * 2 ** (-6 / 120),
    }
    logs = {item: math.log1p(count) for item, count in counts.items()}
    norm = math.sqrt(sum(value**2 for value in logs.values()))
    found = profiles.history(profile, now)
    assert found.indices.tolist() == [3, 7, 8]
    assert found.values.tolist() == pytest.approx([logs[i] / norm for i in (3, 7, 8)], rel=1e-6)
    assert found.values.dtype == np.float32


def test_history_has_one_weight_an_index():
    """Two keys that share their low 32 bits meet in one dimension."""
    profile = events_of([("purchase", 5), ("purchase", 5 + 2**32), ("purchase", 6)])
    found = profiles.history(profile, 0)
    assert found.indices.tolist() == [5, 6]
    assert np.linalg.norm(found.values) == pytest.approx(1)
    assert found.values[0] > found.values[1]
    assert len(profiles.history(Profile.EMPTY, 0).indices) == 0


# --- weights -------------------------------------------------------------------------------------


def test_weights_by_kind_and_value():
    weights = Weights()
    profile = events_of(
        [("rate", 1, 5), ("rate", 2, 3), ("rate", 3, 1), ("dwell", 4, 0), ("like", 5)]
    )
    assert weights.weigh(profile.events).tolist() == [4, 0, -4, 0, 4]
    dwells = events_of([("dwell", 1, 5), ("dwell", 2, 60), ("dwell", 3, 600), ("dwell", 4, 86_400)])
    short, long, capped, left_open = weights.weigh(dwells.events).tolist()
    assert 0 < short < long < capped == left_open
    assert weights.gain(profile.events).tolist() == pytest.approx([0.8, 0, 0, 0, 0.8])


def test_weights_are_configurable():
    weights = Weights().replaced({"view": 3, "return": -1})
    assert (weights.view, weights.return_, weights.purchase) == (3, -1, 5)
    assert weights.weigh(events_of([("view", 1), ("return", 2)]).events).tolist() == [3, -1]
    with pytest.raises(Misconfigured, match="veiw"):
        weights.replaced({"veiw": 1})


# --- tastes --------------------------------------------------------------------------------------

DIM = 8


def near(axis, wobble=0.0, other=7):
    vector = np.zeros(DIM, np.float32)
    vector[axis], vector[other] = 1, wobble
    return vector / np.linalg.norm(vector)


def test_nothing_known_is_no_taste():
    assert len(profiles.tastes(Profile.EMPTY, {}, {}).vectors) == 0
    unknown = profiles.tastes(events_of([("view", 1), ("view", 2)]), {}, {})
    assert (len(unknown.vectors), unknown.mean, unknown.missing) == (0, None, 2)


def test_one_interest_where_all_is_alike():
    profile = events_of([("purchase", 1), ("view", 2), ("like", 3)])
    vectors = {1: near(0, 0.1), 2: near(0, 0.2), 3: near(0, -0.1)}
    found = profiles.tastes(profile, vectors, {})
    assert found.vectors.shape == (1, DIM)
    assert found.weights.tolist() == [1]
    assert sorted(found.items[0].tolist()) == [1, 2, 3]
    assert found.vectors[0] == pytest.approx(found.mean, abs=1e-6)


def test_several_interests_and_not_one_blurred_mean():
    profile = events_of([("purchase", 1), ("purchase", 2), ("view", 3), ("view", 4)], step=1)
    found = profiles.tastes(profile, {1: near(0), 2: near(0, 0.2), 3: near(3), 4: near(3)}, {})
    assert found.vectors.shape == (2, DIM)
    assert found.vectors[0] @ near(0) > 0.99
    assert found.vectors[1] @ near(3) > 0.99
    assert found.weights == pytest.approx([10 / 12, 2 / 12], abs=1e-4)
    assert [sorted(keys.tolist()) for keys in found.items] == [[1, 2], [3, 4]]
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx([1, 1])


def test_at_most_as_many_interests_as_asked_for():
    profile = events_of([("like", n) for n in range(1, 7)])
    vectors = {n: near(n - 1) for n in range(1, 7)}
    assert len(profiles.tastes(profile, vectors, {}, max_interests=2).vectors) == 2


def test_what_was_disliked_is_taken_out_of_the_nearest_interest():
    likes = [("purchase", 1), ("purchase", 2)]
    vectors = {1: near(0, 0.5), 2: near(3), 9: near(0, 0.9)}
    before = profiles.tastes(events_of([*likes, ("view", 9)]), vectors, {})
    after = profiles.tastes(events_of([*likes, ("remove_from_cart", 9)]), vectors, {})

    def interest(found, axis):
        return found.vectors[np.argmax(found.vectors @ near(axis))]

    assert interest(after, 0) @ vectors[9] < interest(before, 0) @ vectors[9]
    assert interest(after, 3) == pytest.approx(near(3))


def test_what_was_bought_and_then_disliked_is_no_interest():
    profile = events_of([("like", 1), ("purchase", 2), ("dislike", 1)])
    found = profiles.tastes(profile, {1: near(0), 2: near(3)}, {})
    assert found.vectors.shape == (1, DIM)
    assert found.vectors[0] == pytest.approx(near(3))
    nothing = profiles.tastes(events_of([("view", 1), ("dislike", 1)]), {1: near(0)}, {})
    assert len(nothing.vectors) == 0


def test_searches_count_like_items():
    profile = profiles.fold_events(Profile.EMPTY, records([]), [SearchEvent(0, 0, 1, "oat milk")])
    found = profiles.tastes(profile, {}, {"oat milk": near(2)})
    assert found.mean == pytest.approx(near(2))
    pull = profiles.pulls(profile)
    assert pull.queries == ["oat milk"]
    assert pull.kinds.tolist() == [KIND_CODE["search"]]


def test_newer_events_weigh_more():
    profile = events_of([("purchase", 1), ("purchase", 2)], step=30 * DAY)
    found = profiles.tastes(profile, {1: near(0), 2: near(3)}, {}, half_life_days=30)
    assert found.weights == pytest.approx([2 / 3, 1 / 3])
    assert found.items[0].tolist() == [2]


@given(st.lists(event, min_size=1, max_size=12), st.integers(0, 10**12))
def test_tastes_depend_on_neither_clock_nor_order(rows, shift):
    vectors = {n: near(n - 1, 0.3) for n in range(1, 6)}
    plain = profiles.tastes(folded((rows, [])), vectors, {})
    moved = [(i, k, t + shift, r, c, v) for i, k, t, r, c, v in reversed(rows)]
    later = profiles.tastes(folded((moved, [])), vectors, {})
    assert plain.vectors.tobytes() == later.vectors.tobytes()
    assert plain.weights.tobytes() == later.weights.tobytes()


def test_pulls_name_the_event_that_weighs_most():
    profile = events_of([("view", 1), ("purchase", 1), ("view", 1), ("view", 2)], step=1)
    pull = profiles.pulls(profile)
    assert pull.items.tolist() == [2, 1]
    assert [KINDS[kind] for kind in pull.kinds] == ["view", "purchase"]
    assert pull.weights.tolist() == pytest.approx([1, 7], abs=1e-5)


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


def test_context_that_json_cannot_hold_is_refused():
    event = {"kind": "view", "user_id": "u", "item_id": "i", "context": {"n": 2**70}}
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
