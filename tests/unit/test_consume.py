"""A queue's messages take effect, are retried, or are dead letters; none holds up another."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop import consume
from windowshop.errors import InvalidInput, Misconfigured, NotReady, Unavailable
from windowshop.records import Event, Receipt, Rejection

NOW = 1_800_000_000_000


class Recorder:
    """A shop that can only record, and fails for the users it is told to fail for."""

    def __init__(self, fails=None):
        self.fails = fails or {}
        self.calls = []
        self.seen = {}

    def record_many(self, store, batches):
        self.calls.append((store, [(len(events), received_ms) for events, received_ms in batches]))
        return [self.record(store, events) for events, _ in batches]

    def record(self, store, events):
        for event in events:
            if event.user_id in self.fails:
                raise self.fails[event.user_id]
        rejected = []
        for index, event in enumerate(events):
            if event.item_id == "refused":
                rejected.append(Rejection(index=index, code="invalid_input", detail="refused"))
            else:
                self.seen[store, event.user_id, event.event_id] = event
        return Receipt(accepted=len(events) - len(rejected), rejected=rejected)


def view(user="u", item="i", **more):
    return {
        "kind": "view",
        "user_id": user,
        "item_id": item,
        "event_id": f"e-{user}-{item}",
        **more,
    }


def queued(*events, store="default", received_ms=NOW):
    return {"store": store, "events": list(events), "received_ms": received_ms}


def test_messages_of_a_store_are_written_together_each_with_its_own_time():
    shop = Recorder()
    batch = [
        queued(view("a")),
        queued(view("b"), store="two"),
        queued(view("c"), received_ms=NOW + 5),
    ]

    assert [one.status for one in consume.events(shop, batch)] == ["ok", "ok", "ok"]
    assert shop.calls == [("default", [(1, NOW), (1, NOW + 5)]), ("two", [(1, NOW)])]


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        "x",
        {},
        {**queued(view()), "more": 1},
        {**queued(view()), "store": "No Store"},
        {**queued(view()), "store": ["default"]},
        {**queued(view()), "received_ms": "now"},
        {**queued(view()), "received_ms": True},
        {**queued(view()), "received_ms": 10**18},
        {**queued(view()), "events": []},
        {**queued(view()), "events": {}},
        {**queued(view()), "events": [view()] * 501},
        queued(1),
        queued({"kind": "viewed"}),
        queued({"kind": "view", "user_token": "t", "item_id": "i"}),
    ],
    ids=lambda bad: json.dumps(bad)[:40],
)
def test_a_bad_message_is_a_dead_letter_and_its_neighbours_are_taken(bad):
    shop = Recorder()
    before, dead, after = consume.events(shop, [queued(view("a")), bad, queued(view("b"))])

    assert (before.status, after.status) == ("ok", "ok")
    assert dead.status == "dead"
    assert dead.reason
    assert dead.letter == bad
    assert {user for _, user, _ in shop.seen} == {"a", "b"}


def test_a_bad_event_is_a_letter_of_its_own():
    shop = Recorder()
    refused, unreadable = view("a", "refused"), {"kind": "view"}
    (outcome,) = consume.events(shop, [queued(unreadable, view("a"), refused, view("b"))])

    assert outcome.status == "dead"
    assert outcome.letter == queued(unreadable, refused)
    assert [one.index for one in outcome.rejected] == [0, 2]
    assert outcome.reason == "view needs item_id; refused"
    assert {user for _, user, _ in shop.seen} == {"a", "b"}


def test_what_a_message_breaks_breaks_for_it_alone():
    shop = Recorder(
        {"bad": InvalidInput("no"), "odd": ValueError("anna"), "busy": NotReady("wait")}
    )
    users = ["a", "bad", "b", "odd", "c", "busy"]
    outcomes = consume.events(shop, [queued(view(user)) for user in users])

    assert [one.status for one in outcomes] == ["ok", "dead", "ok", "retry", "ok", "retry"]
    assert [one.fault for one in outcomes] == [False, False, False, True, False, False]
    assert outcomes[3].reason == "ValueError"
    assert outcomes[1].letter == queued(view("bad"))
    assert {user for _, user, _ in shop.seen} == {"a", "b", "c"}


def test_while_a_dependency_is_away_everything_of_the_store_waits():
    shop = Recorder({"a": Unavailable("no log")})
    outcomes = consume.events(
        shop, [queued(view("a")), queued(view("b")), queued(view("c"), store="x")]
    )

    assert [(one.status, one.reason) for one in outcomes] == [
        ("retry", "no log"),
        ("retry", "no log"),
        ("ok", None),
    ]
    assert len(shop.calls) == 2


def test_a_message_that_waits_is_not_a_letter_for_its_bad_event_yet():
    shop = Recorder({"a": Unavailable("no log")})
    message = queued({"kind": "view"}, view("a"))
    (outcome,) = consume.events(shop, [message])
    assert (outcome.status, outcome.letter, outcome.fault) == ("retry", None, False)

    shop.fails.clear()
    (outcome,) = consume.events(shop, [message])
    assert (outcome.status, outcome.letter) == ("dead", queued({"kind": "view"}))


def test_a_wrong_setting_stops_the_whole():
    with pytest.raises(Misconfigured):
        consume.events(Recorder({"a": Misconfigured("model")}), [queued(view("a"))])


def test_an_event_gets_its_id_and_time_before_it_is_queued():
    event = Event(kind="view", user_id="u", item_id="i")
    first, second = (consume.message("default", [event], NOW) for _ in range(2))
    shop = Recorder()
    consume.events(shop, [first, first, second])

    assert len(shop.seen) == 2
    assert {event.timestamp for event in shop.seen.values()} == {NOW}


def test_an_id_that_follows_from_the_fields_is_left_to_follow():
    event = Event(kind="view", user_id="u", item_id="i", timestamp="2026-11-24T08:00:00.123Z")
    (row,) = consume.message("default", [event], NOW)["events"]

    assert "event_id" not in row
    assert Event(**row) == event


@given(
    st.lists(
        st.builds(
            Event,
            kind=st.sampled_from(["view", "like"]),
            user_id=st.just("u"),
            item_id=st.just("i"),
            event_id=st.just("e"),
            timestamp=st.integers(-(10**10), 10**10),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_message_survives_json(some):
    made = json.loads(json.dumps(consume.message("default", some, NOW)))

    assert [Event(**row) for row in made["events"]] == some


@given(
    st.lists(
        st.recursive(
            st.none() | st.text() | st.integers(),
            lambda i: (
                st.lists(i)
                | st.dictionaries(st.sampled_from(["store", "events", "received_ms", "kind"]), i)
            ),
        ),
        max_size=4,
    )
)
def test_whatever_a_queue_holds_every_message_has_an_outcome(batch):
    outcomes = consume.events(Recorder(), batch)

    assert len(outcomes) == len(batch)
    assert all(one.status == "dead" and one.reason for one in outcomes)
