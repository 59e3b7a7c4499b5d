"""What is read from a profile agrees with plain arithmetic, and depends on nothing else."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_profile import STRONG, batch, event, events_of, folded, records
from windowshop import profile as profiles
from windowshop.errors import Misconfigured
from windowshop.profile import Profile, SearchEvent, Weights
from windowshop.records import KIND_CODE, KINDS

DAY = 86_400_000

# --- reading -------------------------------------------------------------------------------------


def test_seen_and_recently_viewed():
    profile = events_of([("view", 3), ("purchase", 9), ("click", 2), ("view", 3), ("dwell", 5)])
    assert profiles.seen(profile).tolist() == [2, 3, 5, 9]
    assert profiles.recently_viewed(profile).tolist() == [5, 3, 2]
    assert profiles.last_kind(profile, 3) == KIND_CODE["view"]
    assert profiles.last_kind(profile, 9) == KIND_CODE["purchase"]
    assert profiles.last_kind(profile, 77) is None


@given(batch, st.integers(0, 20))
def test_habit_against_plain_arithmetic(rows, now):
    """Decayed counts of purchases; without any, of other positive strong kinds; then of visits."""
    profile = folded(rows, limits=profiles.LIMITS)
    weigh = dict(zip(range(len(profile.events)), Weights().weigh(profile.events), strict=True))
    named = [(KINDS[e["kind"]], e, weigh[n]) for n, e in enumerate(profile.events)]
    for wanted in (
        lambda kind, _: kind == "purchase",
        lambda kind, weight: kind in STRONG and weight > 0,
        lambda kind, _: kind in {"view", "click"},
    ):
        chosen = [(e, 1) for kind, e, weight in named if wanted(kind, weight)]
        if chosen:
            break
    else:
        assert profiles.habit(profile, now).basis is None
        return
    chosen += [(e, -1) for kind, e, _ in named if kind == "return"]
    scores, counts, last = defaultdict(float), defaultdict(int), {}
    for e, sign in chosen:
        item = int(e["item"])
        scores[item] += sign * 2 ** (-max(now - int(e["time"]), 0) / DAY / 0.0001)
        if sign > 0:
            counts[item] += 1
            last[item] = max(last.get(item, -9), int(e["time"]))
    found = profiles.habit(profile, now, half_life_days=0.0001)
    expected = [item for item in sorted(last) if scores[item] > 1e-7]
    assert found.keys.tolist() == expected
    assert found.scores == pytest.approx([scores[item] for item in expected], rel=1e-5)
    assert found.counts.tolist() == [counts[item] for item in expected]
    assert found.last_ms.tolist() == [last[item] for item in expected]


def test_a_return_takes_back_a_purchase():
    profile = events_of([("purchase", 1), ("purchase", 2), ("purchase", 2), ("return", 1)])
    found = profiles.habit(profile, 4 * DAY)
    assert (found.keys.tolist(), found.counts.tolist()) == ([2], [2])
    assert found.kinds.tolist() == [KIND_CODE["purchase"]]


def test_habit_says_what_it_rests_on():
    assert profiles.habit(events_of([("view", 1), ("purchase", 2)]), 0).basis == "purchase"
    assert profiles.habit(events_of([("view", 1), ("rate", 2, 5)]), 0).basis == "strong"
    assert profiles.habit(events_of([("view", 1), ("rate", 2, 1)]), 0).basis == "weak"
    assert profiles.habit(Profile.EMPTY, 0).basis is None


def test_history_against_plain_arithmetic():
    profile = events_of(
        [("purchase", 7), ("view", 8), ("purchase", 7), ("dislike", 9), ("like", 3)]
    )
    now = 10 * DAY
    counts = {
        7: 2 ** (-10 / 120) + 2 ** (-8 / 120),
        8: 0.2 * 2 ** (-9 / 120),
        3: 0.8 * 2 ** (-6 / 120),
    }
    logs = {item: math.log1p(count) for item, count in counts.items()}
    norm = math.sqrt(sum(value**2 for value in logs.values()))
    found = profiles.history(profile, now)
    assert found.indices.tolist() == [3, 7, 8]
    assert found.values.tolist() == pytest.approx([logs[i] / norm for i in (3, 7, 8)], rel=1e-6)
    assert found.values.dtype == np.float32


def test_history_has_one_weight_an_index():
    """Two keys that share their low 32 bits meet in one dimension."""
    profile = events_of([("purchase", 5), ("purchase", 5 + 2**32), ("purchase", 6)])
    found = profiles.history(profile, 0)
    assert found.indices.tolist() == [5, 6]
    assert np.linalg.norm(found.values) == pytest.approx(1)
    assert found.values[0] > found.values[1]
    assert len(profiles.history(Profile.EMPTY, 0).indices) == 0


# --- weights -------------------------------------------------------------------------------------


def test_weights_by_kind_and_value():
    weights = Weights()
    profile = events_of(
        [("rate", 1, 5), ("rate", 2, 3), ("rate", 3, 1), ("dwell", 4, 0), ("like", 5)]
    )
    assert weights.weigh(profile.events).tolist() == [4, 0, -4, 0, 4]
    dwells = events_of([("dwell", 1, 5), ("dwell", 2, 60), ("dwell", 3, 600), ("dwell", 4, 86_400)])
    short, long, capped, left_open = weights.weigh(dwells.events).tolist()
    assert 0 < short < long < capped == left_open
    assert weights.gain(profile.events).tolist() == pytest.approx([0.8, 0, 0, 0, 0.8])


def test_weights_are_configurable():
    weights = Weights().replaced({"view": 3, "return": -1})
    assert (weights.view, weights.return_, weights.purchase) == (3, -1, 5)
    assert weights.weigh(events_of([("view", 1), ("return", 2)]).events).tolist() == [3, -1]
    with pytest.raises(Misconfigured, match="veiw"):
        weights.replaced({"veiw": 1})


# --- tastes --------------------------------------------------------------------------------------

DIM = 8


def near(axis, wobble=0.0, other=7):
    vector = np.zeros(DIM, np.float32)
    vector[axis], vector[other] = 1, wobble
    return vector / np.linalg.norm(vector)


def test_nothing_known_is_no_taste():
    assert len(profiles.tastes(Profile.EMPTY, {}, {}).vectors) == 0
    unknown = profiles.tastes(events_of([("view", 1), ("view", 2)]), {}, {})
    assert (len(unknown.vectors), unknown.mean, unknown.missing) == (0, None, 2)


def test_one_interest_where_all_is_alike():
    profile = events_of([("purchase", 1), ("view", 2), ("like", 3)])
    vectors = {1: near(0, 0.1), 2: near(0, 0.2), 3: near(0, -0.1)}
    found = profiles.tastes(profile, vectors, {})
    assert found.vectors.shape == (1, DIM)
    assert found.weights.tolist() == [1]
    assert sorted(found.items[0].tolist()) == [1, 2, 3]
    assert found.vectors[0] == pytest.approx(found.mean, abs=1e-6)


def test_several_interests_and_not_one_blurred_mean():
    profile = events_of([("purchase", 1), ("purchase", 2), ("view", 3), ("view", 4)], step=1)
    found = profiles.tastes(profile, {1: near(0), 2: near(0, 0.2), 3: near(3), 4: near(3)}, {})
    assert found.vectors.shape == (2, DIM)
    assert found.vectors[0] @ near(0) > 0.99
    assert found.vectors[1] @ near(3) > 0.99
    assert found.weights == pytest.approx([10 / 12, 2 / 12], abs=1e-4)
    assert [sorted(keys.tolist()) for keys in found.items] == [[1, 2], [3, 4]]
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx([1, 1])


def test_at_most_as_many_interests_as_asked_for():
    profile = events_of([("like", n) for n in range(1, 7)])
    vectors = {n: near(n - 1) for n in range(1, 7)}
    assert len(profiles.tastes(profile, vectors, {}, max_interests=2).vectors) == 2


def test_what_was_disliked_is_taken_out_of_the_nearest_interest():
    likes = [("purchase", 1), ("purchase", 2)]
    vectors = {1: near(0, 0.5), 2: near(3), 9: near(0, 0.9)}
    before = profiles.tastes(events_of([*likes, ("view", 9)]), vectors, {})
    after = profiles.tastes(events_of([*likes, ("remove_from_cart", 9)]), vectors, {})

    def interest(found, axis):
        return found.vectors[np.argmax(found.vectors @ near(axis))]

    assert interest(after, 0) @ vectors[9] < interest(before, 0) @ vectors[9]
    assert interest(after, 3) == pytest.approx(near(3))


def test_what_was_bought_and_then_disliked_is_no_interest():
    profile = events_of([("like", 1), ("purchase", 2), ("dislike", 1)])
    found = profiles.tastes(profile, {1: near(0), 2: near(3)}, {})
    assert found.vectors.shape == (1, DIM)
    assert found.vectors[0] == pytest.approx(near(3))
    nothing = profiles.tastes(events_of([("view", 1), ("dislike", 1)]), {1: near(0)}, {})
    assert len(nothing.vectors) == 0


def test_searches_count_like_items():
    profile = profiles.fold_events(Profile.EMPTY, records([]), [SearchEvent(0, 0, 1, "oat milk")])
    found = profiles.tastes(profile, {}, {"oat milk": near(2)})
    assert found.mean == pytest.approx(near(2))
    pull = profiles.pulls(profile)
    assert pull.queries == ["oat milk"]
    assert pull.kinds.tolist() == [KIND_CODE["search"]]


def test_newer_events_weigh_more():
    profile = events_of([("purchase", 1), ("purchase", 2)], step=30 * DAY)
    found = profiles.tastes(profile, {1: near(0), 2: near(3)}, {}, half_life_days=30)
    assert found.weights == pytest.approx([2 / 3, 1 / 3])
    assert found.items[0].tolist() == [2]


@given(st.lists(event, min_size=1, max_size=12), st.integers(0, 10**12))
def test_tastes_depend_on_neither_clock_nor_order(rows, shift):
    vectors = {n: near(n - 1, 0.3) for n in range(1, 6)}
    plain = profiles.tastes(folded((rows, [])), vectors, {})
    moved = [(i, k, t + shift, r, c, v) for i, k, t, r, c, v in reversed(rows)]
    later = profiles.tastes(folded((moved, [])), vectors, {})
    assert plain.vectors.tobytes() == later.vectors.tobytes()
    assert plain.weights.tobytes() == later.weights.tobytes()


def test_pulls_name_the_event_that_weighs_most():
    profile = events_of([("view", 1), ("purchase", 1), ("view", 1), ("view", 2)], step=1)
    pull = profiles.pulls(profile)
    assert pull.items.tolist() == [2, 1]
    assert [KINDS[kind] for kind in pull.kinds] == ["view", "purchase"]
    assert pull.weights.tolist() == pytest.approx([1, 7], abs=1e-5)
