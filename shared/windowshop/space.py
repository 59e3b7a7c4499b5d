"""The learned space of a store, read through the world's caches: where its items lie, and where a
shopper's newest events put them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from windowshop.caches import look_up, make_room
from windowshop.errors import Unavailable
from windowshop.logs import log
from windowshop.profile import Events
from windowshop.profile.events import ages
from windowshop.rank import Floats, Space
from windowshop.store import LEARNED_DIM, Vector
from windowshop.tower import NEWEST, tower_kinds
from windowshop.world import Tenant, World

MAX_VECTORS = 100_000
LOOKED_AT = 4 * NEWEST
"""Events among which those are looked for whose items have a place."""


def space_of(world: World, tenant: Tenant) -> Space | None:
    """The space that the store's items have places in: never one that is only being prepared. None
    where there is none. Raises Unavailable.
    """
    version = world.store.learned_by(tenant.name) or ""
    if version != tenant.learned_by:  # other items were near the same vectors until now
        tenant.learned, tenant.found, tenant.learned_by = {}, {}, version
    return world.towers.get(tenant.name, version) if version else None


def vectors(world: World, tenant: Tenant, keys: Iterable[int]) -> dict[int, Vector]:
    """Learned unit vectors of the items that have one, by key."""
    held = tenant.learned  # one that another space replaces meanwhile is filled for nothing
    wanted = [int(key) for key in keys]
    found, missing = look_up(held, wanted)
    if missing:
        read = world.store.learned(tenant.name, missing)
        make_room(held, len(missing), MAX_VECTORS)
        for key in missing:
            found[key] = held[key] = read.get(key)
    return {key: vector for key in wanted if (vector := found[key]) is not None}


def matrix(world: World, tenant: Tenant, keys: Sequence[int]) -> Floats:
    """Learned unit vectors as rows [n, 128]; a zero row where an item has none."""
    rows = np.zeros((len(keys), LEARNED_DIM), np.float32)
    found = vectors(world, tenant, keys)
    for row, key in enumerate(keys):
        vector = found.get(int(key))
        if vector is not None:
            rows[row] = vector
    return rows


class Steps(NamedTuple):
    """A shopper's newest events whose items have a place, oldest first, and those places [n, 128];
    `missing`: how many newer than the oldest of them have none.
    """

    events: Events
    places: Floats
    missing: int


def steps(world: World, tenant: Tenant, events: Events) -> Steps:
    """The steps that a tower reads, from a profile's events."""
    tail = events[-NEWEST:]
    rows = matrix(world, tenant, tail["item"].tolist())
    if len(events) > NEWEST and not rows.any(axis=1).all():
        tail = events[-LOOKED_AT:]
        rows = matrix(world, tenant, tail["item"].tolist())
    placed = np.flatnonzero(rows.any(axis=1))[-NEWEST:]
    since = placed[0] if len(placed) else 0
    return Steps(tail[placed], rows[placed], len(tail) - int(since) - len(placed))


class Place(NamedTuple):
    """Where a shopper stands in the space of that version: a unit vector [128]. `missing`: see
    Steps.
    """

    version: str
    vector: Vector
    missing: int = 0


def place_of(world: World, tenant: Tenant, events: Events) -> Place | None:
    """By a profile's events; None where there is no space, or none of their items has a place in
    it. Raises Unavailable: the store is.
    """
    space = space_of(world, tenant)
    if space is None:
        return None
    known = steps(world, tenant, events)
    if not len(known.events):
        return None
    times = known.events["time"]
    gaps = np.log1p(ages(times, int(times[-1]))).astype(np.float32)
    kinds = tower_kinds(known.events["kind"], known.events["value"])
    try:
        vector = space.user(known.places, kinds, gaps)
    except Unavailable as error:  # a model that is broken must not hold up the folding
        log("tower").error("shopper_not_placed", store=tenant.name, detail=error.detail)
        return None
    return Place(space.version, vector, known.missing)


class Places(NamedTuple):
    """Learned vectors [n, 128] in the space of that version, as `Store.put_vectors` takes them."""

    learned: Floats
    made_by: str


def places_of_items(
    world: World, tenant: Tenant, keys: Sequence[int], text: Vector
) -> Places | None:
    """For items with new text vectors [n, dim]; None where there is no space. Raises Unavailable:
    the store is.
    """
    space = space_of(world, tenant)
    if space is None:
        return None
    try:
        return Places(space.items(np.array(keys, np.uint64), text), space.version)
    except Unavailable as error:  # an item without a place is found by its text
        log("tower").error("items_not_placed", store=tenant.name, detail=error.detail)
        return None
