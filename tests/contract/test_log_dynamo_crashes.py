"""The log in DynamoDB, stopped after every write: doing the same again completes it."""

import pytest

from tests.contract.events import NOW, rows
from tests.contract.interrupted import (
    INSERTED,
    Crashed,
    Mortal,
    check,
    every_death,
    forgotten,
    prepared,
)
from windowshop.records import user_key


def test_an_append_that_crashes_anywhere_is_completed_by_its_redelivery(dynamodb, open_log):
    def work(client):
        store, log, before, new, since = prepared(open_log)
        try:
            appended = open_log(client).append(store, new, NOW + 5)
        except Crashed:
            again = log.append(store, new, NOW + 5)
            check(log, store, before + new, since)
            # As new comes out what no earlier delivery completed: all of it or nothing.
            assert sum(again.new) in {9, 0}
            raise
        assert (sum(appended.new), appended.duplicates) == (9, 4)
        check(log, store, before + new, since)

    deaths = every_death(dynamodb, work)
    assert deaths[0] == "update_item"  # the store
    assert deaths[INSERTED - 1] == "batch_execute_statement"
    assert deaths[-1] == "put_item"  # the feed


def test_a_redelivery_that_crashes_too_is_completed_by_the_next(dynamodb, open_log):
    def work(client):
        store, log, before, new, since = prepared(open_log)
        with pytest.raises(Crashed):
            open_log(Mortal(dynamodb, INSERTED)).append(store, new, NOW + 5)
        assert log.held(store, ["u:ann", "a:g", "u:bob"]) > log.count(store)
        try:
            open_log(client).append(store, new, NOW + 5)
        except Crashed:
            log.append(store, new, NOW + 5)
            check(log, store, before + new, since)
            raise
        check(log, store, before + new, since)

    assert len(every_death(dynamodb, work)) > 6


def test_what_a_crash_left_is_completed_bit_by_bit_in_other_company(dynamodb, open_log):
    store, log, before, new, since = prepared(open_log)
    with pytest.raises(Crashed):
        open_log(Mortal(dynamodb, INSERTED)).append(store, new, NOW + 5)
    for user in ("u:bob", "u:ann", "a:g"):
        part = [one for one in new if one.user == user]
        more = rows(1, f"u:{user[2:]}-else", store=store)
        assert sum(log.append(store, part + more, NOW + 6).new) == len(
            {p.event_id for p in part}
        ) + 1 - ({"u:ann": 2, "a:g": 1}.get(user, 0))
        before += more
    check(log, store, before + new, since)


def test_what_nobody_sends_again_is_counted_when_it_is_folded(dynamodb, open_log):
    store, log, before, new, since = prepared(open_log)
    with pytest.raises(Crashed):
        open_log(Mortal(dynamodb, INSERTED)).append(store, new, NOW + 5)
    assert log.counts_of(store, ["u:ann"]) == {"u:ann": 2}
    assert log.refold(store, ["u:ann"])["u:ann"].profile.counted == 8
    assert log.standings(store, ["u:ann"])["u:ann"].events == 8
    log.append(store, new, NOW + 5)  # a letter that was retried much later
    check(log, store, before + new, since)


def test_a_forget_that_crashes_anywhere_is_finished(dynamodb, open_log):
    def work(client):
        store, log, _, _, since = prepared(open_log)
        log.append(store, rows(3, "u:bob", store=store), NOW)
        log.link(store, "u:cat", "a:g")
        versions = {"u:cat": log.standings(store, ["u:cat"])["u:cat"].version}
        log.mark_folded(store, versions)
        crashed = None
        try:
            gone = open_log(client).forget(store, "u:ann", NOW + 10, "e1")
            assert (gone.users, gone.owners, gone.events) == (("u:ann", "a:g"), ("u:cat",), 3)
        except Crashed as error:
            crashed = error
        keys = [user_key(store, user) for user in ("u:ann", "a:g")]
        if log.erasure(store, "e1") is None:  # it had not begun: whoever asked asks again
            log.forget(store, "u:ann", NOW + 10, "e1")
        assert log.unfinished_erasures() == [(store, "e1", keys)]
        record = log.erasure(store, "e1")
        assert record["erased"] == {"events": 3, "profiles": 0}
        log.put_erasure(store, "e1", {**record, "status": "done"})
        assert log.links_of(store, "u:cat") == []
        assert "u:cat" in log.unfolded(store)
        log.forget(store, "u:cat", NOW + 10, "e2")
        log.put_erasure(store, "e2", {**log.erasure(store, "e2"), "status": "done"})
        forgotten(log, store, since, bobs=3)
        if crashed:
            raise crashed

    assert len(every_death(dynamodb, work)) > 6


def test_a_forget_that_is_finished_late_spares_who_came_back(dynamodb, open_log):
    store, log, *_ = prepared(open_log)
    log.forget(store, "u:ann", NOW + 10, "e1")
    log.append(store, rows(4, store=store), NOW + 11)
    assert [one for _, one, _ in log.unfinished_erasures()] == ["e1"]
    assert log.counts_of(store, ["u:ann"]) == {"u:ann": 4}
    assert log.held(store, ["u:ann"]) == log.count(store) == 4


def test_an_expiry_that_crashes_anywhere_is_done_by_the_next(dynamodb, open_log):
    def work(client):
        store, log, before, new, _ = prepared(open_log)
        log.append(store, new, NOW)
        marks = {user: one.version for user, one in log.standings(store, ["u:ann"]).items()}
        log.mark_folded(store, marks)
        crashed = None
        try:
            open_log(client).expire(store, NOW + 2)
        except Crashed as error:
            crashed = error
        log.expire(store, NOW + 2)
        left = {one.event_key: one for one in before + new if one.time_ms >= NOW + 2}
        assert log.held(store, ["u:ann", "a:g", "u:bob"]) == log.count(store) == len(left)
        assert log.counts_of(store, ["u:ann", "a:g", "u:bob"]) == {"u:ann": 3, "a:g": 1, "u:bob": 0}
        assert "u:ann" in log.unfolded(store)
        if crashed:
            raise crashed

    every_death(dynamodb, work)
