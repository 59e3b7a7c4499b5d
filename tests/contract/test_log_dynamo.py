"""The log in DynamoDB: what DynamoDB does to it, what lies in the table, and what it costs."""

import itertools
import threading
from collections import Counter

import pytest
from botocore.exceptions import ClientError

from tests.contract.events import NOW, row, rows
from tests.contract.interrupted import WRITES, Client, check, prepared, replayed, stores
from windowshop.aws.log.layout import number, partition
from windowshop.aws.log.table import Table
from windowshop.errors import InvalidInput, Unavailable
from windowshop.records import user_key

# --- what DynamoDB does -------------------------------------------------------------------------


def test_a_call_that_is_sent_twice_is_done_once(dynamodb, open_log):
    """boto3 sends a call again when the answer does not come; the first may have been done."""

    def twice(real, operation, asked):
        real(**asked)
        return real(**asked)

    for at in itertools.count(1):
        store, log, before, new, since = prepared(open_log)
        client = Client(dynamodb, at, twice)
        appended = open_log(client).append(store, new, NOW + 5)
        assert (sum(appended.new), appended.duplicates) == (9, 4)
        check(log, store, before + new, since)
        if client.calls < at:
            return


def test_what_is_throttled_is_tried_again_and_then_unavailable(dynamodb, open_log):
    error = {"Error": {"Code": "ThrottlingError", "Message": "slow down"}}

    class Throttled:
        """Of every batch only the first is taken; after `calls` nothing is."""

        def __init__(self, calls):
            self.left = calls

        def __getattr__(self, operation):
            real = getattr(dynamodb, operation)

            def call(**asked):
                self.left -= 1
                if operation == "batch_execute_statement":
                    some = asked["Statements"][: 1 if self.left > 0 else 0]
                    answer = real(Statements=some) if some else {"Responses": []}
                    answer["Responses"] += [error] * (len(asked["Statements"]) - len(some))
                    return answer
                if operation == "batch_get_item" and self.left % 2:
                    return {"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}
                return real(**asked)

            return call

    store, log, before, new, since = prepared(open_log)
    assert sum(open_log(Throttled(10_000)).append(store, new[:7], NOW).new) == 4 + 2 - 2
    with pytest.raises(Unavailable):
        open_log(Throttled(4)).append(store, new, NOW)
    log.append(store, new, NOW)
    check(log, store, before + new, since)


def test_a_refused_call_is_one_of_our_errors(dynamodb, open_log):
    def refuse(real, operation, asked):
        error = {"Code": "ProvisionedThroughputExceededException", "Message": "too much"}
        raise ClientError({"Error": error}, operation)

    for at in range(1, 7):
        store, log, before, new, since = prepared(open_log)
        with pytest.raises(Unavailable):
            open_log(Client(dynamodb, at, refuse)).append(store, new, NOW + 5)
        log.append(store, new, NOW + 5)
        check(log, store, before + new, since)


def test_conflicting_transactions_are_tried_again(dynamodb, open_log):
    refused = []

    def conflict(real, operation, asked):
        refused.append(operation)
        code = "TransactionCanceledException"
        reasons = [{"Code": "TransactionConflict"}, *[{"Code": "None"}] * 3]
        raise ClientError({"Error": {"Code": code}, "CancellationReasons": reasons}, operation)

    store = next(stores)
    assert open_log(Client(dynamodb, 1, conflict)).link(store, "u:ann", "a:g") is True
    assert refused == ["transact_write_items"]
    assert open_log().link(store, "u:ann", "a:g") is False


def test_an_error_is_raised_when_nothing_is_at_work_any_more():
    table, done, slow = Table(lambda: None, "none"), [], threading.Event()

    def work(n):
        if n == 0:
            raise Unavailable("first")
        slow.wait(0.05)
        done.append(n)

    with pytest.raises(Unavailable, match="first"):
        table.each(work, range(100))
    seen = len(done)
    table.close()
    assert seen == len(done) < 99


def test_every_page_is_read(dynamodb, open_log):
    class Paged:
        """Two items a page, and half of what is asked for at once."""

        def __getattr__(self, operation):
            real = getattr(dynamodb, operation)

            def call(**asked):
                if operation in {"query", "scan"}:
                    return real(**asked, Limit=2)
                if operation == "batch_get_item":
                    ((name, wanted),) = asked["RequestItems"].items()
                    keys = wanted["Keys"]
                    some, left = keys[: len(keys) // 2 + 1], keys[len(keys) // 2 + 1 :]
                    answer = real(RequestItems={name: {**wanted, "Keys": some}})
                    if left:
                        answer["UnprocessedKeys"] = {name: {**wanted, "Keys": left}}
                    return answer
                return real(**asked)

            return call

    store, _, before, new, since = prepared(open_log)
    paged = open_log(Paged())
    paged.append(store, new, NOW)
    for n in range(5):
        paged.link(store, "u:eve", f"a:{n}")
    assert len(paged.links_of(store, "u:eve")) == 5
    check(paged, store, before + new, since)
    assert len(paged.users(store)) == 9
    assert sorted(item for _, item, _ in paged.items(store)) == [f"i{n}" for n in range(5)]
    assert len(list(paged.rows(store))) == 12
    paged.forget(store, "u:eve", NOW + 10, "e1")
    assert sorted(paged.users(store)) == ["a:g", "u:ann", "u:bob"]
    paged.forget(store, "u:ann", NOW + 10, "e2")
    assert paged.users(store) == ["u:bob"]
    assert paged.held(store, ["u:ann", "a:g"]) == 0


def test_more_users_than_one_call_takes(open_log):
    store, log = next(stores), open_log()
    log._table._inside.here = False
    many = [row(f"u:{n}", event_id="x", store=store) for n in range(130)]
    assert all(log.append(store, many, NOW).new)
    users = [f"u:{n}" for n in range(130)]
    assert log.users(store) == log.unfolded(store) == users
    folded = log.refold(store, users)
    log.mark_folded(store, {user: one.version for user, one in folded.items()})
    assert log.unfolded(store) == []
    assert log.append(store, many, NOW).duplicates == 130


def test_a_guest_with_many_owners(open_log):
    store, log = next(stores), open_log()
    owners = sorted(f"u:{n}" for n in range(35))
    for owner in owners:
        log.link(store, owner, "a:kiosk")
    log.mark_folded(
        store, {user: one.version for user, one in log.standings(store, owners).items()}
    )
    log.append(store, rows(2, "a:kiosk", store=store), NOW)
    assert sorted(log.unfolded(store)) == ["a:kiosk", *owners]
    assert log.owners_of(store, ["a:kiosk"]) == owners
    gone = log.forget(store, "a:kiosk", NOW, "e1")
    assert (gone.users, gone.owners) == (("a:kiosk",), tuple(owners))
    assert log.owners_of(store, ["a:kiosk"]) == []
    assert {one.guests for one in log.standings(store, owners).values()} == {()}


# --- what lies in the table ----------------------------------------------------------------------


def test_keys_hold_no_ids_and_a_tombstone_no_name(dynamodb, table, open_log):
    log = open_log()
    some = [row("u:ann.smith", event_id="e", item="milk"), row("a:phone-7", event_id="e")]
    log.append("default", some, NOW)
    log.link("default", "u:ann.smith", "a:phone-7")
    log.link("default", "u:bob", "a:phone-7")
    items = dynamodb.scan(TableName=table)["Items"]
    keys = " ".join(item[name]["S"] for item in items for name in ("pk", "sk"))
    assert "ann" not in keys
    assert "phone" not in keys
    log.forget("default", "u:ann.smith", NOW + 1, "e1")
    left = dynamodb.scan(TableName=table)["Items"]
    assert "ann" not in str(left)
    assert "phone" not in str(left)
    assert "milk" not in str(left)
    fed = [item for item in left if item["pk"]["S"].startswith("f/")]
    assert [item["users"]["B"] for item in fed] == [b""]
    tombs = [item for item in left if "forgotten" in item]
    assert {frozenset(tomb) for tomb in tombs} == {
        frozenset({"pk", "sk", "forgotten", "last", "version"})
    }


def test_events_of_others_stay_in_the_feed_when_one_is_forgotten(open_log):
    store, log = next(stores), open_log()
    since = log.append(store, [], NOW).seq
    many = [*rows(3, store=store), *rows(2, "u:bob", store=store), *rows(2, "u:cat", store=store)]
    log.append(store, many, NOW)
    log.forget(store, "u:ann", NOW, "e1")
    assert sum(replayed(log, store, since).values()) == 4
    log.forget(store, "u:bob", NOW, "e2")
    (part,) = log.replay_since(store, since)
    assert set(part.users.tolist()) == {number(user_key(store, "u:cat"))}


def test_dynamodb_deletes_what_is_older_than_the_retention(dynamodb, table, open_log):
    store = next(stores)
    log = open_log(retention_days=30)
    log.append(store, rows(5, store=store), NOW)
    log.append(store, rows(1, "u:bob", store=store), NOW)
    old = []
    for item in dynamodb.scan(TableName=table)["Items"]:
        if item["sk"]["S"].startswith("e/"):
            assert int(item["expires"]["N"]) == int(item["time"]["N"]) // 1000 + 30 * 86_400
            if int(item["time"]["N"]) < NOW + 2 and item["pk"]["S"].endswith(
                user_key(store, "u:ann")
            ):
                old.append({name: item[name] for name in ("pk", "sk")})
    for key in old:
        dynamodb.delete_item(TableName=table, Key=key)
    assert log.expire(store, NOW) == 0
    assert log.counts_of(store, ["u:ann"]) == {"u:ann": 5}
    assert log.expire(store, NOW + 2) == 2 + 1
    assert log.counts_of(store, ["u:ann", "u:bob"]) == {"u:ann": 3, "u:bob": 0}
    assert log.count(store) == 3


def test_a_fold_sees_what_dynamodb_deleted(dynamodb, table, open_log):
    store, log = next(stores), open_log(retention_days=30)
    log.append(store, rows(3, store=store), NOW)
    key = partition(store, user_key(store, "u:ann")), f"e/{rows(1, store=store)[0].event_key:016x}"
    dynamodb.delete_item(TableName=table, Key={"pk": {"S": key[0]}, "sk": {"S": key[1]}})
    assert log.refold(store, ["u:ann"])["u:ann"].profile.counted == 2
    assert log.standings(store, ["u:ann"])["u:ann"].events == 2


def test_a_large_event_is_kept_and_one_that_is_too_large_is_refused_before_anything_is_written(
    open_log,
):
    store, log = next(stores), open_log()
    names = ["".join(chr(0x1F600 + (n * 7 + k * 13) % 60) for k in range(128)) for n in range(500)]
    large = row(kind="impression", item=None, event_id="large", item_ids=names, store=store)
    assert len(large.rest) > 250_000
    log.append(store, [large], NOW)
    (event,), _ = log.export(store, ["u:ann"], None, 10)
    assert event["item_ids"] == names
    noise = b"".join((n**5 % 2**61).to_bytes(8, "big") for n in range(1_000_000, 1_060_000))
    huge = row(event_id="huge", store=store)._replace(rest=b'{"noise": "%s"}' % noise)
    with pytest.raises(InvalidInput, match="KB"):
        log.append(store, [*rows(1, store=store), huge], NOW)
    assert log.count(store) == 1


# --- what it costs -------------------------------------------------------------------------------


class Metered:
    """Adds up the units that the calls took: of writes, of reads."""

    def __init__(self, real):
        self._real = real
        self.units = Counter()

    def __getattr__(self, operation):
        def call(**asked):
            answer = getattr(self._real, operation)(**asked, ReturnConsumedCapacity="TOTAL")
            if operation == "batch_get_item":  # also of those that are not there
                ((_, wanted),) = asked["RequestItems"].items()
                self.units["read"] += len(wanted["Keys"])
                return answer
            used = answer["ConsumedCapacity"]
            kind = "write" if operation in WRITES else "read"
            for one in used if isinstance(used, list) else [used]:
                self.units[kind] += one["CapacityUnits"]
            return answer

        return call

    def taken(self):
        units, self.units = self.units, Counter()
        return units["write"], units["read"]


def test_what_an_append_and_a_fold_cost(dynamodb, open_log):
    """The figures of docs/decisions/0007-event-log-on-dynamodb.md."""
    store, meter = next(stores), Metered(dynamodb)
    log = open_log(meter)
    log.append(store, [*rows(50, store=store), *rows(50, "u:bob", store=store)], NOW)
    meter.taken()

    def fold(*users):
        log.owners_of(store, users)
        standings = log.standings(store, users)
        log.mark_folded(store, {user: one.version for user, one in standings.items()})

    log.append(store, rows(60, store=store)[50:], NOW)
    assert meter.taken() == (10 + 1 + 1, 1)  # events, the head, the feed; the head
    fold("u:ann")
    assert meter.taken() == (1, 1)
    log.append(store, [row(f"u:{n}", event_id="x", store=store) for n in range(10)], NOW)
    assert meter.taken() == (10 + 10 + 1, 10)
    fold(*(f"u:{n}" for n in range(10)))
    assert meter.taken() == (10, 10)
    log.append(store, rows(60, store=store)[50:], NOW)  # delivered again
    assert meter.taken() == (10, 1 + 10 + 1)
