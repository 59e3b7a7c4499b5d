"""Ranking: order, ties, groups, caps, pins and diversity, as properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop import rank
from windowshop.rank import Candidate, Source


def source(signal: str, scores: dict[int, float]) -> Source:
    return Source(
        signal,
        np.array(list(scores), np.uint64),
        np.array(list(scores.values()), np.float32),
    )


def candidate(key: int, score: float, **item: object) -> Candidate:
    return Candidate(key, {"item_id": f"i{key:04}", **item}, score, key)


scored = st.dictionaries(st.integers(0, 40), st.floats(0, 1, width=32), max_size=20)


def test_blend_scales_each_signal_to_its_greatest() -> None:
    pool = rank.blend(
        [source("habit", {1: 4.0, 2: 2.0}), source("popular", {2: 100.0, 3: 50.0})],
        {"habit": 1.0, "popular": 0.5},
    )
    assert dict(zip(pool.keys.tolist(), pool.scores.tolist(), strict=True)) == {
        1: 1.0,
        2: 1.0,
        3: 0.25,
    }
    assert pool.strongest(pool.keys.tolist().index(1)) == "habit"
    assert pool.strongest(pool.keys.tolist().index(3)) == "popular"


def test_blend_takes_the_greatest_of_one_signal_and_ignores_unweighed_ones() -> None:
    pool = rank.blend(
        [
            source("meaning", {1: 0.5}),
            source("meaning", {1: 1.0, 2: 0.5}),
            source("trend", {9: 1.0}),
        ],
        {"meaning": 1.0},
    )
    assert pool.keys.tolist() == [1, 2]
    assert pool.scores.tolist() == [1.0, 0.5]


def test_blend_of_nothing_is_empty() -> None:
    pool = rank.blend([], {"habit": 1.0})
    assert len(pool.keys) == len(pool.scores) == 0


def test_an_all_zero_signal_names_no_cause() -> None:
    pool = rank.blend([source("habit", {1: 0.0})], {"habit": 1.0})
    assert pool.scores.tolist() == [0.0]
    assert pool.strongest(0) is None


@given(st.lists(scored, min_size=1, max_size=4))
def test_blend_keeps_every_proposal_once(proposals: list[dict[int, float]]) -> None:
    pool = rank.blend([source("habit", p) for p in proposals], {"habit": 2.0})
    assert sorted(pool.keys.tolist()) == sorted({key for p in proposals for key in p})
    assert all(0 <= score <= 2.0 + 1e-6 for score in pool.scores.tolist())


def test_equal_scores_stand_by_item_id() -> None:
    ordered = rank.in_order([candidate(3, 0.5), candidate(1, 0.5), candidate(2, 0.9)])
    assert [c.key for c in ordered] == [2, 1, 3]


def test_one_item_of_a_group() -> None:
    picked = rank.pick(
        [candidate(1, 3, group_id="shirt"), candidate(2, 2, group_id="shirt"), candidate(3, 1)], 3
    )
    assert [c.key for c in picked] == [1, 3]


def test_caps_count_whole_categories_and_each_value_of_a_list() -> None:
    ranked = [
        candidate(1, 4, category=["a", "b"], attributes={"tags": ["x", "y"]}),
        candidate(2, 3, category=["a", "b"], attributes={"tags": ["y"]}),
        candidate(3, 2, category=["a"], attributes={"tags": ["z"]}),
    ]
    assert [c.key for c in rank.pick(ranked, 3, caps={"category": 1})] == [1, 3]
    assert [c.key for c in rank.pick(ranked, 3, caps={"attributes.tags": 1})] == [1, 3]


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from("AB"), st.floats(0, 1)),
        max_size=30,
        unique_by=lambda t: t[0],
    ),
    st.integers(1, 10),
    st.integers(1, 3),
)
def test_caps_hold_and_order_stays(
    rows: list[tuple[int, str, float]], limit: int, cap: int
) -> None:
    ranked = rank.in_order(candidate(key, score, brand=brand) for key, brand, score in rows)
    picked = rank.pick(ranked, limit, caps={"brand": cap})
    assert len(picked) <= limit
    for brand in "AB":
        assert sum(c.item["brand"] == brand for c in picked) <= cap
    assert [c.key for c in picked] == [c.key for c in ranked if c in picked]


def test_diversity_prefers_the_different_and_zero_changes_nothing() -> None:
    units = {1: [1.0, 0.0], 2: [1.0, 0.0], 3: [0.0, 1.0]}
    ranked = [candidate(1, 1.0), candidate(2, 0.9), candidate(3, 0.5)]

    def vectors(keys: object) -> rank.Floats:
        return np.array([units[key] for key in keys], np.float32)  # type: ignore[attr-defined]

    plain = rank.pick(ranked, 2, diversity=0.0, vectors=vectors)
    mixed = rank.pick(ranked, 2, diversity=0.7, vectors=vectors)
    assert [c.key for c in plain] == [1, 2]
    assert [c.key for c in mixed] == [1, 3]


@given(st.integers(1, 12), st.lists(st.integers(0, 15), min_size=1, max_size=4, unique=True))
def test_pins_stand_where_they_are_put_and_nothing_stands_twice(
    limit: int, places: list[int]
) -> None:
    slate = [candidate(key, 1 - key / 100) for key in range(limit)]
    pins = [(at, candidate(100 + n, 1.0)) for n, at in enumerate(places)]
    placed = rank.place_pins(slate, pins, limit)
    keys = [c.key for c in placed]
    assert len(keys) == len(set(keys)) == limit
    if len(places) <= limit:
        for at, pin in pins:
            assert keys.index(pin.key) == at or at >= limit - len(places)


def test_a_pinned_item_that_ranked_anyway_moves() -> None:
    slate = [candidate(1, 0.9), candidate(2, 0.8), candidate(3, 0.7)]
    placed = rank.place_pins(slate, [(0, candidate(3, 1.0))], 3)
    assert [c.key for c in placed] == [3, 1, 2]


@pytest.mark.parametrize("cosines", [[], [0.5], [0.5, 0.5], [0.9, 0.2, 0.7]])
def test_above_floor_keeps_order_and_lies_in_0_to_1(cosines: list[float]) -> None:
    moved = rank.above_floor(np.array(cosines, np.float32))
    assert (
        np.argsort(-moved, kind="stable").tolist()
        == np.argsort(-np.array(cosines), kind="stable").tolist()
    )
    assert all(0 < value <= 1 for value in moved.tolist())
