"""The feed of the log in DynamoDB, and snapshots of what was counted from it."""

import pytest

from tests.contract.events import NOW, row, rows
from tests.contract.interrupted import (
    READS,
    Client,
    Wall,
    every_death,
    exported,
    replayed,
    stores,
)


def test_what_is_young_is_replayed_later(open_log):
    store, wall = next(stores), Wall()
    log = open_log(wall=wall, settle_ms=10_000)
    first = log.append(store, rows(2, store=store), NOW).seq
    assert not replayed(log, store)
    assert list(log.replay_since(store, first - 1)) == []
    assert log.newest(store) == NOW + 1
    wall.ms += 10_000
    assert sum(replayed(log, store).values()) == 2
    (part,) = log.replay_since(store, first - 1)
    assert (part.seq, len(part.events)) == (first, 2)


def test_a_batch_that_takes_long_is_in_the_feed_when_it_is_complete(dynamodb, open_log):
    """Whoever replays must not have passed the place where it comes to stand."""
    store, wall = next(stores), Wall()
    log, other = open_log(wall=wall, settle_ms=20_000), open_log(wall=wall, settle_ms=20_000)
    since = log.append(store, [], NOW).seq

    def slow(real, operation, asked):
        wall.ms += 60_000
        return real(**asked)

    many = [*rows(3, store=store), *rows(2, "u:bob", store=store)]
    start = wall.ms
    done = open_log(Client(dynamodb, 2, slow), wall=wall).append(store, many, NOW)
    assert done.seq > start + 60_000
    assert list(other.replay_since(store, since)) == []
    wall.ms += 20_000
    assert sum(replayed(other, store, since).values()) == 5
    assert log.append(store, many, NOW).duplicates == 5
    assert len(exported(log, store, "u:ann", "u:bob")) == 5


def test_a_shop_at_rest_does_not_read_all_its_events_again(dynamodb, open_log):
    store, wall = next(stores), Wall()
    counting = Client(dynamodb, 1, lambda real, operation, asked: pytest.fail("it did"), {"scan"})
    log = open_log(counting, wall=wall)
    seq = log.append(store, rows(2, store=store), NOW).seq
    for _ in range(40):
        wall.ms += 86_400_000
        for part in log.replay_since(store, seq):
            assert len(part.events) == 0
            seq = part.seq
    assert log.newest(store) == NOW + 1


def test_a_store_without_events_on_items_has_the_table_read_for_it_once(dynamodb, open_log):
    store, wall = next(stores), Wall()
    log = open_log(wall=wall)
    log.put_field(store, "colour", "keyword")
    (part,) = log.replay_since(store, 0)
    assert (len(part.events), len(part.users)) == (0, 0)
    wall.ms += 60_000
    never = Client(dynamodb, 1, lambda real, operation, asked: pytest.fail("it did"), {"scan"})
    assert list(open_log(never, wall=wall).replay_since(store, part.seq)) == []


def test_looking_for_what_came_costs_a_shop_at_rest_one_query_a_shard(dynamodb, open_log):
    store, wall = next(stores), Wall()
    log = open_log(wall=wall)
    seq = log.append(store, rows(2, store=store), NOW).seq
    reading = Client(dynamodb, 99, lambda real, operation, asked: None, READS)
    assert list(open_log(reading, wall=wall).replay_since(store, seq)) == []
    assert reading.calls == 1


def test_the_newest_time_outlives_the_entries_of_the_feed(dynamodb, table, open_log):
    store, wall = next(stores), Wall()
    log = open_log(wall=wall)
    log.append(store, [row(event_id="x", at=9, store=store)], NOW)
    log.append(store, [row(event_id="y", at=3, store=store)], NOW)
    wall.ms += 2 * 86_400_000
    assert log.newest(store) == NOW + 9
    found = dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"f/{store}/0"}},
    )["Items"]
    assert len(found) == 2
    for entry in found:
        assert int(entry["expires"]["N"]) > wall.ms // 1000
        dynamodb.delete_item(TableName=table, Key={name: entry[name] for name in ("pk", "sk")})
    assert log.newest(store) == NOW + 9


def test_what_is_sent_again_after_weeks_is_a_duplicate(dynamodb, table, open_log):
    store, wall = next(stores), Wall()
    log = open_log(wall=wall)
    log.append(store, rows(2, store=store), NOW)
    wall.ms += 20 * 86_400_000  # and its entry in the feed is gone
    for entry in dynamodb.scan(TableName=table)["Items"]:
        if entry["pk"]["S"].startswith(f"f/{store}/"):
            dynamodb.delete_item(TableName=table, Key={n: entry[n] for n in ("pk", "sk")})
    assert log.append(store, rows(2, store=store), NOW).duplicates == 2


# --- snapshots -----------------------------------------------------------------------------------


def test_a_snapshot_is_never_replaced_by_an_older_one(open_log):
    log, other = open_log(), open_log()
    for one, seq, body in ((log, 5, b"five"), (other, 9, b"nine"), (log, 7, b"seven")):
        one.put_snapshot("s", "popularity", seq, body)
    assert log.snapshot("s", "popularity") == (9, b"nine")
    assert log.snapshot("s", "popularity", 9) is None
    assert log.snapshot("s", "popularity", 8) == (9, b"nine")


def test_bodies_of_snapshots_do_not_pile_up(open_log):
    wall = Wall()
    log = open_log(wall=wall)
    for seq in range(6):
        log.put_snapshot("s", "popularity", seq, b"%d" % seq)
    log._blobs.write(f"state/s/popularity/{wall.ms:013d}-crashed", b"")
    assert len(list(log._blobs.list("state/s/"))) == 3
    wall.ms += 2 * 3_600_000
    open_log(wall=wall).put_snapshot("s", "popularity", 7, b"7")
    assert len(list(log._blobs.list("state/s/"))) == 2
    assert log.snapshot("s", "popularity") == (7, b"7")


def test_a_snapshot_that_crashes_anywhere_leaves_the_one_before_or_is_there(dynamodb, open_log):
    def work(client):
        store, log = next(stores), open_log()
        log.put_snapshot(store, "popularity", 1, b"one")
        try:
            open_log(client).put_snapshot(store, "popularity", 2, b"two")
        finally:
            assert log.snapshot(store, "popularity") in {(1, b"one"), (2, b"two")}
            log.put_snapshot(store, "popularity", 3, b"three")
            assert log.snapshot(store, "popularity") == (3, b"three")

    every_death(dynamodb, work)
