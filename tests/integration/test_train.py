"""Rankers from a home's own log to its slates: learned, judged, promoted, taken back."""

import csv
import hashlib
import importlib.util
import json
import random

import numpy as np
import pytest
from typer.testing import CliRunner

from windowshop.cli import app
from windowshop.evaluate.metrics import Gain
from windowshop.learned import MODEL
from windowshop.local import open_shop
from windowshop.ranker import Ranker
from windowshop.records import Request
from windowshop.train.examples import Examples
from windowshop.train.fits import FEWEST, fit, ndcg
from windowshop.train.home import may_serve

DAY = 86_400
ITEMS = [f"item{n:02}" for n in range(40)]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lightgbm") is None, reason="the extra `train` is not installed"
)


@pytest.fixture(autouse=True)
def no_torch(monkeypatch):
    """What towers add: test_train_tower."""
    monkeypatch.setattr("windowshop.train.lessons.possible", lambda: False)


def run(*args, code=0):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return result


def asked(*args):
    return json.loads(run(*args, "--json").stdout)


def write(folder, users=40, days=60, seed=1):
    """People who take again, after a while, what they took; and now and then what is new in the
    shop: (items, events).
    """
    chance = random.Random(seed)
    items, log = folder / "items.csv", folder / "events.csv"
    with items.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("item_id", "title", "category"))
        rows.writerows((item, f"Thing {item}", f"Aisle {n % 4}") for n, item in enumerate(ITEMS))
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("kind", "user_id", "item_id", "timestamp"))
        for user in range(users):
            staples, day = chance.sample(ITEMS, 3), chance.uniform(0, 5)
            while day < days:
                fashion = ITEMS[int(day // 6) * 3 % len(ITEMS)]
                for item in {chance.choice(staples), fashion if chance.random() < 0.5 else ""} - {
                    ""
                }:
                    when = 1_700_000_000 + int(day * DAY)
                    rows.writerow(("purchase", f"user{user:02}", item, when))
                day += chance.uniform(2, 5)
    return items, log


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def home(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "home"
    run("ingest", files[0], "--home", folder)
    run("record", files[1], "--home", folder)
    return folder


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "learned" not in path.parts
    }


@pytest.fixture(scope="module")
def trained(home):
    before = contents(home)
    found = asked("train", "ranker", "--home", home, "--seed", 3)
    assert contents(home) == before  # but for what was learned
    return found


def test_what_was_learned_is_told_and_kept(trained, home):
    assert trained["protocol"] == "time"
    assert trained["seed"] == 3
    assert "all" in trained["tasks"]
    listed = asked("models", "list", "--home", home)["models"]
    assert {one["kind"] for one in listed} == {one["kind"] for one in trained["tasks"].values()}
    for one in trained["tasks"].values():
        assert one["trees"] <= 150
        assert one["judged"]["low"] <= one["judged"]["ratio"] <= one["judged"]["high"]
        held = next(row for row in listed if row["kind"] == one["kind"])
        assert held["serves"] == one["promoted"]
        assert held["judged"] == one["judged"]
        assert (home / "learned" / "default" / one["kind"] / one["version"] / MODEL).is_file()
    card = json.loads(
        next((home / "learned" / "default" / "ranker-all").glob("*/model.json")).read_text()
    )
    assert card["learned_from"]["to"] < card["judged_on"]["from"]
    assert "ranker-all" in run("models", "list", "--home", home).stdout


def test_the_same_seed_learns_the_same(trained, home):
    again = asked("train", "ranker", "--home", home, "--seed", 3)
    assert set(again["tasks"]) == set(trained["tasks"])
    for task, one in again["tasks"].items():
        first = trained["tasks"][task]
        assert (one["method"], one["trees"]) == (first["method"], first["trees"])
        # The store may add up neighbours in another order, which moves a last digit.
        assert one["validation"] == pytest.approx(first["validation"], abs=1e-3)


def slate(home, **fields):
    """Asked a day after the last event, always at the same moment: scores fade with time."""
    shop = open_shop(home)
    shop.world.wall = lambda: 1_700_000_000_000 + 61 * DAY * 1000
    try:
        asks = Request(scenario="for_you", user_id="user01", limit=10, **fields)
        return shop.recommend("default", asks)
    finally:
        shop.close()


def test_a_version_that_is_promoted_orders_the_slates_and_rollback_takes_it_back(trained, home):
    one = trained["tasks"]["all"]
    place = ("ranker-all", "--home", home)
    while any(
        row["serves"] and row["kind"] == "ranker-all"
        for row in asked("models", "list", "--home", home)["models"]
    ):
        asked("models", "rollback", *place)
    plain = slate(home, seen="keep")
    promoted = asked("models", "promote", "ranker-all", one["version"], "--home", home)
    assert promoted == {"kind": "ranker-all", "serves": one["version"]}
    learned = slate(home, seen="keep")
    assert [item.score for item in learned.items] != [item.score for item in plain.items]
    assert learned.items[0].score == 1
    assert learned.degraded is None
    reasons = {item.item_id: item.reason for item in plain.items}
    for item in learned.items:
        assert item.reason == reasons.get(item.item_id, item.reason)
    filtered = slate(home, seen="drop", filters={"category": "Aisle 1"}, exclude=["item01"])
    assert all(int(item.item_id[4:]) % 4 == 1 for item in filtered.items)
    assert "item01" not in {item.item_id for item in filtered.items}
    pinned = slate(home, seen="keep", rules=[{"pin": "item39", "at": 2}])
    assert pinned.items[2].item_id == "item39"
    ids = [item.item_id for item in pinned.items]
    assert len(set(ids)) == len(ids) == 10
    run("models", "rollback", *place)
    again = [(item.item_id, item.score) for item in slate(home, seen="keep").items]
    assert again == [(item.item_id, item.score) for item in plain.items]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("models", "promote", "ranker-all", "none"), 2),
        (("models", "promote", "../..", "x"), 2),
        (("models", "rollback", "tower"), 2),
        (("train", "ranker", "--until", "yesterday"), 2),
        (("train", "ranker", "--until", "2023-11-15T00:00:00Z"), 2),
        (("train", "ranker", "--store", "nobody"), 2),
    ],
)
def test_what_cannot_be_done_is_told(home, words, code):
    assert run(*words, "--home", home, code=code).stderr.count("error:") == 1


def test_without_the_extra_it_is_named(home, monkeypatch):
    monkeypatch.setattr("windowshop.train.find_spec", lambda name: None)
    for words in (("train", "ranker", "--home", home), ("evaluate", "--train", "--home", home)):
        assert "windowshop[train]" in run(*words, code=2).stderr


@pytest.mark.parametrize("protocol", ["time", "leave-last-out"])
def test_a_replay_that_also_learns_has_one_row_more(files, protocol):
    words = ("--items", files[0], "--events", files[1], "--protocol", protocol)
    plain = asked("evaluate", *words, "--baselines", "popularity")
    found = asked("evaluate", *words, "--baselines", "popularity", "--train")
    assert set(found["results"]) == {"windowshop", "windowshop_trained", "popularity"}
    tasks = {"all", "new"} if protocol == "time" else {"new"}
    for name, result in plain["results"].items():
        for task in tasks:
            assert found["results"][name][task] == result[task]
    assert found["against"] == plain["against"]
    for task in tasks:
        n = found["results"]["windowshop"][task]["n"]
        assert found["results"]["windowshop_trained"][task]["n"] == n
        assert found["learned"]["untrained"][task]["best"] == "windowshop"


# --- fitting -------------------------------------------------------------------------------------


def examples(count, seed=1, *, straight=True):
    """Queries whose hits the first column tells; unless `straight`, those near 0 are the hits."""
    chance = np.random.default_rng(seed)
    found = Examples(("told", "noise"), queries=count)
    for _ in range(count):
        rows = chance.normal(size=(30, 2)).astype(np.float32)
        hits = np.zeros(30, bool)
        told = rows[:, 0] if straight else -np.abs(rows[:, 0])
        hits[int((told + chance.normal(size=30) / 4).argmax())] = True
        found.rows.append(rows)
        found.hits.append(hits)
        found.ideals.append(1)
    return found


def test_a_fit_finds_what_tells_and_is_the_same_for_the_same_seed():
    some = examples(300)
    one, other = fit(some, 1), fit(some, 1)
    assert one == other
    assert one.ndcg[one.method] == max(one.ndcg["trees"], one.ndcg["sum"]) > 0.6


def test_trees_of_both_kinds_are_served_as_one_where_a_sum_cannot_tell():
    one = fit(examples(600, straight=False), 1)
    assert one.method == "trees"
    assert 2 <= one.trees <= 150
    assert one.ndcg["sum"] < 0.3 < one.ndcg["trees"]
    rows, hits, sizes = examples(200, seed=2, straight=False).joined()
    scores = Ranker(one.model, one.features).score(np.arange(len(rows)), one.features, rows)
    assert ndcg(scores, hits, sizes, [1] * 200) > 0.3


def test_too_few_examples_teach_nothing():
    assert fit(examples(FEWEST - 1), 1) is None
    assert fit(Examples(), 1) is None


@pytest.mark.parametrize(
    ("gain", "fate"),
    [(Gain(1.1, 1.02, 1.2), True), (Gain(1.0, 0.95, 1.05), True),
     (Gain(0.99, 0.95, 1.1), False), (Gain(1.05, 0.7, 1.5), False)],
)  # fmt: skip
def test_a_worse_ranker_is_not_promoted(gain, fate):
    assert may_serve(gain) is fate
