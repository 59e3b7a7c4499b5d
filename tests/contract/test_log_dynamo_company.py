"""The log in DynamoDB, with others at work before every call."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.contract.events import NOW, row, rows
from tests.contract.interrupted import (
    check,
    every_meeting,
    forgotten,
    prepared,
    replayed,
    stores,
    whole_or_gone,
)
from windowshop import profile as profiles


def test_the_same_message_twice_at_once_counts_once(dynamodb, open_log):
    def scene():
        store, log, before, new, since = prepared(open_log)

        def holds(one, other):
            assert sum(one.new) + sum(other.new) == 9
            check(log, store, before + new, since)

        def first(client):
            return open_log(client).append(store, new, NOW + 5)

        return first, lambda: log.append(store, new, NOW + 5), holds

    every_meeting(dynamodb, scene)


def test_two_messages_at_once_for_one_user_both_count(dynamodb, open_log):
    def scene():
        store, log, before, new, since = prepared(open_log)
        more = [row("u:ann", event_id=f"more-{n}", at=n, store=store) for n in range(3)]

        def holds(one, other):
            assert (sum(one.new), sum(other.new)) == (9, 3)
            check(log, store, before + new + more, since)

        def first(client):
            return open_log(client).append(store, new, NOW + 5)

        return first, lambda: log.append(store, more, NOW + 5), holds

    every_meeting(dynamodb, scene)


def test_a_forget_beside_an_append_leaves_nothing(dynamodb, open_log):
    def scene():
        store, log, _, new, since = prepared(open_log)

        def holds(_, __):
            log.put_erasure(store, "e1", {"status": "done"})
            log.append(store, new, NOW + 5)  # and a redelivery brings nothing back
            forgotten(log, store, since, bobs=3)

        def first(client):
            return open_log(client).append(store, new, NOW + 5)

        return first, lambda: log.forget(store, "u:ann", NOW + 10, "e1"), holds

    every_meeting(dynamodb, scene)


def test_an_append_beside_a_forget_leaves_nothing_of_before(dynamodb, open_log):
    outcomes = set()

    def scene():
        store, log, _, new, since = prepared(open_log)
        late = [row("u:ann", event_id=f"late-{n}", at=n, store=store) for n in range(4)]
        early = [one for one in new if one.user != "u:bob"]

        def holds(_, __):
            log.append(store, early, NOW + 5)
            outcomes.add(whole_or_gone(log, store, since))
            assert [one for one, _, _ in log.unfinished_erasures()] == [store]
            whole_or_gone(log, store, since)
            log.put_erasure(store, "e1", {"status": "done"})

        def first(client):
            return open_log(client).forget(store, "u:ann", NOW + 10, "e1")

        batches = [(store, early, NOW + 5), (store, late, NOW + 20)]
        return first, lambda: log.append_many(batches), holds

    every_meeting(dynamodb, scene)
    assert outcomes == {0, 4}


def test_a_forget_beside_what_came_after_it_takes_all_or_nothing(dynamodb, open_log):
    def scene():
        store, log, _, _, since = prepared(open_log)
        late = rows(6, "u:ann", store=store)[2:]

        def first(client):
            return open_log(client).append(store, late, NOW + 20)

        def forget():
            return log.forget(store, "u:ann", NOW + 10, "e1")

        return first, forget, lambda _, __: whole_or_gone(log, store, since)

    every_meeting(dynamodb, scene)


def test_a_guest_who_is_merged_while_their_events_come_leaves_the_owner_behind(dynamodb, open_log):
    def scene():
        store, log = next(stores), open_log()
        log.append(store, [*rows(1, "u:ann", store=store), *rows(1, "a:g", store=store)], NOW)

        def merge():
            log.link(store, "u:ann", "a:g")
            folded = log.refold(store, ["u:ann"])["u:ann"]
            log.mark_folded(store, {"u:ann": folded.version})
            return folded.profile.counted

        def holds(_, counted):
            assert counted == 4 or "u:ann" in log.unfolded(store)
            assert log.refold(store, ["u:ann"])["u:ann"].profile.counted == 4

        def first(client):
            return open_log(client).append(store, rows(3, "a:g", store=store), NOW)

        return first, merge, holds

    every_meeting(dynamodb, scene)


def test_a_guest_who_is_merged_during_a_forget_goes_along_or_stays_apart(dynamodb, open_log):
    def scene():
        store, log, *_ = prepared(open_log)
        log.append(store, rows(2, "a:new", store=store), NOW)

        def holds(gone, _):
            linked = log.links_of(store, "u:ann")
            assert log.owners_of(store, ["a:new"]) == (["u:ann"] if linked else [])
            assert linked in ([], ["a:new"])
            assert log.held(store, ["a:new"]) == (0 if "a:new" in gone.users else 2)
            assert log.held(store, ["u:ann", "a:g"]) == 0

        def first(client):
            return open_log(client).forget(store, "u:ann", NOW + 10, "e1")

        return first, lambda: log.link(store, "u:ann", "a:new"), holds

    every_meeting(dynamodb, scene)


def test_an_expiry_and_a_fold_beside_an_append_miscount_nothing(dynamodb, open_log):
    def scene():
        store, log, before, new, _ = prepared(open_log)

        def tidy():
            log.expire(store, NOW + 1)
            log.refold(store, ["u:ann"])

        def holds(_, __):
            log.expire(store, NOW + 1)
            left = {(x.user, x.event_key): x for x in before + new if x.time_ms >= NOW + 1}.values()
            users = ["u:ann", "a:g", "u:bob"]
            counts = Counter(x.user for x in left if x.kind != profiles.IMPRESSION)
            assert log.counts_of(store, users) == {user: counts[user] for user in users}
            assert log.held(store, users) == log.count(store) == len(left)

        def first(client):
            return open_log(client).append(store, new, NOW + 5)

        return first, tidy, holds

    every_meeting(dynamodb, scene)


def test_processes_in_a_crowd_lose_and_double_nothing(dynamodb, open_log):
    store, logs = next(stores), [open_log(pause=time.sleep) for _ in range(4)]
    for log in logs:
        log._table._inside.here = False
    since = logs[0].append(store, [], NOW).seq
    batches = [
        [*rows(6, "u:ann", store=store), *rows(2, f"u:{n % 3}", store=store),
         row("u:ann", event_id=f"own-{n}", store=store)]
        for n in range(16)
    ]  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(logs[n % 4].append, store, one, NOW) for n, one in enumerate(batches)]
        results = [one.result() for one in work]
    expected = [one for some in batches for one in some]
    assert sum(sum(one.new) for one in results) == len({(x.user, x.event_id) for x in expected})
    logs[0].link(store, "u:ann", "a:g")
    logs[0].append(store, rows(1, "a:g", store=store), NOW)
    check(logs[0], store, expected + rows(1, "a:g", store=store), since)
    assert logs[0].newest(store) == max(one.time_ms for one in expected)
    assert sum(replayed(logs[0], store, since).values()) == logs[0].count(store)
