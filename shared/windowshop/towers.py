"""Which tower serves: promoted and taken back. The items are placed anew for either, beside the
places that serve, and these are swapped in at once (`Store.learn`); the shelf is told last. The
store alone decides what serves: a crash in between leaves it whole, and the shelf is put right by
the next of these calls.
"""

from collections.abc import Callable

import numpy as np

from windowshop.errors import InvalidInput, NotFound
from windowshop.learned import Shelf
from windowshop.rank import EMPTY_KEYS
from windowshop.store import Make
from windowshop.tower import KIND, Tower, open_tower
from windowshop.world import World

Advance = Callable[[int], None]
"""Told how many items were placed since the last time."""


def promote(
    world: World, shelf: Shelf, tenant: str, version: str, progress: Advance | None = None
) -> int:
    """From now on the store's items lie in this tower's space; returns how many do. Raises
    NotFound, InvalidInput (it was made for another encoder), NotReady, Unavailable.
    """
    _settle(world, shelf, tenant)
    placed = _learn(world, shelf, tenant, version, progress)
    shelf.promote(tenant, KIND, version)
    return placed


def rollback(
    world: World, shelf: Shelf, tenant: str, progress: Advance | None = None
) -> str | None:
    """The tower that served before serves again; before the first, none. Returns its version.
    Raises as `promote`, and InvalidInput where none serves.
    """
    _settle(world, shelf, tenant)
    before = shelf.before(tenant, KIND)
    if before is not None:
        _learn(world, shelf, tenant, before, progress)
    elif world.store.learned_by(tenant):
        world.store.learn(tenant, "", lambda _, text: text, _steps(progress))
    return shelf.rollback(tenant, KIND)


def _learn(world: World, shelf: Shelf, tenant: str, version: str, progress: Advance | None) -> int:
    found = shelf.find(tenant, KIND, version)
    if found is None:
        raise NotFound(f"no model {KIND} {version[:64]!r}: `windowshop models list` shows them")
    tower = open_tower(found)
    made_for = found.card.get("encoder")
    if made_for not in (None, world.store.model):
        raise InvalidInput(
            f"tower {version} was made for texts encoded by {made_for}, and this store's are by "
            f"{world.store.model}: `windowshop train tower` makes one for them"
        )
    tower.items(EMPTY_KEYS, np.empty((0, world.encoder.dim), np.float32))  # can it at all?
    return world.store.learn(tenant, version, placer(tower), _steps(progress))


def placer(tower: Tower) -> Make:
    """`tower.items` as `Store.learn` calls it."""
    return lambda keys, text: tower.items(np.array(keys, np.uint64), text)


def _steps(progress: Advance | None) -> Callable[[int, int], None]:
    """As `Store.learn` tells it: how many in all."""
    before = 0

    def told(done: int, _: int) -> None:
        nonlocal before
        if progress is not None:
            progress(done - before)
        before = done

    return told


def _settle(world: World, shelf: Shelf, tenant: str) -> None:
    """Have the shelf name what serves, where a crash kept it from that."""
    serves, named = world.store.learned_by(tenant), shelf.current(tenant, KIND)
    if serves == (named and named.version):
        return
    if serves and shelf.find(tenant, KIND, serves) is not None:
        shelf.promote(tenant, KIND, serves)
    while not serves and shelf.current(tenant, KIND) is not None:
        shelf.rollback(tenant, KIND)
