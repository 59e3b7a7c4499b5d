"""What every place for dead letters must do: the log's file, and the dead-letter queues."""

from functools import partial

import boto3
import pytest

from tests.contract.sqs import Time, sqs_queue
from windowshop.aws.letters import NO_REASON, Box, QueueLetters, about
from windowshop.consume import group_of
from windowshop.errors import InvalidInput, Misconfigured, NotFound, NotReady
from windowshop.log.sqlite import SqliteLog
from windowshop.queues import LocalQueue, Outgoing
from windowshop.records import new_id, user_key

NOW = 1_700_000_000_000
NAMES = ("catalogue", "embed", "embed-bulk", "events")


def event(user="ann", **more):
    return {"kind": "view", "user_id": user, "item_id": "i1", **more}


def message(*events, store="acme", received_ms=NOW):
    return {"store": store, "events": list(events), "received_ms": received_ms}


def over_queues(make):
    boxes = [Box(name, make(fifo=name == "events"), make(fifo=name == "events")) for name in NAMES]
    return QueueLetters(boxes, lambda: NOW)


@pytest.fixture(params=["local", "sqs"])
def queues(request):
    """Letters that stand in dead-letter queues."""
    if request.param == "local":
        clock = Time()
        return over_queues(lambda fifo: LocalQueue(clock, fifo=fifo))
    request.getfixturevalue("aws")
    return over_queues(partial(sqs_queue, boto3.client("sqs")))


@pytest.fixture(params=["sqlite", "local", "sqs"])
def kept(request, tmp_path):
    if request.param == "sqlite":
        log = SqliteLog(tmp_path / "log.sqlite")
        yield log
        log.close()
        return
    if request.param == "sqs":
        request.getfixturevalue("aws")
        yield over_queues(partial(sqs_queue, boto3.client("sqs")))
        return
    clock = Time()
    yield over_queues(lambda fifo: LocalQueue(clock, fifo=fifo))


def ids(letters):
    return [letter.id for letter in letters]


# --- every place ---------------------------------------------------------------------------------


def test_a_letter_is_kept_with_its_reason(kept):
    body = message(event(item_id="ü"))
    letter_id = kept.add_letter("acme", "u:ann", NOW + 7, "no such\nkind: “veiw”", body)
    for found in (kept.letter("acme", letter_id), *kept.letters("acme")):
        assert (found.id, found.store, found.received_ms) == (letter_id, "acme", NOW + 7)
        assert found.reason.replace("\n", " ") == "no such kind: “veiw”"
        assert found.body == body
        assert found.user
    assert kept.letter("acme", letter_id).id == letter_id  # to look takes nothing away


def test_letters_are_listed_oldest_first_and_page_by_page(kept):
    made = [
        kept.add_letter("acme", None, NOW + n, f"r{n}", message(event(f"u{n}"))) for n in range(23)
    ]
    other = kept.add_letter("other", None, NOW, "r", message(event(), store="other"))
    assert ids(kept.letters("acme")) == made
    assert ids(kept.letters("acme", limit=5)) == made[:5]
    assert ids(kept.letters("acme", after=made[4], limit=7)) == made[5:12]
    assert ids(kept.letters("acme", after=made[-1])) == []
    assert ids(kept.letters("other")) == [other]
    assert kept.letters("nobody") == []
    assert kept.count_letters("acme") >= 23


def test_only_a_letter_of_the_store_is_found(kept):
    made = kept.add_letter("acme", None, NOW, "r", message(event()))
    for store, letter_id in (("other", made), ("acme", made + "9"), ("acme", "x"), ("acme", "")):
        with pytest.raises(NotFound, match="dead-letters list"):
            kept.letter(store, letter_id)


def test_what_is_deleted_is_gone(kept):
    made = [kept.add_letter("acme", None, NOW + n, "r", message(event())) for n in range(3)]
    assert kept.delete_letters("acme", []) == 0
    assert kept.delete_letters("other", made) == 0
    assert kept.delete_letters("acme", [made[0], made[2], "events/never", "999"]) == 2
    assert ids(kept.letters("acme")) == [made[1]]
    with pytest.raises(NotFound):
        kept.letter("acme", made[0])


def test_the_letters_of_the_forgotten_are_deleted(kept):
    for n in range(3):
        kept.add_letter("acme", "u:ann", NOW + n, "r", message(event("ann")))
    kept.add_letter("acme", "a:g", NOW, "r", message({"kind": "view", "anonymous_id": "g"}))
    theirs = kept.add_letter("acme", "u:bob", NOW, "r", message(event("bob")))
    other = kept.add_letter("other", "u:ann", NOW, "r", message(event("ann"), store="other"))
    assert kept.delete_letters_of("acme", ["u:ann", "a:g", "u:nobody"]) == 4
    assert ids(kept.letters("acme")) == [theirs]
    assert ids(kept.letters("other")) == [other]


def test_a_letter_has_bounds(kept):
    long = kept.add_letter("acme", None, NOW, "x" * 5_000, message(event()))
    assert len(kept.letter("acme", long).reason) == 1_000
    for bad in ({"text": "x" * 2_000_000}, {"set": {1, 2}}):
        with pytest.raises(InvalidInput):
            kept.add_letter("acme", None, NOW, "r", bad)


# --- the queues ----------------------------------------------------------------------------------


def box(letters, name):
    return next(one for one in letters._boxes if one.name == name)


def bury(letters, name, body, **attributes):
    """As a function does it, or (without a reason) SQS itself."""
    queue = box(letters, name).letters
    assert queue.send([Outgoing(body, "g", new_id(1), attributes)]) == []


def test_letters_of_all_four_queues_are_listed(queues):
    created = {"detail": {"object": {"key": "catalog/acme/full/items.csv", "version-id": "v"}}}
    job = {"store": "acme", "run": "r", "chunk": "chunks/acme/r/00000.jsonl", "sent_ms": NOW}
    bury(queues, "catalogue", created)
    bury(queues, "embed", job, reason="the chunk is gone", store="acme")
    bury(queues, "embed-bulk", {**job, "store": "other"})
    bury(queues, "events", message(event()), reason="no such kind", store="acme")
    found = {letter.id.partition("/")[0]: letter for letter in queues.letters("acme")}
    assert found.keys() == {"catalogue", "embed", "events"}
    assert found["catalogue"].reason == NO_REASON
    assert found["catalogue"].body == created
    assert found["embed"].reason == "the chunk is gone"
    assert found["events"].user == user_key("acme", "u:ann")
    assert found["events"].received_ms == NOW
    assert ids(queues.letters("other")) == [
        letter.id for letter in queues.letters("other") if letter.id.startswith("embed-bulk/")
    ]
    assert queues.count_letters("acme") == 4
    for letter in found.values():
        assert queues.letter("acme", letter.id) == letter


def test_a_letter_of_no_store_is_shown_with_every_one(queues):
    bury(queues, "events", {"unreadable": "not {json"}, reason="no message")
    for store in ("acme", "other"):
        [letter] = queues.letters(store)
        assert (letter.store, letter.body) == ("", {"unreadable": "not {json"})
    assert queues.send_back("acme", [letter.id]) == {letter.id: "no function can read it"}
    assert queues.delete_letters("other", [letter.id]) == 1


def test_a_retried_letter_is_in_its_queue_again_and_a_letter_no_more(queues):
    bodies = [message(event(f"u{n}")) for n in range(3)]
    for body in bodies:
        bury(queues, "events", body, reason="r")
    job = {"store": "acme", "keys": ["1"], "sent_ms": NOW}
    bury(queues, "embed", job)
    wanted = [letter for letter in queues.letters("acme") if letter.body != bodies[1]]
    assert queues.send_back("acme", ids(wanted)) == dict.fromkeys(ids(wanted))
    assert [letter.body for letter in queues.letters("acme")] == [bodies[1]]
    again = {one.group: one.body for one in box(queues, "events").source.receive()}
    groups = [group_of("acme", user_key("acme", f"u:u{n}")) for n in (0, 2)]
    assert again == dict(zip(groups, [bodies[0], bodies[2]], strict=True))
    [embed] = box(queues, "embed").source.receive()
    assert embed.body == job


def test_what_fails_again_may_be_retried_again_at_once(queues):
    """Within the five minutes in which a FIFO queue takes a message for the one it had."""
    source = box(queues, "events").source
    for _ in range(2):
        bury(queues, "events", message(event()), reason="r")
        [letter] = queues.letters("acme")
        assert queues.send_back("acme", [letter.id]) == {letter.id: None}
        received = source.receive()
        assert [one.body for one in received] == [message(event())]
        source.delete(received)


def test_one_missing_letter_is_told_after_the_others_were_sent(queues):
    bury(queues, "events", message(event()))
    [letter] = queues.letters("acme")
    with pytest.raises(NotFound, match="events/never"):
        queues.send_back("acme", [letter.id, "events/never"])
    assert queues.letters("acme") == []
    with pytest.raises(NotFound):
        queues.send_back("acme", [letter.id])


def test_a_group_with_many_letters_shows_a_few_at_a_time_and_is_burnt_whole(queues):
    for n in range(12):
        bury(queues, "events", message(event(n=n)))
    shown = len(queues.letters("acme"))
    assert 1 <= shown <= 12
    assert queues.count_letters("acme") == 12
    assert len(queues.letters("acme")) == shown  # handed back in full
    assert queues.delete_letters_of("acme", ["u:ann"]) == 12
    assert queues.count_letters("acme") == 0


def test_a_list_that_changed_between_two_pages_says_so(queues):
    bury(queues, "events", message(event()))
    with pytest.raises(NotReady, match="again"):
        queues.letters("acme", after="events/gone")


def test_a_message_that_is_not_json_is_shown_as_text(aws):
    letters = over_queues(sqs_queue)
    events = box(letters, "catalogue").letters
    boto3.client("sqs").send_message(QueueUrl=events.url, MessageBody="<xml/>")
    [letter] = letters.letters("acme")
    assert letter.body == {"unreadable": "<xml/>"}


def test_a_process_that_knows_no_queues_has_no_letters():
    letters = QueueLetters([], lambda: NOW)
    assert letters.letters("acme") == []
    assert letters.count_letters("acme") == 0
    assert letters.delete_letters_of("acme", ["u:ann"]) == 0
    with pytest.raises(Misconfigured, match="WINDOWSHOP_EVENTS_LETTERS"):
        letters.add_letter("acme", None, NOW, "r", message(event()))


@pytest.mark.parametrize(
    ("body", "store", "users"),
    [
        (message(event("ann"), event("bob"), event("ann")), "acme", ["u:ann", "u:bob"]),
        (message({"kind": "view", "anonymous_id": "g"}), "acme", ["a:g"]),
        ({"store": "acme", "events": [1, {"user_id": 7}, {"user_id": "\n"}]}, "acme", []),
        ({"store": "acme", "events": "none"}, "acme", []),
        ({"store": "NO", "events": [event()]}, None, []),
        ({"store": 7}, None, []),
        ({"detail": {"object": {"key": "catalog/acme/a.csv"}}}, "acme", []),
        ({"detail": {"object": {"key": "catalog/a.csv"}}}, None, []),
        ({"detail": {"object": "key"}}, None, []),
        ({}, None, []),
    ],
)
def test_whom_a_message_is_about(body, store, users):
    assert about(body) == (store, tuple(user_key("acme", user) for user in users))
