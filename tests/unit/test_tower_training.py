"""A tower learned from sequences: what it finds, what it never sees, and that it can be served."""

import contextlib
import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.tiny_towers import reading
from windowshop.errors import InvalidInput, Misconfigured
from windowshop.evaluate.trace import Trace
from windowshop.records import KIND_CODE
from windowshop.tower import NEWEST
from windowshop.train.placing import Beside
from windowshop.train.tower import Config, check, fit_tower
from windowshop.train.tower.data import (
    batch,
    batches,
    query_windows,
    sequences,
    what_came_next,
    windows,
)

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)

DAY = 86_400_000
ITEMS, DIM = 40, 16
KEYS = np.sort(np.random.default_rng(8).integers(1, 2**63, ITEMS, dtype=np.uint64))
TEXT = np.random.default_rng(9).normal(size=(ITEMS, DIM)).astype(np.float32)
TEXT /= np.linalg.norm(TEXT, axis=1, keepdims=True)
SMALL = Config(batch=16, negatives=64, width=128, rate=5e-3, dropout=0.2, id_dropout=0.1)


def trace_of(rows, users, timed=True):
    """A trace of (user, item, time, kind) rows."""
    order = sorted(range(len(rows)), key=lambda at: (rows[at][2], rows[at][0]))
    user, item, time, kind = (np.array([rows[at][n] for at in order], np.int64) for n in range(4))
    return Trace(
        users=[f"u:{n:04}" for n in range(users)],
        items=[f"item{n:03}" for n in range(ITEMS)],
        listed=np.ones(ITEMS, bool),
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        time=time if timed else np.zeros(len(rows), np.int64),
        row=np.arange(len(rows), dtype=np.uint32),
        key=np.arange(len(rows), dtype=np.uint64),
        kind=kind.astype(np.uint8),
        value=np.ones(len(rows), np.float32),
        searches={},
    )


def follow(users=150, length=7, seed=1, timed=True):
    """Everybody buys the item after the one that they bought before; one of five times another."""
    chance, rows = np.random.default_rng(seed), []
    for user in range(users):
        item = int(chance.integers(ITEMS))
        for step in range(length):
            rows.append((user, item, (step * 5 + user % 5) * DAY, KIND_CODE["purchase"]))
            item = int(chance.integers(ITEMS)) if chance.random() < 0.2 else (item + 1) % ITEMS
    return trace_of(rows, users, timed)


@contextlib.contextmanager
def bar(label, total=None):
    yield lambda count: None


def fit(trace, known=None, text=TEXT, **options):
    known = np.ones(len(trace), bool) if known is None else known
    options = {"seed": 3, "bar": bar, "config": SMALL, **options}
    return fit_tower(trace, known, KEYS, text, **options)


def hits(tower, trace):
    """How often what follows is the first of a tower's list, by users' events but the last; and how
    often the most popular item is that.
    """
    places = tower.items(KEYS, TEXT)
    found, ends = [], []
    for user in range(len(trace.users)):
        own = trace.of(user)
        days = (trace.time[own[-2]] - trace.time[own[:-1]]) / DAY
        gaps = np.log1p(days).astype(np.float32)
        vector = tower.user(places[trace.item[own[:-1]]], trace.kind[own[:-1]], gaps)
        wanted = (trace.item[own[-2]] + 1) % ITEMS
        found.append((places @ vector).argmax() == wanted)
        ends.append(wanted)
    return np.mean(found), np.bincount(ends).max() / len(ends)


@pytest.fixture(scope="module")
def towers():
    pytest.importorskip("torch", reason="torch is not installed")
    trace = follow()
    found = {
        loss: fit(trace, loss=loss, epochs=epochs)
        for loss, epochs in (("softmax", 12), ("logistic", 12))
    }
    return {loss: (one, reading(one.onnx, one.items, "x")) for loss, one in found.items()}


@pytest.mark.parametrize("loss", ["softmax", "logistic"])
def test_what_follows_what_is_learned_and_served(towers, loss):
    made, tower = towers[loss]
    learned, popular = hits(tower, follow(60, 5, seed=2))
    assert learned > 0.6 > 4 * popular
    assert made.card["method"] == loss
    assert made.card["losses"][-1] < made.card["losses"][0]
    assert made.card["epochs"] == len(made.card["losses"]) == 12
    assert made.card["config"]["width"] == 128
    assert made.card["seed"] == 3


@needs_torch
def test_the_same_seed_learns_the_same_and_another_does_not():
    trace = follow(40)
    one, again, other = (fit(trace, epochs=2, seed=seed) for seed in (3, 3, 4))
    assert (one.onnx, one.items) == (again.onnx, again.items)
    assert one.onnx != other.onnx


@needs_torch
@pytest.mark.parametrize("timed", [True, False])
def test_nothing_that_is_not_known_changes_what_is_learned(timed):
    trace = follow(40, timed=timed)
    if timed:
        known = trace.time < 20 * DAY
        bare = trace.before(20 * DAY)
    else:
        known = last_out(trace)
        fields = ("user", "item", "time", "row", "key", "kind", "value")
        bare = replace(trace, **{name: getattr(trace, name)[known] for name in fields})
    assert known.sum() == len(bare) < len(trace)
    one, other = fit(trace, known, epochs=2), fit(bare, epochs=2)
    assert (one.onnx, one.items) == (other.onnx, other.items)
    assert one.card == other.card | {"cpu_minutes": one.card["cpu_minutes"]}


@needs_torch
def test_the_served_graph_equals_torch():
    import torch

    from windowshop.train.tower.graph import to_npz, to_onnx
    from windowshop.train.tower.model import item_vectors, new_weights, user_vectors

    drawn = torch.Generator().manual_seed(5)
    weights = {
        name: tensor + 0.1 * torch.randn(tensor.shape, generator=drawn)
        for name, tensor in new_weights(Config(), DIM, 30, drawn).items()
    }
    arrays = {name: tensor.numpy() for name, tensor in weights.items()}
    keys = KEYS[::-1][:30].copy()  # in no order
    tower = reading(to_onnx(arrays), to_npz(arrays, keys), "x")
    numbers = torch.tensor([*range(30), *[-1] * 10])
    text = np.concatenate((TEXT[::-1][:30], TEXT[:10]))
    places = item_vectors(weights, Config(), numbers, torch.from_numpy(text.copy())).numpy()
    served = tower.items(np.concatenate((keys, KEYS[:10])), text)
    np.testing.assert_allclose(served, places, atol=1e-3)  # ids are kept in half the bits
    chance = np.random.default_rng(1)
    for length in (1, 2, 17, NEWEST):
        own = places[chance.integers(0, 40, length)]
        kinds = chance.integers(0, len(KIND_CODE), length).astype(np.uint8)
        days = np.sort(chance.random(length).astype(np.float32) * 300)[::-1]
        days = np.ascontiguousarray(days - days[-1])
        empty = NEWEST - length  # what is not there, on the left, changes nothing
        there = torch.arange(NEWEST)[None] >= empty
        user = user_vectors(
            weights,
            Config(),
            torch.from_numpy(np.pad(own, ((empty, 0), (0, 0))))[None],
            torch.from_numpy(np.pad(kinds.astype(np.int64), (empty, 0)))[None],
            torch.from_numpy(np.pad(days, (empty, 0), constant_values=days[0]))[None],
            there,
        )
        found = tower.user(own, kinds, np.log1p(days))
        np.testing.assert_allclose(found, user[0, -1].numpy(), atol=1e-4)
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_an_item_without_an_id_lies_where_its_text_puts_it(towers):
    _, tower = towers["softmax"]
    twin = tower.items(np.array([7], np.uint64), TEXT[:1])[0]
    near = tower.items(KEYS, TEXT) @ twin
    assert near.argmax() == 0


@needs_torch
def test_an_item_without_a_text_takes_no_part():
    text = TEXT.copy()
    text[:5] = 0
    made = fit(follow(40), text=text, epochs=1)
    with np.load(__import__("io").BytesIO(made.items)) as held:
        assert set(held["keys"]) == set(KEYS[5:])
        assert (np.diff(held["keys"].astype(float)) > 0).all()
        assert held["ids"].dtype == np.float16


@needs_torch
@pytest.mark.parametrize("timed", [True, False])
def test_what_came_next_tells_how_many_epochs_and_nothing_else(timed):
    trace = follow(80, timed=timed)
    known = last_out(trace)
    config = replace(SMALL, most_epochs=4, patience=1)
    made = fit(trace, known, then=~known, config=config)
    chosen = made.card["chosen_by"]
    assert made.card["epochs"] == chosen["best"] >= 1
    best = max(chosen["epochs"], key=lambda figures: figures["all"] + figures["new"])
    assert chosen["epochs"][chosen["best"] - 1] == best
    assert chosen["ended"] in {"patience", "epochs"}
    alone = fit(trace, known, epochs=chosen["best"], config=config)
    assert (made.onnx, made.items) == (alone.onnx, alone.items)


def last_out(trace):
    """Which events are not their user's last."""
    known = np.ones(len(trace), bool)
    known[[trace.of(user)[-1] for user in range(len(trace.users))]] = False
    return known


@needs_torch
def test_beside_other_work_the_same_is_learned():
    trace = follow(30)
    told = (trace, np.ones(len(trace), bool), KEYS, TEXT)
    beside = Beside(lambda: pytest.fail("it came"), told, {"seed": 3, "epochs": 1, "config": SMALL})
    made = beside.result()
    beside.close()
    torch = pytest.importorskip("torch")
    cores = torch.get_num_threads()
    torch.set_num_threads(1)  # as there: sums over several cores differ in their last digits
    here = fit(trace, epochs=1)
    torch.set_num_threads(cores)
    assert (made.onnx, made.items) == (here.onnx, here.items)


@needs_torch
def test_where_the_process_beside_dies_it_is_learned_here():
    told = (follow(30), np.ones(210, bool), KEYS, TEXT)
    beside = Beside(lambda: "made here", told, {"seed": 3, "epochs": 1_000, "config": SMALL})
    beside._process.kill()
    assert beside.result() == "made here"
    beside.close()
    assert not beside._process.is_alive()


@needs_torch
def test_what_is_not_wanted_any_more_is_ended():
    told = (follow(30), np.ones(210, bool), KEYS, TEXT)
    beside = Beside(lambda: None, told, {"seed": 3, "epochs": 1_000_000, "config": SMALL})
    beside.close()
    assert not beside._process.is_alive()


@needs_torch
def test_a_shop_with_fewer_items_than_a_list_learns_too():
    trace = follow(40)
    few, known = replace(trace, item=trace.item % 5), last_out(trace)
    made = fit(few, known, then=~known, config=replace(SMALL, most_epochs=2))
    assert made.card["items_with_id"] == 5
    assert made.card["epochs"] >= 1


@needs_torch
def test_a_limit_of_time_ends_it():
    made = fit(follow(40), minutes=0)
    assert made.card["chosen_by"]["ended"] == "time"
    assert made.card["epochs"] == 1


@needs_torch
def test_too_little_is_told():
    with pytest.raises(InvalidInput, match="at least"):
        fit(follow(5, 2))
    with pytest.raises(InvalidInput, match="at least"):
        fit(follow(40), text=np.zeros_like(TEXT))


@needs_torch
@pytest.mark.skipif(
    importlib.util.find_spec("tensorboardX") is None, reason="tensorboardX is not installed"
)
def test_every_epoch_is_logged_for_tensorboard(tmp_path):
    fit(follow(20), epochs=2, log_dir=tmp_path / "logs")
    assert any((tmp_path / "logs").iterdir())


@needs_torch
def test_where_logs_cannot_be_written_that_is_said_once(tmp_path, monkeypatch):
    said = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "windowshop.train.tower.find_spec",
            lambda name: None if name == "tensorboardX" else importlib.util.find_spec(name),
        )
        fit(follow(20), epochs=2, log_dir=tmp_path / "logs", say=said.append)
    assert len(said) == 1
    assert "windowshop[train]" in said[0]
    assert not (tmp_path / "logs").exists()


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("windowshop.train.tower.find_spec", lambda name: None)
    with pytest.raises(Misconfigured, match=r"windowshop\[train,torch\]"):
        check()


# --- sequences -----------------------------------------------------------------------------------


def baskets(seed=1, users=12):
    """Users of 1 to 200 events, some of them at one moment, some of them views."""
    chance, rows = np.random.default_rng(seed), []
    for user in range(users):
        day = 0
        for _ in range(int(chance.integers(1, 200))):
            day += int(chance.random() < 0.3)
            kind = "purchase" if chance.random() < 0.6 else "view"
            rows.append((user, int(chance.integers(ITEMS)), day * DAY, KIND_CODE[kind]))
    return trace_of(rows, users)


def of_trace(trace, known=None, then=None):
    known = np.ones(len(trace), bool) if known is None else known
    return sequences(trace, known, np.ones(ITEMS, bool), then)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_windows_hold_every_event_that_something_follows_once(seed):
    chance = np.random.default_rng(seed)
    of = of_trace(baskets(seed))
    _, begin, end = of.taken
    cut = windows(of, 10**9, chance)
    held = np.concatenate([np.arange(*one) for one in cut])
    assert sorted(held) == np.flatnonzero(end > begin).tolist()
    assert (cut[:, 1] - cut[:, 0] <= NEWEST).all()
    assert (of.user[cut[:, 0]] == of.user[cut[:, 1] - 1]).all()
    few = windows(of, 100, chance)
    assert 100 <= (few[:, 1] - few[:, 0]).sum() <= 100 + NEWEST
    seen = sum(int(one.there.sum()) for one in batches(of, cut, 7, 200, chance))
    assert seen == len(held)


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_what_is_to_be_guessed_was_bought_at_the_next_moment(seed):
    chance = np.random.default_rng(seed)
    of = of_trace(baskets(seed))
    cut = windows(of, 10**9, chance)
    for start, end in cut:
        one = batch(of, np.array([[start, end]]), chance)
        assert one.days[0, -1] == 0
        assert (np.diff(one.days[0]) <= 0).all()
        assert sorted(one.items[0]) == sorted(of.item[start:end])
        for at, target in zip(range(start, end), one.targets[0], strict=True):
            later = (of.user == of.user[at]) & (of.moment > of.moment[at]) & of.positive
            following = of.moment[later].min()
            assert target in of.item[later & (of.moment == following)]


@pytest.mark.parametrize("timed", [True, False])
def test_what_came_next_is_the_first_that_each_took_after_what_is_learned_from(timed):
    trace = baskets(3)
    if timed:
        known = trace.time < np.quantile(trace.time, 0.7)
    else:
        trace = replace(trace, time=np.zeros_like(trace.time))
        known = last_out(trace)
    of = of_trace(trace, known, ~known)
    assert of.early.sum() == of_trace(trace, known).early.sum() > 0
    assert (~of.early).any()
    queries = what_came_next(of, 1)
    later = {int(user) for user in of.user[of.positive & ~of.early]}
    assert {int(of.user[query.end]) for query in queries} == later & set(of.user[of.early].tolist())
    assert len(queries) > 1
    for query, (start, end) in zip(queries, query_windows(of, queries), strict=True):
        own = np.flatnonzero(of.user == of.user[end])
        assert end == query.end
        assert of.user[start] == of.user[end]
        assert not of.early[end]
        assert not (of.positive & ~of.early)[own[own < end]].any()
        assert set(query.truth) == set(of.item[(of.moment == of.moment[end]) & of.positive])
        assert set(query.seen) == set(of.item[own[own < end]])


def test_few_stars_are_a_dislike_and_shops_without_purchases_learn_from_views():
    kinds = [KIND_CODE["view"], KIND_CODE["rate"], KIND_CODE["impression"], KIND_CODE["rate"]]
    trace = trace_of([(0, n, n * DAY, kind) for n, kind in enumerate(kinds)], 1)
    trace = replace(trace, value=np.array([1, 2, 1, 5], np.float32))
    of = of_trace(trace)
    assert of.kind.tolist() == [KIND_CODE["view"], KIND_CODE["dislike"], KIND_CODE["rate"]]
    assert of.positive.tolist() == [False, False, True]
    before = of_trace(trace, trace.time < 2 * DAY)
    assert before.positive.tolist() == [True, False]
