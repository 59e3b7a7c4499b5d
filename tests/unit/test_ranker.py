"""Learned rankers: trees as ONNX, and what a ranker does to a ranking."""

import dataclasses
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windowshop import ordering
from windowshop.errors import InvalidInput, NotFound, Unavailable
from windowshop.learned import MODEL, shelf_in
from windowshop.ordering import LEAST, MODELLED, learned_order
from windowshop.rank import Pool, Source, blend
from windowshop.ranker import Ranker, Rankers
from windowshop.train.sums import fit_sum
from windowshop.train.trees import below, sum_to_onnx, to_onnx, weighed

NAMES = ("a", "b", "c")

needs_lightgbm = pytest.mark.skipif(
    importlib.util.find_spec("lightgbm") is None, reason="the extra `train` is not installed"
)


# --- models --------------------------------------------------------------------------------------


def grown(seed, objective="regression", width=5, trees=30):
    import lightgbm

    chance = np.random.default_rng(seed)
    # Few distinct values: rows often lie exactly on thresholds.
    rows = np.round(chance.normal(size=(2_000, width)), 1).astype(np.float32)
    wanted = rows[:, 0] * rows[:, 1] + np.sin(3 * rows[:, 2]) > 0.2
    settings = {"objective": objective, "num_leaves": 15, "verbose": -1, "seed": seed}
    data = lightgbm.Dataset(rows, wanted.astype(int), group=[20] * 100)
    return lightgbm.train(settings, data, trees), rows


@needs_lightgbm
@pytest.mark.parametrize("objective", ["binary", "lambdarank", "regression"])
@pytest.mark.parametrize("seed", [1, 2])
def test_trees_score_as_lightgbm_does_also_on_their_thresholds(objective, seed):
    booster, rows = grown(seed, objective)
    dump = booster.dump_model()["tree_info"]
    ranker = Ranker(to_onnx(dump, 5), "vwxyz")
    on = []
    waiting = [tree["tree_structure"] for tree in dump]
    while waiting:
        node = waiting.pop()
        if "threshold" in node:
            row = rows[len(on) % len(rows)].copy()
            edge = np.float32(node["threshold"])
            for value in (edge, np.nextafter(edge, np.float32(np.inf)), below(node["threshold"])):
                row[node["split_feature"]] = value
                on.append(row.copy())
            waiting += [node["left_child"], node["right_child"]]
    asked = np.concatenate((rows, np.array(on, np.float32)))
    found = ranker.score(np.arange(len(asked), dtype=np.uint64), "vwxyz", asked)
    np.testing.assert_allclose(found, booster.predict(asked, raw_score=True), atol=1e-5)


@needs_lightgbm
def test_the_trees_of_several_models_add_up_to_their_weighted_sum():
    one, rows = grown(1, "binary")
    other, _ = grown(2, "lambdarank")
    forest = [
        weighed(tree, share)
        for model, share in ((one, 0.5), (other, 3.0))
        for tree in model.dump_model()["tree_info"]
    ]
    found = Ranker(to_onnx(forest, 5), "vwxyz").score(np.arange(len(rows)), "vwxyz", rows)
    wanted = 0.5 * one.predict(rows, raw_score=True) + 3 * other.predict(rows, raw_score=True)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@given(st.floats(-1e30, 1e30).filter(lambda threshold: not -2e-35 < threshold < 0))
def test_a_threshold_in_32_bits_never_lets_more_pass(threshold):
    found = below(threshold)
    assert found == float(np.float32(found)) <= threshold
    assert float(np.nextafter(np.float32(found), np.float32(np.inf))) > threshold


def summed(*weights):
    return sum_to_onnx(np.array(weights, np.float32))


def test_features_are_found_by_name_and_unknown_ones_count_as_0():
    ranker = Ranker(summed(1, 10, 100), ("c", "a", "gone"))
    rows = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    keys = np.arange(2, dtype=np.uint64)
    assert ranker.score(keys, NAMES, rows).tolist() == [13, 46]
    assert ranker.score(keys, ("c", "b", "a"), rows).tolist() == [31, 64]
    assert ranker.score(keys, ("b",), rows[:, :1]).tolist() == [0, 0]
    assert rows.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("model", [b"", b"none", summed(1, 2)])
def test_what_is_no_model_of_these_features_is_refused(model):
    with pytest.raises(Unavailable):
        Ranker(model, NAMES)


def test_a_weighted_sum_finds_what_tells_hits_from_the_rest():
    chance = np.random.default_rng(1)
    rows = chance.normal(size=(4_000, 3)).astype(np.float32)
    rows[:, 1] = 7
    weights = fit_sum(rows, 2 * rows[:, 0] - rows[:, 2] + chance.normal(size=4_000) > 1)
    assert weights[1] == 0
    assert weights[0] > 0 > weights[2]
    assert -weights[0] / weights[2] == pytest.approx(2, rel=0.2)


# --- versions ------------------------------------------------------------------------------------


def test_versions_are_promoted_and_taken_back(tmp_path):
    shelf, rankers = shelf_in(tmp_path), Rankers(shelf_in(tmp_path))
    for version in ("1", "2"):
        shelf.put("s", "ranker-all", version, {MODEL: summed(float(version))}, {"features": ["a"]})
    row, keys = np.ones((1, 1), np.float32), np.zeros(1, np.uint64)

    def serves(task="all"):
        ranker = rankers.get("s", task)
        return None if ranker is None else ranker.score(keys, ("a",), row).tolist()

    assert serves() is None
    shelf.promote("s", "ranker-all", "1")
    assert serves() == [1]
    shelf.promote("s", "ranker-all", "2")
    assert serves() == [2]
    assert serves("new") is None
    assert [(one.version, one.serves) for one in shelf.all("s")] == [("1", False), ("2", True)]
    assert shelf.rollback("s", "ranker-all") == "1"
    assert serves() == [1]
    assert shelf.rollback("s", "ranker-all") is None
    assert serves() is None
    with pytest.raises(InvalidInput):
        shelf.rollback("s", "ranker-all")
    with pytest.raises(NotFound):
        shelf.promote("s", "ranker-all", "3")


@pytest.mark.parametrize("body", [b"broken", None])
def test_a_broken_model_serves_as_none_and_the_log_says_so(tmp_path, capsys, body):
    shelf = shelf_in(tmp_path)
    shelf.put("s", "ranker-new", "1", {MODEL: body or b""}, {"features": ["a"]})
    if body is None:
        (tmp_path / "s" / "ranker-new" / "1" / MODEL).unlink()
    shelf.promote("s", "ranker-new", "1")
    assert Rankers(shelf_in(tmp_path)).get("s", "new") is None
    assert "model_not_opened" in capsys.readouterr().err


# --- what it does to a pool ----------------------------------------------------------------------


class Fixed:
    """Scores that a test has chosen, by key; all others 0."""

    def __init__(self, scores):
        self.scores, self.asked = scores, []

    def get(self, store, task):
        self.asked.append(task)
        return self

    def score(self, keys, names, rows):
        return np.array([self.scores.get(int(key), 0.0) for key in keys], np.float32)


def asking(ranker, seen="keep", own=(1,)):
    """A request with just as much of it as an order reads."""
    events = np.zeros(len(own), np.dtype([("item", np.uint64), ("kind", np.uint8)]))
    events["item"], events["kind"] = own, 1
    return SimpleNamespace(
        profile=SimpleNamespace(events=events, older=np.empty(0, np.uint64)),
        request=SimpleNamespace(seen=seen),
        world=SimpleNamespace(rankers=ranker),
        tenant=SimpleNamespace(name="s"),
    )


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """Features are another test's matter, and so is what a profile has seen."""
    monkeypatch.setattr(
        ordering, "features", lambda ask, sources, keys: (("a",), np.zeros((len(keys), 1), "f4"))
    )
    monkeypatch.setattr(
        ordering, "profiles", SimpleNamespace(seen=lambda profile: profile.events["item"])
    )


def pool_of(scores):
    keys = np.array(list(scores), np.uint64)
    return blend(
        [Source("popular", keys, np.array(list(scores.values()), np.float32))], {"popular": 1.0}
    )


scores = st.dictionaries(st.integers(1, 900), st.floats(0, 10, width=32), min_size=1, max_size=60)
learned = st.dictionaries(st.integers(1, 900), st.floats(-50, 50, width=32), max_size=60)


@given(scores, learned, st.sampled_from([3, 400]))
@settings(deadline=None)
def test_an_order_is_the_rankers_and_the_rest_stays_behind_in_its_own(plain, wanted, most):
    pool = pool_of(plain)
    ordering.MODELLED, held = most, ordering.MODELLED
    try:
        found = learned_order(asking(Fixed(wanted)), [], pool)
    finally:
        ordering.MODELLED = held
    assert found.keys.tolist() == pool.keys.tolist()
    assert found.parts is pool.parts
    best = set(pool.keys[np.argsort(-pool.scores, kind="stable")[:most]].tolist())
    for i, a in enumerate(pool.keys.tolist()):
        assert (found.scores[i] >= np.float32(LEAST)) == (a in best)
        assert 0 <= found.scores[i] <= 1
        for j, b in enumerate(pool.keys.tolist()):
            if a in best and b in best and wanted.get(a, 0) > wanted.get(b, 0):
                assert found.scores[i] >= found.scores[j]
            if a not in best and b not in best and pool.scores[i] > pool.scores[j]:
                assert found.scores[i] >= found.scores[j]


def test_equal_scores_stay_equal_and_the_task_is_what_is_asked():
    ranker = Fixed({1: 2.0, 2: 2.0, 3: 5.0})
    found = learned_order(asking(ranker), [], pool_of({1: 1, 2: 3, 3: 2, 4: 9}))
    assert found.scores[0] == found.scores[1] < found.scores[2] == 1
    for seen in ("drop", "demote", None):
        learned_order(asking(ranker, seen), [], pool_of({1: 1}))
    assert ranker.asked == ["all", "new", "new", "new"]


def test_what_may_not_be_shown_takes_no_place_among_what_is_looked_at():
    own = range(1, MODELLED + 1)
    pool = pool_of({**dict.fromkeys(own, 5.0), 1_000: 0.1})
    found = learned_order(asking(Fixed({1_000: 3.0}), "drop", own), [], pool)
    assert found.scores[-1] == 1
    assert found.scores[:-1].max() < LEAST


@pytest.mark.parametrize(
    "score",
    [
        lambda keys, names, rows: np.full(len(keys), np.nan, np.float32),
        lambda keys, names, rows: np.zeros(0, np.float32),
        lambda keys, names, rows: 1 / 0,
    ],
)
def test_a_ranker_that_fails_leaves_the_plain_order_and_a_line_in_the_log(score, capsys):
    pool = pool_of({1: 1.0, 2: 2.0})
    broken = SimpleNamespace(get=lambda store, task: SimpleNamespace(score=score))
    assert learned_order(asking(broken), [], pool) is pool
    assert "ranker_failed" in capsys.readouterr().err


def test_strangers_and_shops_without_a_ranker_keep_the_plain_order():
    pool = pool_of({1: 1.0})
    assert learned_order(asking(Fixed({}), own=()), [], pool) is pool
    assert learned_order(asking(SimpleNamespace(get=lambda *_: None)), [], pool) is pool
    empty = dataclasses.replace(
        pool, keys=pool.keys[:0], parts=pool.parts[:0], scores=pool.scores[:0]
    )
    assert (
        learned_order(
            asking(Fixed({})), [], Pool(*(empty.keys, empty.parts, empty.scores, ()))
        ).keys.size
        == 0
    )
