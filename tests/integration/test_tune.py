"""`tune` from a home's own log to its settings; what is tried is what would be shown."""

import csv
import importlib.util
import json
import random
import tomllib
from contextlib import ExitStack

import numpy as np
import pytest
from typer.testing import CliRunner

from windowshop.cli import app
from windowshop.evaluate import homes
from windowshop.evaluate.metrics import Gain, mark
from windowshop.evaluate.originals import OwnHome
from windowshop.evaluate.past import Past
from windowshop.evaluate.protocol import by_time
from windowshop.evaluate.replay import Variant, replay
from windowshop.local import open_shop
from windowshop.settings import default_blend
from windowshop.train.tuning import search as searching
from windowshop.train.tuning.capture import capture, grid_of
from windowshop.train.tuning.home import may_serve
from windowshop.train.tuning.sheets import Column, Proposals, Said, Sheet

DAY = 86_400
ITEMS = [f"item{n:02}" for n in range(30)]
BAD = """\
# a shop that was set up in a hurry
clock = "wall"
[blend.for_you]
popular = 5.0
habit = 0.01
# what an event says
[weights]
view = 1.5
"""
needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="the extra `train` is not installed"
)


def run(*args, code=0):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return result


def tuned(home, *args):
    words = ("tune", "--home", home, "--queries", 100, "--trials", 40, *args, "--json")
    return json.loads(run(*words).stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """People who take again what they took, and now and then what is new in the shop."""
    folder, chance = tmp_path_factory.mktemp("tune"), random.Random(1)
    items, log = folder / "items.csv", folder / "events.csv"
    with items.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("item_id", "title", "category"))
        rows.writerows((item, f"Thing {item}", f"Aisle {n % 4}") for n, item in enumerate(ITEMS))
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("kind", "user_id", "item_id", "timestamp"))
        for user in range(28):
            staples, day = chance.sample(ITEMS, 3), chance.uniform(0, 20)
            while day < 40:
                taken = {chance.choice(staples)}
                if chance.random() < 0.4:
                    taken.add(ITEMS[int(day // 4) * 3 % len(ITEMS)])
                for item in sorted(taken):
                    when = 1_700_000_000 + int(day * DAY)
                    rows.writerow(("purchase", f"user{user:02}", item, when))
                day += chance.uniform(1, 3)
    run("ingest", items, "--home", folder / "home")
    run("record", log, "--home", folder / "home")
    return folder / "home"


@pytest.fixture
def settings(home):
    path = home / "windowshop.toml"
    path.write_text(BAD)
    yield path
    path.unlink()


@needs_optuna
def test_a_poor_blend_is_replaced_and_nothing_else_is(home, settings):
    found = tuned(home)
    assert found["written"], found
    assert found["why"] is None
    assert (found["store"], found["protocol"], found["trials"]) == ("default", "time", 40)
    one = found["judged"]["all"]
    assert one["tuned"] > one["serves"]
    assert found["judged"]["together"]["ratio"] > 1
    text = settings.read_text()
    assert text.startswith('# a shop that was set up in a hurry\nclock = "wall"\n')
    assert text.endswith("# what an event says\n[weights]\nview = 1.5\n")
    assert tomllib.loads(text).get("blend", {}) == found["config"]
    assert "Written by `windowshop tune`" in text
    assert found["config"]["for_you"].get("popular", 0) < 5
    shop = open_shop(home)
    try:
        for name, weight in found["config"]["for_you"].items():
            assert shop.world.blend["for_you"][name] == weight
    finally:
        shop.close()
    # The second starts from there; told to people, and only told.
    told = run("tune", "--home", home, "--queries", 50, "--trials", 5, "--dry-run").stdout
    assert "all: NDCG@10 0." in told
    assert "not written: " in told
    assert settings.read_text() == text


@needs_optuna
@pytest.mark.parametrize(
    ("words", "variable", "told"),
    [
        (("--until", "2023-11-20T00:00:00Z"), None, "too little happened to tune by"),
        (("--until", "soon"), None, "--until 'soon': a time"),
        ((), '{"neighbours": 50}', "WINDOWSHOP_BLEND goes before"),
    ],
)
def test_what_cannot_be_tuned_is_told_and_stays(home, settings, monkeypatch, words, variable, told):
    if variable is not None:
        monkeypatch.setenv("WINDOWSHOP_BLEND", variable)
    assert told in run("tune", "--home", home, *words, code=2).stderr
    assert settings.read_text() == BAD


def test_without_the_extra_it_is_named(home, monkeypatch):
    monkeypatch.setattr("windowshop.train.tuning.find_spec", lambda name: None)
    assert "pip install 'windowshop[train]'" in run("tune", "--home", home, code=2).stderr


@pytest.mark.parametrize(
    ("together", "tasks", "fate"),
    [
        (Gain(1.02, 0.97, 1.08), [Gain(1.01, 0.99, 1.03), Gain(1.03, 0.9, 1.2)], True),
        (Gain(1.0, 0.97, 1.03), [], False),
        (Gain(1.02, 0.89, 1.2), [], False),
        (Gain(1.1, 1.0, 1.2), [Gain(0.9, 0.85, 0.99), Gain(1.3, 1.1, 1.5)], False),
    ],
)
def test_only_what_is_better_and_surely_not_worse_is_written(together, tasks, fate):
    assert may_serve(together, tasks) == fate


def said(span_events, right, wrong, count=60):
    """Queries of which one signal names what is taken, and another does not."""
    chance, found = np.random.default_rng(span_events), []
    for user in range(count):
        items = np.arange(40)
        noise, signal = chance.random((2, 40)).astype(np.float32)
        truth = int(chance.integers(40))
        signal[truth] = 1.0
        columns = {
            Column(wrong): Proposals(items, noise, 1.0),
            Column(right): Proposals(items, signal, 1.0),
        }
        found.append(Said(user, 0, span_events, np.array([truth]), columns))
    return found


@needs_optuna
def test_a_search_finds_which_signal_tells_and_for_whom(monkeypatch):
    monkeypatch.setattr(searching, "ENOUGH", 50)
    default = default_blend()
    sheets = {
        ("new", "few"): Sheet(said(3, "meaning", "trend", 200)),
        ("new", "many"): Sheet(said(90, "trend", "meaning")),
    }
    grid = grid_of(default, default, timed=True)
    found, again = (searching.search(sheets, grid, default, default, 60, 1) for _ in range(2))
    assert found == again
    table = found.blend["for_you"]
    few, many = table.get("few", table), table.get("many", table)
    assert few["meaning"] > few.get("trend", 0)
    assert many["trend"] > many["meaning"]
    assert found.ndcg["new"] > 0.7
    # What says nothing here stays as it was.
    assert {name: found.blend[name] for name in searching.NUMBERS} == {
        name: default[name] for name in searching.NUMBERS
    }
    assert table["habit"] == default["for_you"]["habit"]


SPANNED = {"few": {"popular": 1.0, "trend": 0.5}, "some": {"like_minded": 1.0, "meaning": 0.3}}


def test_what_is_tried_is_what_the_shop_would_have_shown(home, tmp_path):
    def past(name):
        (tmp_path / name).mkdir()
        subject = homes.of_original(OwnHome(home), "default", tmp_path / name, lambda *_: Quiet())
        opened.callback(subject.shop.close)
        return Past(subject.shop, "default", subject.trace)

    with ExitStack() as opened:
        first, second = past("first"), past("second")
        trial = by_time(first.trace, 0.02, 0.9, 40, 1)
        blend = first.shop.world.blend
        other = {**blend, "popular_half_life": 21.0, "popular_items": 300, "neighbours": 50}
        other["like_minded_half_life"] = 2.5
        other["for_you"] = {**blend["for_you"], **SPANNED}
        sheets = capture(first, trial, grid_of(blend, other, timed=True))
        asked = replay(second, trial, {"own": Variant(), "other": Variant(blend=other)})
    assert {span for _, span in sheets} >= {"few", "some"}
    for name, some in (("own", blend), ("other", other)):
        for task in trial.tasks:
            shown, marks = {}, {}
            for (of, _), sheet in sheets.items():
                if of == task:
                    keys = list(zip(sheet.users.tolist(), sheet.times.tolist(), strict=True))
                    shown |= dict(zip(keys, sheet.lists(some), strict=True))
                    marks |= dict(zip(keys, sheet.ndcg(some).tolist(), strict=True))
            rows = [row for row, q in enumerate(trial.queries) if (q.user, q.time) in shown]
            queries = [trial.queries[row] for row in rows]
            lists = asked[name].lists[task][rows]
            np.testing.assert_array_equal(lists, [shown[q.user, q.time] for q in queries])
            truths = [q.new if task == "new" else q.truth for q in queries]
            ours = [marks[q.user, q.time] for q in queries]
            np.testing.assert_allclose(mark(lists, truths).ndcg, ours)


class Quiet:
    def __enter__(self):
        return lambda count: None

    def __exit__(self, *_):
        pass
