"""What like-minded shoppers took near what this shopper took."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop import crowd
from windowshop.profile import TAIL

DAY = 86_400
NOW = 1_700_000_000


def tail(*items, ago=0.0):
    """A neighbour's events, oldest first, all `ago` days before now."""
    rows = np.zeros(len(items), TAIL)
    rows["item"], rows["time"] = items, NOW - int(ago * DAY)
    return rows


def take(own, *near):
    """Of a shopper with these items, oldest first, all of one moment."""
    times = np.zeros(len(own), np.int64)
    return crowd.taken(
        crowd.own(np.array(own, np.uint64), times),
        [like for like, _ in near],
        [t.tobytes() for _, t in near],
        NOW * 1000,
        10.0,
    )


def found(some):
    return dict(zip(*(part.tolist() for part in crowd.proposals(some)), strict=True))


def test_what_follows_the_shared_item_counts_most():
    """By hand: 1 event after it counts 1, 2 after 1/sqrt 2, 1 before 1/sqrt 2."""
    some = take([7], (1.0, tail(1, 7, 2, 3)))
    np.testing.assert_allclose(some.weights, [2**-0.5, crowd.FROM_AFAR, 1.0, 2**-0.5])
    assert some.via.tolist() == [7, 0, 7, 7]


def test_a_neighbour_who_shares_nothing_lately_counts_as_from_afar():
    some = take([7], (1.0, tail(1, 2)), (1.0, tail(7, 3)))
    assert some.weights[:2].tolist() == [crowd.FROM_AFAR, crowd.FROM_AFAR]
    assert some.via[:2].tolist() == [0, 0]


def test_what_was_bought_together_has_no_order():
    """By hand, in baskets: what is in the next one or in the same stands one step from the shared
    item, what is in the one after that two; before it steps count twice.
    """
    basket = np.concatenate(
        (tail(1, 2, 3, ago=4), tail(4, 7, ago=3), tail(5, 6, ago=2), tail(8, ago=1))
    )
    basket["time"][:] = NOW - np.array([4, 4, 4, 3, 3, 2, 2, 1])
    some = take([7], (1.0, basket))
    before, after, twice = 2**-0.5, 1.0, 2**-0.5
    expected = [before, before, before, before, 0, after, after, twice]
    np.testing.assert_allclose(some.near, expected)


def test_neighbours_do_not_run_into_each_other():
    some = take([7], (1.0, tail(1, 7)), (1.0, tail(2)))
    np.testing.assert_allclose(some.weights, [2**-0.5, crowd.FROM_AFAR, crowd.FROM_AFAR])


def test_likeness_and_age_weigh():
    some = take([7], (1.0, tail(7, 1)), (0.5, tail(7, 2)), (1.0, tail(7, 3, ago=10)))
    assert found(some) == pytest.approx({7: 2 * crowd.FROM_AFAR, 1: 1.0, 2: 0.5, 3: 0.5})


def test_what_is_older_says_less_but_ever_more_slowly():
    """By hand, with 10 days: half as much after 10, 1 / (1 + 10 (sqrt 2 - 1))^2 after 100."""
    some = take([7], *[(1.0, tail(1, ago=days)) for days in (0, 10, 100)])
    np.testing.assert_allclose(some.lately, [1, 1 / 2, (1 + 10 * (2**0.5 - 1)) ** -2])
    assert some.whose.tolist() == [0, 1, 2]


def test_very_old_events_still_have_an_order():
    some = take([7], (1.0, tail(7, 1, ago=9_000)), (0.5, tail(7, 2, ago=9_000)))
    assert found(some)[1] > found(some)[2] > 0


def test_nobody_alike_proposes_nothing():
    for some in (take([7]), take([7], (1.0, tail())), crowd.NOTHING):
        assert found(some) == {}
        assert crowd.strongest_via(some, 1) == 0


def test_the_shared_item_that_led_there_is_named():
    some = take([7, 8], (1.5, tail(7, 1)), (0.4, tail(8, 1)), (0.4, tail(8, 1)))
    assert crowd.strongest_via(some, 1) == 7
    assert crowd.strongest_via(some, 7) == 0, "an item does not lead to itself"
    assert crowd.strongest_via(some, 99) == 0


def test_a_shared_item_of_long_ago_leads_less_far():
    some = take([7, 8], (1.0, tail(7, 1)), (1.0, tail(8, 2)))
    np.testing.assert_allclose(some.weights[[1, 3]], [2**-0.5, 1.0])


def test_a_step_is_a_moment_where_there_are_moments():
    items = np.array([1, 2, 3, 2], np.uint64)
    by_time = crowd.own(items, np.array([10, 10, 20, 20]))
    assert (by_time.items.tolist(), by_time.steps.tolist()) == ([1, 2, 3], [1, 0, 0])
    by_order = crowd.own(items, np.array([10, 10, 10, 10]))
    assert by_order.steps.tolist() == [3, 0, 1]
    assert not len(crowd.own(items[:0], np.empty(0, np.int64)).items)


@given(
    own=st.lists(st.integers(1, 9), max_size=5),
    near=st.lists(
        st.tuples(st.floats(0.01, 10), st.lists(st.integers(1, 9), max_size=6)), max_size=5
    ),
)
def test_it_is_what_a_slow_reading_of_it_gives(own, near):
    """The vectorised arithmetic against loops over each event."""
    back = {item: len(own) - place for place, item in enumerate(own)}  # 1: the newest
    weights = []
    for like, items in near:
        places = [at for at, item in enumerate(items) if item in back]
        for at in range(len(items)):
            before = [at - p for p in places if p < at]
            after = [p - at for p in places if p > at]
            near_by = [0.0]
            if before:
                near_by.append((back[items[at - min(before)]] * min(before)) ** -0.5)
            if after:
                near_by.append((back[items[at + min(after)]] * 2 * min(after)) ** -0.5)
            weights.append(like * max(crowd.FROM_AFAR, *near_by))
    some = take(own, *[(like, tail(*items)) for like, items in near])
    np.testing.assert_allclose(some.weights, weights if own else [], rtol=1e-6)
