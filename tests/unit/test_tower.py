"""Towers, served: places of items and shoppers, and what happens to broken ones."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.contract.tiny_towers import items_of, model_of, reading, shelve, tower_of, user_of
from windowshop import towers
from windowshop.errors import InvalidInput, NotFound, Unavailable
from windowshop.learned import CARD, ITEMS, MODEL, Shelf, shelf_in
from windowshop.records import KIND_CODE
from windowshop.store import LEARNED_DIM
from windowshop.tower import KIND, NEWEST, Towers, tower_kinds

DIM = 16


def texts(count, seed=3):
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def units(count, seed=4):
    rows = np.random.default_rng(seed).normal(size=(count, LEARNED_DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_an_item_nobody_had_is_placed_by_its_text_and_others_by_their_id_too():
    keys, text = np.array([7, 99, 3, 2**63 + 5], np.uint64), texts(4)
    with_ids, bare = tower_of(DIM, (3, 7, 2**63 + 5)), tower_of(DIM)
    found, plain = with_ids.items(keys, text), bare.items(keys, text)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found[1], plain[1], atol=1e-6)
    assert (np.abs(found - plain).max(axis=1) > 0.01).tolist() == [True, False, True, True]
    one_by_one = [with_ids.items(keys[at : at + 1], text[at : at + 1])[0] for at in range(4)]
    np.testing.assert_allclose(found, one_by_one, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, NEWEST])
def test_a_shopper_is_placed_by_their_items_with_kinds_and_gaps(count):
    chance = np.random.default_rng(count)
    items, kinds = units(count), chance.integers(0, 12, count).astype(np.uint8)
    gaps = np.sort(chance.random(count).astype(np.float32))[::-1]
    found = tower_of(DIM).user(items, kinds, gaps)
    np.testing.assert_allclose(found, user_of(items, kinds, gaps), atol=1e-5)


def test_few_stars_are_a_dislike():
    rate, view = KIND_CODE["rate"], KIND_CODE["view"]
    kinds, values = np.array([rate, rate, view], np.uint8), np.array([4, 3.5, 1], np.float32)
    assert tower_kinds(kinds, values).tolist() == [rate, KIND_CODE["dislike"], view]


def test_what_is_broken_says_so():
    items, kinds, gaps = units(1), np.zeros(1, np.uint8), np.zeros(1, np.float32)
    with pytest.raises(Unavailable, match="cannot be read"):
        reading(model_of(), b"PK not", "v1").items(np.array([1], np.uint64), units(1))
    with pytest.raises(Unavailable, match="cannot be read"):
        reading(b"not a model", items_of(DIM), "v1").user(items, kinds, gaps)
    with pytest.raises(Unavailable, match="another encoder"):
        tower_of(DIM).items(np.array([1], np.uint64), np.ones((1, DIM + 1), np.float32))
    with pytest.raises(Unavailable, match="no vector"):
        tower_of(DIM).user(items * np.nan, kinds, gaps)


def test_the_version_that_is_asked_for_is_opened_and_a_broken_one_is_none(tmp_path):
    held = Towers(shelf_in(tmp_path))
    assert held.get("default", "v1") is None
    for version in ("v2", "v3"):
        shelve(tmp_path, DIM, version, seed=int(version[1]))
    assert held.get("default", "v2").version == "v2"
    assert held.get("default", "v2") is held.get("default", "v2")
    assert held.get("default", "v3").version == "v3"
    (tmp_path / "default" / KIND / "v3" / CARD).write_bytes(b"gone")
    assert Towers(shelf_in(tmp_path)).get("default", "v3") is None
    assert held.get("default", "../tower/v2") is None


def test_the_shelf_knows_what_served_before(tmp_path):
    shelf = shelf_in(tmp_path)
    for version in ("v1", "v2"):
        shelve(tmp_path, DIM, version, seed=1)
        shelf.promote("default", KIND, version)
    assert shelf.current("default", KIND).version == "v2"
    assert shelf.before("default", KIND) == "v1"


# --- promoted and taken back ----------------------------------------------------------------------


class Store:
    """As far as towers go."""

    model = "mini"

    def __init__(self):
        self.version = None

    def learned_by(self, store):
        return self.version

    def learn(self, store, version, make, progress=None):
        if version:
            assert make([1, 2], texts(2)).shape == (2, LEARNED_DIM)
        self.version = version or None
        progress(1, 2)
        progress(2, 2)
        return 2 if version else 0


@pytest.fixture
def world():
    return SimpleNamespace(store=Store(), encoder=SimpleNamespace(dim=DIM))


@pytest.fixture
def shelf(tmp_path):
    for version in ("v1", "v2"):
        shelve(tmp_path, DIM, version, seed=1, encoder="mini")
    return shelf_in(tmp_path)


def test_towers_are_taken_back_one_by_one(world, shelf, tmp_path):
    told = []
    for version in ("v1", "v2"):
        assert towers.promote(world, shelf, "default", version, told.append) == 2
    assert told == [1, 1, 1, 1]
    for before in ("v1", None):
        assert towers.rollback(world, shelf, "default") == before
        current = shelf.current("default", KIND)
        assert world.store.version == (current and current.version) == before
    with pytest.raises(InvalidInput, match="nothing to take back"):
        towers.rollback(world, shelf, "default")
    with pytest.raises(NotFound):
        towers.promote(world, shelf, "default", "v9")
    shelve(tmp_path, DIM, "v3", seed=3, encoder="another")
    with pytest.raises(InvalidInput, match="another"):
        towers.promote(world, shelf, "default", "v3")


def test_one_that_cannot_place_items_is_not_promoted(world, shelf, tmp_path):
    (tmp_path / "default" / KIND / "v1" / ITEMS).write_bytes(b"gone")
    with pytest.raises(Unavailable, match="not what was written"):
        towers.promote(world, shelf, "default", "v1")
    assert world.store.version is None
    assert shelf.current("default", KIND) is None


def test_who_recommends_does_not_read_the_items_nor_who_embeds_the_model(tmp_path):
    shelve(tmp_path, DIM, "v1", seed=1)
    for gone, use in (
        (ITEMS, lambda t: t.user(units(1), np.zeros(1, np.uint8), np.zeros(1, np.float32))),
        (MODEL, lambda t: t.items(np.array([1], np.uint64), texts(1))),
    ):
        file = tmp_path / "default" / KIND / "v1" / gone
        whole = file.read_bytes()
        file.unlink()
        assert use(Towers(shelf_in(tmp_path)).get("default", "v1")).shape[-1] == LEARNED_DIM
        file.write_bytes(whole)


@pytest.mark.parametrize("then", ["promote", "rollback"])
def test_a_crash_before_the_shelf_is_told_is_put_right_by_what_the_store_has(
    world, shelf, monkeypatch, then
):
    towers.promote(world, shelf, "default", "v1")
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "promote", killed)
        with pytest.raises(KeyboardInterrupt):
            towers.promote(world, shelf, "default", "v2")
    assert (world.store.version, shelf.current("default", KIND).version) == ("v2", "v1")
    if then == "promote":
        towers.promote(world, shelf, "default", "v2")
        assert shelf.before("default", KIND) == "v1"
    else:
        assert towers.rollback(world, shelf, "default") == "v1"
        assert world.store.version == shelf.current("default", KIND).version == "v1"


def test_a_store_whose_places_are_gone_begins_anew(world, shelf):
    for version in ("v1", "v2"):
        towers.promote(world, shelf, "default", version)
    world.store.version = None  # its texts were encoded by another model
    towers.promote(world, shelf, "default", "v2")
    assert shelf.before("default", KIND) is None


def killed(*_):
    raise KeyboardInterrupt
