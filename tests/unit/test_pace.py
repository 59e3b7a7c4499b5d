"""How often a key may call: approximate, fair between keys, and forgiving."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.api.pace import MAX_KEYS, Pace
from windowshop.api.problems import TooManyRequests


def admitted(pace, key, now_ms):
    try:
        pace.admit(key, now_ms)
    except TooManyRequests:
        return False
    return True


@given(
    st.sampled_from([0.5, 1.0, 3.0, 50.0]),
    st.lists(st.integers(0, 400), min_size=1, max_size=200),
)
def test_no_more_than_the_pace_and_one_burst_ever_get_in(per_s, gaps):
    pace, now, count = Pace(per_s), 0, 0
    for gap in gaps:
        now += gap
        count += admitted(pace, "k", now)

    assert count <= max(per_s, 1) + per_s * now / 1000 + 1e-6


@given(st.sampled_from([0.5, 1.0, 3.0, 50.0]), st.integers(1, 100))
def test_who_keeps_the_pace_is_never_refused(per_s, calls):
    pace = Pace(per_s)
    assert all(admitted(pace, "k", 1 + int(n * 1000 / per_s) + n) for n in range(calls))


def test_keys_do_not_pay_for_each_other():
    pace = Pace(1)
    assert [admitted(pace, key, 0) for key in "aabb"] == [True, False, True, False]


def test_who_is_refused_loses_nothing_and_learns_when_to_come():
    pace = Pace(0.2)
    pace.admit("k", 0)
    with pytest.raises(TooManyRequests) as refused:
        pace.admit("k", 1_000)
    assert refused.value.after_s == 4
    assert admitted(pace, "k", 5_000)


def test_a_clock_that_is_set_back_locks_nobody_out():
    pace = Pace(1)
    pace.admit("k", 100_000)
    assert not admitted(pace, "k", 0)
    assert admitted(pace, "k", 101_000)


def test_what_is_remembered_is_bounded():
    pace = Pace(1)
    for n in range(2 * MAX_KEYS):
        pace.admit(str(n), 0)
    assert len(pace._left) <= MAX_KEYS
