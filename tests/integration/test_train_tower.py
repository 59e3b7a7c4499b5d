"""Towers in a run of learning: what each is shown, which of them is used, kept and served. What is
learned is replaced by a tiny tower and a weighted sum: how well these do is tested elsewhere.
"""

import importlib.util
from contextlib import closing

import numpy as np
import pytest

from tests.contract.tiny_towers import items_of, model_of
from tests.integration.test_train import ITEMS, asked, run, write
from windowshop.features import NEVER, SIGNALS
from windowshop.local import open_shop
from windowshop.records import Request
from windowshop.train.examples import Examples
from windowshop.train.fits import Fit
from windowshop.train.placing import fit_to, without_space
from windowshop.train.tower import TowerFit
from windowshop.train.trees import sum_to_onnx

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lightgbm") is None or importlib.util.find_spec("torch") is None,
    reason="the extras `train` and `torch` are not installed",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("files"), users=5, days=30)


@pytest.fixture(scope="module")
def home(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "home"
    run("ingest", files[0], "--home", folder)
    run("record", files[1], "--home", folder)
    return folder


@pytest.fixture
def shown(monkeypatch):
    """What each tower was shown: the known events, and the number of epochs."""
    found = []

    def fit_tower(trace, known, keys, vectors, *, seed, epochs=None, then=None, **_):
        assert vectors.any(axis=1).sum() == len(ITEMS)
        assert (then is None) == (epochs is not None)
        assert then is None or not (known & then).any()
        found.append((trace, known, epochs))
        items = items_of(vectors.shape[1], keys[:20], seed)
        card = {"method": "softmax", "epochs": epochs or 3, "events": 1, "users": 1}
        return TowerFit(model_of(), items, card)

    monkeypatch.setattr("windowshop.train.placing.fit_tower", fit_tower)
    monkeypatch.setattr("windowshop.train.lessons.fit_beside", Here)
    return found


class Here:
    """Does at once and in this process what another would do meanwhile."""

    def __init__(self, *told, **more):
        self._fit = fit_to(*told, **more)

    def result(self):
        return self._fit

    def close(self):
        pass


@pytest.fixture(params=[True, False], ids=["it pays", "it does not"])
def pays(request, monkeypatch):
    """Whether rankers that know the tower do better."""

    def fit(examples, seed):
        knows = "learned_near" in examples.names
        told = "learned_near" if knows else "like_minded_score"
        weights = [float(name == told) for name in examples.names]
        figures = {"sum": 0.6 if knows == request.param else 0.5}
        return Fit(sum_to_onnx(np.array(weights, "f4")), examples.names, "sum", 0, figures)

    monkeypatch.setattr("windowshop.train.lessons.fit", fit)
    return request.param


def test_a_replay_uses_a_tower_where_it_pays(files, shown, pays):
    words = ("--items", files[0], "--events", files[1], "--baselines", "none")
    found = asked("evaluate", *words, "--train")
    learning = found["learning"]
    assert learning["tower"]["used"] is pays
    assert learning["tasks"]["all"]["validation"] != learning["without_tower"]["all"]["validation"]
    trace, first, epochs = shown[0]
    assert epochs is None
    positive = np.sort(trace.time[trace.positive])
    lessons, test = (positive[int(share * len(positive))] for share in (0.6, 0.8))
    assert trace.time[first].max() < lessons
    _, second, epochs = shown[1]
    assert epochs == 3
    assert trace.time[first].max() < trace.time[second].max() < test
    assert len(shown) == 2
    assert found["results"]["windowshop_trained"]["all"]["n"] > 0


def test_a_tower_is_learned_judged_and_served_with_its_rankers(
    home, shown, pays, monkeypatch, tmp_path
):
    monkeypatch.setattr("windowshop.train.home.may_serve", lambda _: True)
    found = asked("train", "tower", "--home", home)
    assert found["promoted"] is pays
    listed = asked("models", "list", "--home", home)["models"]
    if not pays:
        assert len(shown) == 2
        assert not any(row["serves"] and row["version"] == found["version"] for row in listed)
        return
    _, everything, epochs = shown[2]
    assert everything.all()
    assert epochs == 3
    assert {row["kind"] for row in listed if row["serves"]} == {
        "tower",
        *(one["kind"] for one in found["tasks"].values()),
    }
    with closing(open_shop(home)) as shop:
        assert shop.world.store.learned_by("default") == found["version"]
        slate = shop.recommend("default", Request(scenario="for_you", user_id="user01"))
        assert slate.degraded is None
    shown.clear()
    again = asked("train", "ranker", "--home", home)["tasks"]["all"]
    assert [known[2] for known in shown] == [None, 3]  # the tower was learned to there and there
    assert again["promoted"]
    assert asked("models", "rollback", "tower", "--home", home)["serves"] is None
    with closing(open_shop(home)) as shop:
        assert shop.world.store.learned_by("default") is None


def test_without_a_space_its_candidates_and_its_numbers_are_gone():
    names = ["learned_near", *(f"{signal}_rank" for signal in SIGNALS), "users"]
    rows = np.full((3, len(names)), NEVER, np.float32)
    rows[:, names.index("users")] = (5, 6, 7)
    rows[:, names.index("learned_rank")] = (0, 1, 2)
    rows[1, names.index("habit_rank")] = 4
    rows[2, names.index("popular_rank")] = 0
    some = Examples(tuple(names), [rows], [np.array([True, False, True])], [2], 9)
    found = without_space(some)
    assert not any(name.startswith("learned_") for name in found.names)
    assert found.rows[0][:, found.names.index("users")].tolist() == [6, 7]
    assert found.hits[0].tolist() == [False, True]
    assert (found.ideals, found.queries) == ([2], 9)
    assert some.rows[0].shape == (3, len(names))
