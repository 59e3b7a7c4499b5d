"""What every event log must do for users: merging guests, forgetting, retention."""

import pytest

from tests.contract.events import NOW, folded, refolded, row, rows
from windowshop import profile as profiles
from windowshop.errors import InvalidInput, NotFound
from windowshop.profile import Profile
from windowshop.records import user_key

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


def test_all_events_and_all_links_of_a_store_are_read_for_a_replay(log):
    some = [*rows(3), *rows(2, "a:g", kind="like"), *rows(1, "a:h")]
    log.append("default", some, NOW)
    log.append("other", [row("u:ann", event_id="x", store="other")], NOW)
    log.link("other", "u:ann", "a:h")
    assert list(log.links("default")) == []
    for user, guest in (("u:ann", "a:g"), ("u:ann", "a:h"), ("u:bob", "a:h")):
        log.link("default", user, guest)
    merged = [("u:ann", "a:g"), ("u:ann", "a:h"), ("u:bob", "a:h")]
    assert sorted(log.links("default")) == merged
    assert sorted(log.rows("default")) == sorted(some)
    log.unlink("default", "u:bob", "a:h")
    log.forget("default", "u:ann", NOW + 1, "e")
    assert list(log.links("default")) == list(log.rows("default")) == []


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


def test_links_have_limits_on_both_sides(log, monkeypatch):
    monkeypatch.setattr("windowshop.log.people.MAX_LINKS", 2)
    monkeypatch.setattr("windowshop.aws.log.links.MAX_LINKS", 2)
    for n in range(2):
        log.link("default", "u:ann", f"a:{n}")
        log.link("default", f"u:{n}", "a:kiosk")
    for user, guest in (("u:ann", "a:2"), ("u:2", "a:kiosk")):
        with pytest.raises(InvalidInput, match="at most"):
            log.link("default", user, guest)
    assert log.links_of("default", "u:ann") == ["a:0", "a:1"]
    assert log.owners_of("default", ["a:kiosk", "a:2"]) == ["u:0", "u:1"]
    assert log.link("default", "u:ann", "a:0") is False
    log.unlink("default", "u:ann", "a:0")
    assert log.link("default", "u:ann", "a:2") is True


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


def test_a_mark_of_the_forgotten_does_not_count_for_who_comes_after(log):
    for n in range(4):
        log.append("default", [row(event_id=f"{n}")], NOW)
    versions = {"u:ann": log.standings("default", ["u:ann"])["u:ann"].version}
    log.forget("default", "u:ann", NOW, "e1")
    log.append("default", rows(1), NOW + 1)
    log.mark_folded("default", versions)
    for n in range(4):
        assert log.unfolded("default") == ["u:ann"]
        log.append("default", [row(event_id=f"more-{n}")], NOW + 1)


def test_a_mark_tells_who_was_forgotten_meanwhile(log):
    log.append("default", rows(1) + rows(1, "u:bob"), NOW)
    both = ["u:ann", "u:bob"]
    versions = {user: one.version for user, one in log.standings("default", both).items()}
    log.forget("default", "u:ann", NOW, "e1")
    assert log.mark_folded("default", versions) == ["u:ann"]
    assert set(log.standings("default", both)) == {"u:bob"}
    assert log.unfolded("default") == []

    log.append("default", [row(event_id="more", user="u:bob")], NOW)
    assert log.mark_folded("default", {"u:bob": versions["u:bob"]}) == []


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


def test_what_is_older_than_the_retention_goes_and_its_users_are_folded_again(log):
    old, new, seen = (
        row(event_id="1", at=10),
        row(event_id="2", at=20),
        row(kind="impression", item=None, item_ids=["i1"], event_id="3", at=5),
    )
    guests = rows(2, "a:g")
    log.append("default", [old, new, seen, *guests], NOW)
    log.append("other", rows(1), NOW)
    log.link("default", "u:ann", "a:g")
    users = log.users("default")
    marks = {user: one.version for user, one in log.standings("default", users).items()}
    log.mark_folded("default", marks)
    assert log.expire("default", NOW) == 0
    assert log.unfolded("default") == []
    assert log.expire("default", NOW + 1) == 1
    assert log.unfolded("default") == ["u:ann", "a:g"]  # whose guest lost an event, too
    assert log.expire("default", NOW + 20) == 3
    assert refolded(log, "u:ann") == folded([new])
    assert log.counts_of("default", users) == {"u:ann": 1, "a:g": 0}
    assert (log.count("default"), log.count("other")) == (1, 1)
    assert log.newest("default") == NOW + 20
