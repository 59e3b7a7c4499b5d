"""The small caches of a world: what makes room in them never takes what is asked for."""

from types import SimpleNamespace

import numpy as np
import pytest

from windowshop import world as worlds
from windowshop.world import Tenant, World


class Stored:
    """A store where everything is there, and every read is counted."""

    def __init__(self):
        self.read = 0

    def items(self, tenant, keys, fields=None):
        self.read += len(keys)
        return {key: {"item_id": f"i{key}"} for key in keys}

    def vectors(self, tenant, keys):
        self.read += len(keys)
        return {key: np.full(2, key, np.float32) for key in keys}

    def search(self, tenant, searches):
        self.read += len(searches)
        return [[SimpleNamespace(key=int(one.vector[0]), score=1.0)] for one in searches]


@pytest.fixture
def place(monkeypatch):
    for name in ("MAX_CARDS", "MAX_VECTORS", "MAX_FOUND"):
        monkeypatch.setattr(worlds, name, 4)
    world = World.__new__(World)
    world.store = Stored()
    return world, Tenant("s", 0, {}, lambda tenant: None)


@pytest.mark.parametrize("verb", ["cards", "vectors"])
def test_a_full_cache_still_answers_for_all_that_is_asked(place, verb):
    world, tenant = place
    ask = getattr(world, verb)
    for keys in ([1, 2, 3, 4], [1, 5], [5, 1, 6, 7, 8, 9], [9, 9]):
        assert set(ask(tenant, keys)) == set(keys)
    read = world.store.read
    ask(tenant, [9])
    assert world.store.read == read


def test_a_full_cache_of_searches_still_answers_each(place):
    world, tenant = place

    def ask(*numbers):
        searches = [(np.array([n, 0], np.float32), 1, None, None) for n in numbers]
        found = world.search(tenant, searches)
        return [keys.tolist() for keys, _ in found]

    for numbers in ((1, 2, 3, 4), (1, 5), (5, 1, 6, 7, 8), (8, 8)):
        assert ask(*numbers) == [[n] for n in numbers]
    read = world.store.read
    ask(8)
    assert world.store.read == read
