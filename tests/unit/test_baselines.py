"""The baselines against plain arithmetic over all that was known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windowshop.errors import InvalidInput, Misconfigured
from windowshop.evaluate import contest, factors
from windowshop.evaluate.baselines import (
    DAY_MS,
    FOR_EVER,
    HEAD,
    Ranking,
    frequency,
    popularity,
    shown,
    text_only,
)
from windowshop.evaluate.contest import BASELINES, compete, named
from windowshop.evaluate.neighbours import item_knn, tifu_knn, user_knn
from windowshop.evaluate.protocol import by_time, leave_last_out
from windowshop.evaluate.trace import Draft
from windowshop.evaluate.vectors import Row, Rows
from windowshop.profile import EventRow
from windowshop.records import KIND_CODE, item_key

PURCHASE = KIND_CODE["purchase"]


def bought(user, item, day, row):
    name = f"i{item:02}"
    return EventRow(
        f"u:{user:02}", f"e{row}", row, PURCHASE, int(day * DAY_MS), row,
        name, item_key("s", name), 1.0, None,
    )  # fmt: skip


def shop(seed=1, users=12, items=30, baskets=9):
    """A small supermarket: everybody has staples, and takes what is new now and then."""
    random = np.random.default_rng(seed)
    draft, row = Draft(), 0
    for user in range(users):
        staples = random.choice(items, 4, replace=False)
        days = np.sort(random.uniform(0, 60, baskets))
        for day in days:
            for item in {*random.choice(staples, 2), int(random.integers(items))}:
                row += 1
                draft.add(bought(user, item, day, row))
    return draft.finish(f"i{item:02}" for item in range(items))


@pytest.fixture(scope="module")
def trial():
    return by_time(shop(), 0.7, 1.0, None, 1)


def known(trial, query, user=None):
    """(item, days before the query) of all purchases strictly before it."""
    trace = trial.trace
    return [
        (int(trace.item[at]), (query.time - int(trace.time[at])) / DAY_MS)
        for at in range(len(trace))
        if trace.time[at] < query.time and user in (None, int(trace.user[at]))
    ]


def users_before(trial, query):
    return {u: own for u in range(len(trial.trace.users)) if (own := known(trial, query, u))}


def assert_scores(trial, method, wanted):
    """`wanted(query)` gives {item: score} of the items that score."""
    for query, scores in zip(trial.queries, method(trial), strict=True):
        right = np.zeros(len(trial.trace.items))
        for item, score in wanted(query).items():
            right[item] = score
        np.testing.assert_allclose(
            scores / max(scores.max(), 1e-300), right / max(right.max(), 1e-300), atol=1e-9
        )


# --- lists ---------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.5]), min_size=1, max_size=3 * HEAD),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.5, 2.0, 9.0]),
)
def test_a_ranking_is_by_score_then_by_item_and_leaves_out_what_is_barred_or_scores_nothing(
    scores, seed, cut
):
    scores = np.array(scores)
    barred = np.random.default_rng(seed).random(len(scores)) < 0.4
    right = sorted(np.flatnonzero((scores > 0) & ~barred), key=lambda item: (-scores[item], item))
    ranking = Ranking(scores, cut)
    for most in (10, 3, 100, 10):
        assert ranking.best(barred, most).tolist() == right[:most]


def test_lists_are_filled_up_and_new_ones_hold_nothing_seen(trial):
    lists = shown(trial, frequency(90.0)(trial), popularity(7.0)(trial)).lists
    for row, query in enumerate(trial.queries):
        own = {item for item, _ in known(trial, query, query.user)}
        everything, fresh = lists["all"][row].tolist(), lists["new"][row].tolist()
        assert set(everything[: min(len(own), 10)]) <= own
        assert not own & set(fresh)
        for found in (everything, fresh):
            assert len(set(found)) == len(found)
            assert found.index(-1) == len({*found} - {-1}) if -1 in found else True


# --- popularity and habit ------------------------------------------------------------------------


@pytest.mark.parametrize("half_life", [0.25, 7.0, FOR_EVER])
def test_popularity_is_the_sum_of_halving_purchases_of_all_before(trial, half_life):
    def wanted(query):
        sums = {}
        for item, age in known(trial, query):
            sums[item] = sums.get(item, 0) + 2 ** (-age / half_life)
        return sums

    assert_scores(trial, popularity(half_life), wanted)


@pytest.mark.parametrize("half_life", [7.0, 90.0])
def test_frequency_is_the_same_of_the_user_alone(trial, half_life):
    def wanted(query):
        sums = {}
        for item, age in known(trial, query, query.user):
            sums[item] = sums.get(item, 0) + 2 ** (-age / half_life)
        return sums

    assert_scores(trial, frequency(half_life), wanted)


def test_leave_last_out_knows_every_history_and_no_last_event():
    trial = leave_last_out(shop(), 1, None, 1)
    trace = trial.trace
    counts = np.zeros(len(trace.items))
    for user in range(len(trace.users)):
        np.add.at(counts, trace.item[trace.of(user)[:-1]], 1)
    for scores in popularity(FOR_EVER)(trial):
        np.testing.assert_allclose(scores, counts)


# --- neighbours ----------------------------------------------------------------------------------


def dense(vectors, width):
    rows = np.zeros((len(vectors), width))
    for row, vector in enumerate(vectors):
        for item, value in vector.items():
            rows[row, item] = value
    return rows


@pytest.mark.parametrize("neighbours", [3, 100])
def test_user_knn(trial, neighbours):
    count = len(trial.trace.items)

    def vector(own):
        newest = min(age for _, age in own)
        sums = {}
        for item, age in own:
            sums[item] = sums.get(item, 0) + 2 ** (-(age - newest) / 120)
        logs = {item: math.log1p(value) for item, value in sums.items()}
        norm = math.sqrt(sum(value**2 for value in logs.values()))
        return {item: value / norm for item, value in logs.items()}

    def wanted(query):
        histories = users_before(trial, query)
        vectors = {user: vector(own) for user, own in histories.items()}
        people = len(trial.trace.users)
        have = {i: sum(i in v for v in vectors.values()) for i in range(count)}
        own = vectors.get(query.user, {})
        asked = {
            item: value * math.log1p((people - have[item] + 0.5) / (have[item] + 0.5))
            for item, value in own.items()
        }
        near = {
            user: sum(asked.get(item, 0) * value for item, value in other.items())
            for user, other in vectors.items()
            if user != query.user
        }
        best = sorted((u for u in near if near[u] > 0), key=lambda u: (-near[u], u))[:neighbours]
        sums = {}
        for user in best:
            for item, age in histories[user]:
                if age <= 60:
                    sums[item] = sums.get(item, 0) + near[user] * 2 ** (-age / 10)
        return sums

    assert_scores(trial, user_knn(neighbours), wanted)


@pytest.mark.parametrize(("neighbours", "share", "groups"), [(3, 0.7, 3), (100, 0.2, 7)])
def test_tifu_knn(trial, neighbours, share, groups):
    within, across = 0.9, 0.7
    count = len(trial.trace.items)

    def vector(own):
        ages = sorted({age for _, age in own}, reverse=True)
        baskets = [{item for item, age in own if age == when} for when in ages]
        parts = np.array_split(np.arange(len(baskets)), min(groups, len(baskets)))
        # Uneven groups: the later ones are the larger, as place * groups // count cuts them.
        labels = [
            place * min(groups, len(baskets)) // len(baskets) for place in range(len(baskets))
        ]
        parts = [[p for p, label in enumerate(labels) if label == g] for g in range(len(parts))]
        sums = {}
        for g, places in enumerate(parts):
            for at, place in enumerate(places):
                weight = within ** (len(places) - 1 - at) / len(places)
                weight *= across ** (len(parts) - 1 - g) / len(parts)
                for item in baskets[place]:
                    sums[item] = sums.get(item, 0) + weight
        return sums

    def wanted(query):
        vectors = {user: vector(own) for user, own in users_before(trial, query).items()}
        own = vectors.get(query.user, {})
        order = [user for user in vectors if user != query.user]
        rows = dense([vectors[user] for user in order], count)
        far = ((rows - dense([own], count)) ** 2).sum(axis=1)
        best = np.argsort(far, kind="stable")[:neighbours]
        mean = rows[best].mean(axis=0) if len(best) else np.zeros(count)
        scores = (1 - share) * mean + share * dense([own], count)[0]
        return {item: score for item, score in enumerate(scores.tolist()) if score}

    assert_scores(trial, tifu_knn(neighbours, share, within, across, groups), wanted)


def test_item_knn(trial):
    first = trial.queries[0]
    owners = {}
    for user, own in users_before(trial, first).items():
        for item, _ in own:
            owners.setdefault(item, set()).add(user)

    def near(item):
        mine = owners.get(item, set())
        cosines = {
            other: len(mine & theirs) / (math.sqrt(len(mine) * len(theirs)) + 10)
            for other, theirs in owners.items()
            if mine & theirs
        }
        best = sorted(cosines, key=lambda other: (-cosines[other], other))[:5]
        return {other: cosines[other] for other in best}

    def wanted(query):
        own = [item for item, _ in known(trial, query, query.user)]
        sums = {}
        for item in set(own):
            for other, cosine in near(item).items():
                sums[other] = sums.get(other, 0) + math.log1p(own.count(item)) * cosine
        return sums

    assert_scores(trial, item_knn(10.0, neighbours=5), wanted)


def test_text_only(trial):
    vectors = np.random.default_rng(3).normal(size=(len(trial.trace.items), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = zip(trial.queries, text_only(vectors, 2.0)(trial), strict=True)
    for query, scores in pairs:
        own = [item for item, _ in sorted(known(trial, query, query.user), key=lambda e: -e[1])]
        mean = sum(2 ** (-step / 2) * vectors[item] for step, item in enumerate(reversed(own)))
        wanted = np.maximum(vectors @ mean / np.linalg.norm(mean), 0) if own else 0
        np.testing.assert_allclose(scores, wanted, atol=1e-5)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_products_are_those_of_the_rows_as_they_are_now(seed):
    random = np.random.default_rng(seed)
    count, width = 40, 20
    rows, right = Rows(count, width), np.zeros((count, width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("windowshop.evaluate.vectors.LOOSE", int(random.integers(60)))
        for _ in range(4):
            for row in random.choice(count, int(random.integers(1, count))).tolist():
                at = np.sort(random.choice(width, int(random.integers(1, 6)), replace=False))
                values = random.normal(size=len(at))
                rows.put(row, Row(at, values))
                right[row] = 0
                right[row, at] = values
            at = np.sort(random.choice(width, 5, replace=False))
            query = np.zeros(width)
            query[at] = 1.5
            np.testing.assert_allclose(rows.products(Row(at, query[at])), right @ query, atol=1e-9)
            np.testing.assert_allclose(rows.squares, (right**2).sum(axis=1))
            np.testing.assert_array_equal(rows.having, (right != 0).sum(axis=0))


def test_many_rows_put_of_late_are_all_multiplied():
    rows, values = Rows(9, 800), np.arange(800.0)
    for row in range(9):
        rows.put(row, Row(np.arange(800), values * row))
    query = Row(np.array([3, 799]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(rows.products(query), (3 + 2 * 799) * np.arange(9))


# --- the contest ---------------------------------------------------------------------------------


def test_every_baseline_gives_full_lists_with_settings_that_validation_chose():
    trace = shop()
    test, validation = by_time(trace, 0.8, 1.0, None, 1), by_time(trace, 0.6, 0.8, None, 1)
    vectors = np.eye(len(trace.items), dtype=np.float32)
    entries, left_out = compete(BASELINES, test, validation, vectors)
    assert set(entries) == set(BASELINES)
    assert left_out == {}
    for entry in entries.values():
        assert set(entry.lists) == set(entry.settings) == {"all", "new"}
        assert (entry.lists["all"] >= 0).all()


def test_names_of_baselines():
    assert named("all") == BASELINES
    assert named("none") == ()
    assert named("tifu-knn, popularity") == ("tifu_knn", "popularity")
    with pytest.raises(InvalidInput, match="best_seller"):
        named("best-seller")


def test_what_cannot_run_is_left_out_with_the_reason(monkeypatch, trial):
    monkeypatch.setattr(factors, "find_spec", lambda package: None)
    monkeypatch.setattr(contest, "MOST_ITEMS", 5)
    entries, left_out = compete(("popularity", "ials", "ease", "text_only"), trial, None, None)
    assert set(entries) == {"popularity"}
    assert "windowshop[train]" in left_out["ials"]
    assert "windowshop[train]" in left_out["ease"]
    assert "vectors" in left_out["text_only"]
    assert "ials" in named("all")
    with pytest.raises(Misconfigured, match=r"ials cannot run here.*implicit is missing"):
        named("popularity,ials")
    monkeypatch.undo()
    monkeypatch.setattr(contest, "MOST_ITEMS", 5)
    assert "30 items were taken before" in compete(("ease",), trial, None, None).left_out["ease"]


def test_who_has_nothing_to_learn_from_says_so():
    draft = Draft()
    for user in range(3):
        draft.add(bought(user, user, 0.0, user))
    trial = leave_last_out(draft.finish(["i00", "i01", "i02"]), 1, None, 1)
    left_out = compete(("ials", "ease"), trial, None, None).left_out
    assert left_out == dict.fromkeys(("ials", "ease"), "nothing was known to learn from")


# --- what nobody had before ----------------------------------------------------------------------


def test_longer_lists_are_kept_where_something_cold_was_taken():
    """Ten users, each with all but one of 40 items; then two of them take what nobody ever had."""
    draft = Draft()
    for row, (user, item) in enumerate((u, i) for u in range(10) for i in range(40) if i % 10 != u):
        draft.add(bought(user, item, float(item), row))
    for row, (user, item) in enumerate([(3, 77), (4, 78), (5, 5), (6, 77)]):
        draft.add(bought(user, item, 100.0 + row, 1_000 + row))
    trial = by_time(draft.finish(f"i{item:02}" for item in range(90)), 0.99, 1.0, None, 1)
    number = {name: place for place, name in enumerate(trial.trace.items)}
    cold = [[trial.trace.items[item] for item in trial.cold_taken(q)] for q in trial.queries]
    assert cold == [["i77"], ["i78"], [], []]

    vectors = np.ones((90, 1), np.float32)  # all alike: in the order of their numbers
    found = shown(trial, text_only(vectors, 2.0)(trial), popularity(7.0)(trial), deep=True)
    assert sorted(found.deep) == [0, 1]
    seen = {number[f"i{item:02}"] for item in range(40) if item % 10 != 3}
    assert found.deep[0].tolist() == [item for item in range(90) if item not in seen]
    assert found.lists["new"][0].tolist() == found.deep[0][:10].tolist()
    sold = shown(trial, popularity(7.0)(trial), popularity(7.0)(trial), deep=True).deep[0]
    assert {trial.trace.items[item] for item in sold} == {"i03", "i13", "i23", "i33"}
