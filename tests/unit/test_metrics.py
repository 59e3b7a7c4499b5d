"""Metrics against cases computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.evaluate.metrics import (
    TOP,
    coverage,
    gain,
    mark,
    share,
    spans,
    standard_error,
)


def ranked(*items):
    """One list of ten, with nothing in its other places."""
    return np.array([[*items, *[-1] * (TOP - len(items))]], np.intp)


def taken(*items):
    return [np.array(items, np.intp)]


def test_a_single_hit_counts_by_its_place():
    marks = mark(ranked(7, 8, 9), taken(9))
    assert marks.ndcg[0] == pytest.approx(1 / math.log2(4))
    assert marks.recall[0] == 1
    assert marks.hit[0] == 1
    assert marks.mrr[0] == pytest.approx(1 / 3)


def test_ndcg_divides_by_what_all_that_was_taken_would_gain_at_the_top():
    marks = mark(ranked(1, 5, 2), taken(1, 2, 3))
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert marks.ndcg[0] == pytest.approx((1 + 1 / math.log2(4)) / ideal)
    assert marks.recall[0] == pytest.approx(2 / 3)
    assert marks.mrr[0] == 1


def test_who_took_more_than_ten_could_get_ten():
    marks = mark(ranked(*range(10)), taken(*range(25)))
    assert marks.ndcg[0] == pytest.approx(1)
    assert marks.recall[0] == 1


def test_no_hit_is_nothing_and_an_empty_list_too():
    for lists in (ranked(1, 2, 3), ranked()):
        marks = mark(lists, taken(4))
        assert [marks.ndcg[0], marks.recall[0], marks.hit[0], marks.mrr[0]] == [0, 0, 0, 0]


def test_queries_are_marked_each_by_its_own_truth():
    lists = np.concatenate([ranked(1), ranked(1)])
    assert mark(lists, [*taken(1), *taken(2)]).hit.tolist() == [1, 0]


def test_coverage_counts_every_item_once():
    lists = np.concatenate([ranked(0, 1), ranked(1, 2)])
    assert coverage(lists, 12) == 0.25
    assert coverage(ranked(), 0) == 0


def test_spans_hold_every_length_once():
    lengths = np.array([0, 1, 5, 6, 50, 51, 9_000])
    held = spans(lengths)
    assert {name: lengths[chosen].tolist() for name, chosen in held.items()} == {
        "0": [0],
        "1-5": [1, 5],
        "6-50": [6, 50],
        ">50": [51, 9_000],
    }


def test_a_gain_is_the_ratio_of_means_and_its_interval_holds_it():
    users = np.repeat(np.arange(200), 3)
    theirs = np.linspace(0.1, 0.5, 600)
    ratio, low, high = gain(theirs * 1.1, theirs, users, seed=1)
    assert ratio == pytest.approx(1.1)
    assert low == pytest.approx(1.1)
    assert high == pytest.approx(1.1)


def test_users_are_drawn_whole():
    """One user's queries say the same thing over and over: they are no further evidence."""
    ours, theirs = np.array([1.0, 0.0] * 2), np.array([0.5, 0.5] * 2)
    few = gain(ours, theirs, np.array([0, 1, 0, 1]), seed=1)
    ours, theirs = np.tile(ours, 50), np.tile(theirs, 50)
    many = gain(ours, theirs, np.tile([0, 1, 0, 1], 50), seed=1)
    assert few == many
    assert few.low < 1 < few.high


def test_nothing_over_nothing_is_no_gain():
    zeros = np.zeros(4)
    assert gain(zeros, zeros, np.arange(4), seed=1) == (1, 1, 1)
    assert gain(np.ones(4), zeros, np.arange(4), seed=1).ratio == math.inf


def test_a_share_has_wilsons_interval():
    """Of 10 items one was hit: 1/10, .0179 to .4042 (Wilson 1927, z 1.96)."""
    hits = np.array([1.0] + [0.0] * 9)
    value, low, high = share(hits, np.ones(10), np.arange(10))
    assert value == pytest.approx(0.1)
    assert low == pytest.approx(0.0179, abs=1e-4)
    assert high == pytest.approx(0.4042, abs=1e-4)
    none = share(np.zeros(10), np.ones(10), np.arange(10))
    assert none.value == none.low == 0
    assert none.high == pytest.approx(0.2775, abs=1e-4)
    assert share(np.zeros(0), np.zeros(0), np.arange(0)) == (0, 0, 1)


def test_a_users_items_are_worth_less_than_as_many_users():
    hits, sought = np.tile([1.0, 0.0], 20), np.ones(40)
    apart = share(hits, sought, np.arange(40))
    alike = share(hits, sought, np.tile([0, 1], 20))
    assert apart.value == alike.value == 0.5
    assert alike.low < apart.low < 0.5 < apart.high < alike.high


@given(
    st.lists(st.integers(0, 30), min_size=TOP, max_size=TOP, unique=True),
    st.sets(st.integers(0, 30), min_size=1),
)
def test_metrics_lie_between_0_and_1_and_agree(items, truth):
    marks = mark(ranked(*items), taken(*sorted(truth)))
    values = [marks.ndcg[0], marks.recall[0], marks.hit[0], marks.mrr[0]]
    assert all(0 <= value <= 1 + 1e-12 for value in values)
    assert all(values) == (not set(items).isdisjoint(truth)) == any(values)


def test_the_standard_error_takes_a_users_queries_together():
    scores = np.array([1.0, 0.0, 1.0, 0.0])
    plain = standard_error(scores, np.arange(4))
    assert plain == pytest.approx(scores.std(ddof=1) / 2)  # the textbook's
    alike = standard_error(np.repeat(scores, 5), np.repeat(np.arange(4), 5))
    assert alike == pytest.approx(plain)  # five times the same says no more
    assert standard_error(scores, np.array([1, 1, 2, 2])) == pytest.approx(0)  # all users alike
    assert standard_error(scores[:1], np.array([7])) == 0
