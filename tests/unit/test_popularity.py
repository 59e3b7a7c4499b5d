"""Decayed counts: free of order, equal to plain arithmetic, and the best few always right."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.errors import InvalidInput, Misconfigured
from windowshop.numbering import Index, Members
from windowshop.popularity import BEST, HALF_LIVES, Popularity

DAY = 86_400_000
NOW = 1_700_000_000_000

one = st.tuples(
    st.integers(1, 6),
    st.integers(0, 400).map(lambda days: NOW - days * DAY // 4),
    st.sampled_from([0.2, 0.6, 1.0]),
    st.integers(1, 4),
)
many = st.lists(one, max_size=20)


def arrays(rows):
    keys, times, weights, users = zip(*rows, strict=True) if rows else ((), (), (), ())
    return (
        np.array(keys, np.uint64),
        np.array(times, np.int64),
        np.array(weights, np.float32),
        np.array(users, np.uint64),
    )


def counted(*batches):
    popularity = Popularity()
    for rows in batches:
        keys, times, weights, users = arrays(rows)
        popularity.add(keys, times, weights, users=users)
    return popularity


def keys(*values):
    return np.array(values, np.uint64)


def plain(rows, half_life, now=NOW):
    counts = defaultdict(float)
    for key, time, weight, _ in rows:
        counts[key] += float(np.float32(weight)) * 2 ** ((time - now) / DAY / half_life)
    return counts


@given(many, st.sampled_from(HALF_LIVES))
def test_counts_against_plain_arithmetic(rows, half_life):
    popularity = counted(rows)
    expected = plain(rows, half_life)
    scores = popularity.scores(keys(1, 2, 3, 4, 5, 6, 7), half_life, NOW)
    assert scores == pytest.approx([expected[key] for key in range(1, 8)], rel=1e-9, abs=1e-100)
    taken, users = popularity.counts(keys(1, 2, 3, 4, 5, 6, 7), NOW)
    assert taken[HALF_LIVES.index(half_life)] == pytest.approx(scores)
    assert users.tolist() == popularity.users(keys(1, 2, 3, 4, 5, 6, 7)).tolist()


@given(many, many, st.randoms(), st.sampled_from(HALF_LIVES))
def test_order_and_batching_change_nothing(one, two, random, half_life):
    loose = [[row] for row in one + two]
    random.shuffle(loose)
    together, apart = counted(one, two), counted(*loose)
    every = keys(1, 2, 3, 4, 5, 6)
    assert apart.scores(every, half_life, NOW) == pytest.approx(
        together.scores(every, half_life, NOW), rel=1e-9, abs=1e-100
    )
    assert apart.users(every).tolist() == together.users(every).tolist()
    assert apart.population == together.population


@given(st.lists(many, min_size=1, max_size=6), st.sampled_from(HALF_LIVES), st.integers(1, 6))
def test_top_is_right_after_every_add(batches, half_life, n):
    """What is kept sorted between adds gives the same answer as sorting everything."""
    popularity = Popularity()
    for rows in batches:
        ks, times, weights, users = arrays(rows)
        popularity.add(ks, times, weights, users=users)
        best, scores = popularity.top(n, half_life, NOW)
        every = keys(1, 2, 3, 4, 5, 6)
        all_scores = popularity.scores(every, half_life, NOW)
        order = np.lexsort((every, -all_scores))
        order = order[all_scores[order] > 0][:n]
        assert best.tolist() == every[order].tolist()
        assert scores.tolist() == all_scores[order].tolist()


def test_top_among_more_items_than_are_kept():
    rng = np.random.default_rng(3)
    popularity = Popularity()
    every = np.arange(1, 3 * BEST, dtype=np.uint64)
    ones = np.ones(len(every), np.float32)
    popularity.add(every, NOW - rng.integers(0, 30 * DAY, len(every)), ones)
    for size in (10, BEST, 2 * BEST, 5 * BEST, 10):
        for _ in range(3):
            some = rng.choice(every, 50)
            popularity.add(some, NOW - rng.integers(0, 9 * DAY, 50), ones[:50])
            best, _ = popularity.top(size, 7.0, NOW)
            scores = popularity.scores(every, 7.0, NOW)
            order = np.lexsort((every, -scores))[:size]
            assert best.tolist() == every[order].tolist()


def test_ties_break_by_key():
    popularity = counted([(5, NOW, 1.0, 1), (2, NOW, 1.0, 1), (9, NOW, 1.0, 1)])
    assert popularity.top(3, 7.0, NOW)[0].tolist() == [2, 5, 9]
    popularity.add(keys(1), np.array([NOW]), np.array([1.0]))
    assert popularity.top(4, 7.0, NOW)[0].tolist() == [1, 2, 5, 9]


def test_decades_do_not_overflow():
    """Forty years at a half-life of six hours, forwards and backwards."""
    times = NOW - np.arange(0, 40 * 365, 30) * DAY
    for order in (times, times[::-1]):
        popularity = Popularity()
        for place, time in enumerate(order.tolist()):
            popularity.add(keys(1 + place % 3), np.array([time]), np.array([1.0]))
        assert np.isfinite(popularity.counts(keys(1, 2, 3), NOW)[0]).all()
        assert popularity.scores(keys(1), 0.25, NOW) == pytest.approx([1.0])
        best = popularity.top(3, 60.0, NOW)[0].tolist()
        assert best == popularity.top(3, 60.0, NOW + 20 * 365 * DAY)[0].tolist()
        later = popularity.scores(keys(*best), 60.0, NOW + 20 * 365 * DAY)
        assert (later > 0).all()


def test_what_has_no_item_or_no_weight_does_not_count():
    popularity = counted([(0, NOW, 1.0, 1), (3, NOW, 0.0, 1), (4, NOW, -1.0, 1)])
    assert len(popularity.top(9, 7.0, NOW)[0]) == 0
    assert popularity.population == 0
    popularity.add(*arrays([]))


def test_users_are_counted_once():
    popularity = counted([(1, NOW, 1.0, 1), (1, NOW, 1.0, 1)], [(1, NOW, 1.0, 2), (2, NOW, 1.0, 2)])
    assert popularity.users(keys(1, 2, 3)).tolist() == [2, 1, 0]
    assert popularity.population == 2
    common, rare, unknown = popularity.idf(keys(1, 2, 3))
    assert 0 < common < rare < unknown


def test_removed_items_are_gone():
    popularity = counted([(1, NOW, 1.0, 1), (2, NOW, 1.0, 1)])
    popularity.top(2, 7.0, NOW)
    popularity.remove(keys(1, 77))
    assert popularity.top(2, 7.0, NOW)[0].tolist() == [2]
    assert popularity.users(keys(1, 2)).tolist() == [0, 1]


# --- trends --------------------------------------------------------------------------------------


def steady(key, a_day, days=120):
    return [
        (key, NOW - d * DAY - h * DAY // a_day, 1.0, 1) for d in range(days) for h in range(a_day)
    ]


def test_a_trend_is_more_than_usual():
    rising = [(2, NOW - hours * DAY // 24, 1.0, 1) for hours in range(12)]
    popularity = counted(steady(1, 6), steady(3, 1), rising)
    found, strength = popularity.trend(5, NOW)
    assert found.tolist() == [2]
    assert strength[0] > 1


def test_one_event_on_a_rare_item_is_no_trend():
    popularity = counted(steady(1, 2), [(2, NOW, 1.0, 1)])
    popularity.add(keys(3, 3), np.array([NOW, NOW]), np.array([1.0, 1.0]))
    assert popularity.trend(5, NOW)[0].tolist() == []


# --- storing -------------------------------------------------------------------------------------


@given(st.lists(many, max_size=3), many)
def test_saved_and_loaded_is_the_same(batches, more):
    before = counted(*batches)
    after = Popularity.load(before.save())
    ks, times, weights, users = arrays(more)
    for popularity in (before, after):
        popularity.add(ks, times, weights, users=users)
    every = keys(1, 2, 3, 4, 5, 6)
    assert after.counts(every, NOW)[0].tolist() == before.counts(every, NOW)[0].tolist()
    assert after.users(every).tolist() == before.users(every).tolist()
    assert after.top(9, 7.0, NOW)[0].tolist() == before.top(9, 7.0, NOW)[0].tolist()
    assert after.population == before.population


@pytest.mark.parametrize("saved", [b"", b"nonsense", b"PK\x03\x04broken"])
def test_what_was_not_saved_by_us_is_refused(saved):
    with pytest.raises(InvalidInput, match="count the events"):
        Popularity.load(saved)


def test_an_unknown_half_life_names_the_known_ones():
    with pytest.raises(Misconfigured, match=r"0\.25, 1, 2, 7, 21, 60"):
        Popularity().top(1, 3.0, NOW)


# --- numbering -----------------------------------------------------------------------------------

some_keys = st.lists(st.integers(1, 40), max_size=30)


@given(st.lists(some_keys, max_size=5))
def test_members_is_a_set(batches):
    members, model = Members(), set()
    for batch in batches:
        new = members.add(keys(*batch))
        expected = []
        for key in batch:
            expected.append(key not in model)
            model.add(key)
        assert new.tolist() == expected
    assert members.all().tolist() == sorted(model)
    assert len(members) == len(model)


@given(st.lists(some_keys, max_size=5))
def test_index_numbers_in_order_of_arrival(batches):
    index, model = Index(), {}
    for batch in batches:
        expected = [model.setdefault(key, len(model)) for key in batch]
        assert index.place(keys(*batch)).tolist() == expected
    assert index.keys[: len(index)].tolist() == list(model)
    assert index.find(keys(*range(1, 41))).tolist() == [model.get(key, -1) for key in range(1, 41)]


def test_many_keys_are_merged_as_few_are():
    rng = np.random.default_rng(7)
    members, index, model = Members(), Index(), {}
    for size in (10, 9_000, 3_000, 3_000, 3_000, 20_000, 5):
        batch = rng.integers(1, 40_000, size).astype(np.uint64)
        new = members.add(batch)
        fresh = [key for key in dict.fromkeys(batch.tolist()) if key not in model]
        assert int(new.sum()) == len(fresh)
        expected = [model.setdefault(key, len(model)) for key in batch.tolist()]
        assert index.place(batch).tolist() == expected
    assert members.all().tolist() == sorted(model)
    assert len(index) == len(model)
