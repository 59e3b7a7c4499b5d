"""Which queries a trace gives, what may be known then, and what was taken."""

import random

import numpy as np
import pytest

from windowshop.errors import InvalidInput
from windowshop.evaluate.protocol import (
    by_time,
    leave_last_out,
    lessons_of,
    trial_of,
    validation_of,
)
from windowshop.evaluate.trace import Draft
from windowshop.profile import EventRow
from windowshop.records import KIND_CODE, item_key

DAY = 86_400_000


def trace_of(*events, catalogue=(), owners=None):
    """(user, kind, item, day) or (user, kind, item, day, value), in the order of their rows."""
    draft = Draft()
    for row, (user, kind, item, day, *value) in enumerate(events):
        key = item_key("s", item) if item else 0
        draft.add(
            EventRow(
                user=user if ":" in user else f"u:{user}",
                event_id=f"e{row}",
                event_key=row + 1,
                kind=KIND_CODE[kind],
                time_ms=int(day * DAY),
                row=row,
                item_id=item,
                item_key=key,
                value=value[0] if value else 1.0,
                rest=b'{"query":"milk"}' if kind == "search" else None,
            )
        )
    return draft.finish(catalogue, owners)


def told(trial):
    """(user, day, taken, new) of every query."""
    trace = trial.trace
    return [
        (
            trace.users[query.user][2:],
            query.time / DAY,
            {trace.items[item] for item in query.truth},
            {trace.items[item] for item in query.new},
        )
        for query in trial.queries
    ]


def bought(user, *items):
    """One item a day from day 0 on."""
    return [(user, "purchase", item, day) for day, item in enumerate(items)]


# --- traces --------------------------------------------------------------------------------------


def test_a_trace_is_sorted_by_time_and_knows_items_that_only_events_name():
    trace = trace_of(
        ("b", "purchase", "tea", 2),
        ("a", "purchase", "milk", 1),
        ("a", "search", None, 3),
        catalogue=["milk", "rye"],
    )
    assert (trace.users, trace.items) == (["u:a", "u:b"], ["milk", "rye", "tea"])
    assert trace.listed.tolist() == [True, True, False]
    assert (trace.time // DAY).tolist() == [1, 2, 3]
    assert trace.item.tolist() == [0, 2, -1]
    assert trace.searches == {2: "milk"}


def test_rows_go_back_into_a_log_as_they_were():
    trace = trace_of(("a", "rate", "milk", 1, 4.5), ("a", "search", None, 2))
    rated, searched = trace.rows("s", [0, 1])
    assert (rated.user, rated.item_id, rated.item_key) == ("u:a", "milk", item_key("s", "milk"))
    assert (rated.value, rated.time_ms, rated.row, rated.event_key) == (4.5, DAY, 0, 1)
    assert (searched.item_id, searched.item_key, searched.rest) == (None, 0, b'{"query":"milk"}')


def test_a_guest_who_turned_out_to_be_a_user_is_that_user():
    trace = trace_of(("a:x", "view", "milk", 1), ("ann", "view", "tea", 2), owners={"a:x": "u:ann"})
    assert trace.users == ["u:ann"]
    assert len(trace.of(0)) == 2


def test_the_same_event_twice_is_one():
    draft = Draft()
    row = next(iter(trace_of(("a", "view", "milk", 1)).rows("s", [0])))
    draft.add(row)
    draft.add(row)
    assert len(draft.finish([])) == 1


@pytest.mark.parametrize(
    ("events", "positive"),
    [
        ([("a", "view", "x", 1), ("a", "purchase", "x", 2)], [False, True]),
        ([("a", "rate", "x", 1, 4.0), ("a", "rate", "y", 2, 3.9)], [True, False]),
        ([("a", "like", "x", 1), ("a", "click", "x", 2)], [True, False]),
        ([("a", "view", "x", 1), ("a", "click", "x", 2)], [True, True]),
        ([("a", "rate", "x", 1, 2.0), ("a", "view", "x", 2)], [False, True]),
        ([("a", "return", "x", 1), ("a", "dislike", "x", 2), ("a", "dwell", "x", 3)], [False] * 3),
    ],
)
def test_positive_are_strong_likings_and_only_without_any_views_and_clicks(events, positive):
    assert trace_of(*events).positive.tolist() == positive


# --- by time -------------------------------------------------------------------------------------


def test_the_split_is_the_time_at_four_fifths_of_the_positive_events():
    trace = trace_of(*bought("a", *"abcdefghij"), ("a", "view", "z", 7.5))
    trial = by_time(trace, 0.8, 1.0, None, 1)
    assert told(trial) == [("a", 8, {"i"}, {"i"}), ("a", 9, {"j"}, {"j"})]


def test_what_is_taken_at_one_moment_is_one_query():
    trace = trace_of(*bought("a", "x", "x", "x"), ("a", "purchase", "y", 3), ("a", "like", "x", 3))
    trial = by_time(trace, 0.8, 1.0, None, 1)
    assert told(trial) == [("a", 3, {"x", "y"}, {"y"})]


def test_new_is_what_the_user_never_had_any_event_with_but_impressions():
    trace = trace_of(
        *bought("a", "x", "x", "x", "x"),
        ("a", "view", "seen", 3.5),
        ("a", "impression", None, 3.6),
        ("b", "view", "shown", 3.7),
        ("a", "purchase", "seen", 4),
        ("a", "purchase", "shown", 4),
    )
    (query,) = told(by_time(trace, 0.8, 1.0, None, 1))
    assert query[2:] == ({"seen", "shown"}, {"shown"})


def test_only_the_first_ten_moments_of_a_user_are_asked():
    early = [("b", "purchase", "x", day / 1000) for day in range(60)]
    trace = trace_of(*early, *(("a", "purchase", "x", 1 + day) for day in range(15)))
    assert [day for _, day, _, _ in told(by_time(trace, 0.8, 1.0, None, 1))] == [*range(1, 11)]


def test_what_happens_at_the_moment_of_the_query_is_not_known():
    trace = trace_of(
        *bought("a", "x", "x", "x", "x"),
        ("b", "purchase", "y", 4),
        ("a", "view", "z", 4),
        ("a", "purchase", "x", 4),
    )
    mine, other = by_time(trace, 0.7, 1.0, None, 1).queries
    trial = by_time(trace, 0.7, 1.0, None, 1)
    assert (mine.time, other.time) == (4 * DAY, 4 * DAY)
    assert trial.until(4 * DAY) == 4
    for query, items in ((mine, {"x"}), (other, set())):
        assert {trace.items[item] for item in trial.seen(query)} == items
        assert {trace.items[trace.item[at]] for at in trial.own(query.user, query.time)} == items
    assert (trial.history(mine), trial.history(other)) == (4, 0)


def test_the_sample_is_drawn_from_the_list_by_user_then_time():
    events = [
        (f"u{user}", "purchase", "x", day + user / 100) for user in range(20) for day in range(30)
    ]
    trace = trace_of(*events)
    everything = by_time(trace, 0.8, 1.0, None, 7)
    pairs = sorted((trace.users[q.user], q.time) for q in everything.queries)
    random.seed(7)
    wanted = sorted(random.sample(pairs, 25), key=lambda pair: (pair[1], pair[0]))
    drawn = by_time(trace, 0.8, 1.0, 25, 7)
    assert [(trace.users[q.user], q.time) for q in drawn.queries] == wanted


def test_the_validation_ends_where_the_test_begins_and_knows_nothing_of_it():
    trace = trace_of(*bought("a", *"abcdefghij"))
    assert told(validation_of(trace, "time", None, 1)) == [
        ("a", 6, {"g"}, {"g"}),
        ("a", 7, {"h"}, {"h"}),
    ]
    assert validation_of(trace, "time", None, 1).known.tolist() == [True] * 8 + [False] * 2


@pytest.mark.parametrize(
    "events",
    [
        [("a", "purchase", "x", 1), ("b", "purchase", "y", 1)],  # no time goes by
        [("a", "search", None, 1)],
        [],
    ],
)
def test_without_times_or_likings_there_is_nothing_to_replay(events):
    with pytest.raises(InvalidInput, match=r"replay|leave-last-out"):
        trial_of(trace_of(*events), "time", None, 1)


# --- leave last out ------------------------------------------------------------------------------


def test_the_last_liking_of_every_user_is_hidden_and_all_before_it_known():
    trace = trace_of(
        *bought("a", "x", "y", "z"),
        ("a", "view", "w", 9),
        *bought("b", "y"),
        ("c", "view", "x", 5),
    )
    trial = leave_last_out(trace, 1, None, 1)
    assert sorted(told(trial)) == [("a", 2, {"z"}, {"z"}), ("b", 0, {"y"}, {"y"})]
    known = [
        (trace.users[trace.user[at]], trace.items[trace.item[at]])
        for at in np.flatnonzero(trial.known)
    ]
    assert known == [("u:a", "x"), ("u:a", "y"), ("u:c", "x")]
    assert trial.tasks == ("new",)


def test_a_last_liking_of_something_had_before_does_not_count():
    trial = leave_last_out(trace_of(*bought("a", "x", "y", "x")), 1, None, 1)
    assert told(trial) == [("a", 2, {"x"}, set())]


def test_rows_order_events_of_one_time():
    trace = trace_of(*(("a", "like", item, 0) for item in "cab"))
    assert told(leave_last_out(trace, 1, None, 1)) == [("a", 0, {"b"}, {"b"})]


def test_the_validation_hides_the_last_two():
    trace = trace_of(*bought("a", "x", "y", "z"), *bought("b", "y"))
    trial = validation_of(trace, "leave-last-out", None, 1)
    assert told(trial) == [("a", 1, {"y"}, {"y"})]
    assert [trace.items[trace.item[at]] for at in np.flatnonzero(trial.known)] == ["x"]


# --- lessons -------------------------------------------------------------------------------------


def test_what_is_learned_from_comes_before_what_is_asked():
    rows = [row for n in range(6) for row in bought(f"u{n}", *(f"i{n + k}" for k in range(20)))]
    trace = trace_of(*rows)
    for early, pick in ((False, trial_of), (True, validation_of)):
        lessons = lessons_of(trace, "time", 1, early=early)
        asked = pick(trace, "time", None, 1)
        assert max(q.time for q in lessons.queries) < min(q.time for q in asked.queries)
        lessons = lessons_of(trace, "leave-last-out", 1, early=early)
        asked = pick(trace, "leave-last-out", None, 1)
        last = {query.user: query.time for query in asked.queries}
        assert all(query.time < last[query.user] for query in lessons.queries)
        assert not lessons.known[~asked.known].any()


def test_a_trace_that_is_cut_knows_nothing_from_then_on():
    trace = trace_of(*bought("ann", "a", "b", "c"), ("bob", "search", None, 1.5))
    cut = trace.before(2 * DAY)
    assert cut.time.tolist() == [0, DAY, 1.5 * DAY]
    assert list(cut.searches.values()) == ["milk"]
    assert (cut.users, cut.items) == (trace.users, trace.items)
    assert trace.before(1).searches == {}
    assert len(trace.before(0)) == 0
