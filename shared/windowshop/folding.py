"""Profiles brought up to the log: folded, stored, read, rebuilt."""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from windowshop import profile as profiles
from windowshop import space
from windowshop.errors import InvalidInput, NotReady, Unavailable
from windowshop.log import EventRow, Standing, event_row
from windowshop.logs import log
from windowshop.profile import Profile, Tastes
from windowshop.profile.events import IMPRESSION
from windowshop.records import Event, user_key
from windowshop.space import Place
from windowshop.store import Sparse, StoredUser
from windowshop.tower import NEWEST
from windowshop.world import Tenant, World

FOLD_BATCH = 200
TRIES = 6
Progress = Callable[[int], None]


def fold(
    world: World,
    tenant: str,
    users: Collection[str],
    fresh: Mapping[str, Sequence[EventRow]] | None = None,
    progress: Progress | None = None,
) -> set[str]:
    """Bring the profiles of `users` (and of those they are merged into) up to the log; returns
    those whose profiles were written.

    With `fresh`, their newly logged rows, these are added to the stored profiles, one that then
    disagrees with the log is folded from it, one that agrees already is left alone, and that of a
    user whom the log does not know (forgotten meanwhile) is deleted. Without `fresh` all are folded
    from the log. Raises NotReady when other writers keep winning, Unavailable.
    """
    owners = sorted(set(users) | set(world.log.owners_of(tenant, list(users))))
    written: set[str] = set()
    for start in range(0, len(owners), FOLD_BATCH):
        left = owners[start : start + FOLD_BATCH]
        for _ in range(TRIES):
            won, left = _fold_batch(world, tenant, left, fresh)
            written.update(won)
            if not left:
                break
        else:
            raise NotReady(f"{len(left)} profiles are being written by others; try again")
        if progress is not None:
            progress(min(FOLD_BATCH, len(owners) - start))
    return written


def _fold_batch(
    world: World,
    tenant: str,
    users: Sequence[str],
    fresh: Mapping[str, Sequence[EventRow]] | None,
) -> tuple[list[str], list[str]]:
    """One read of the profiles, one of the item vectors, one write: who won it, who lost a race."""
    state = world.tenant(tenant)
    keys = {user: user_key(tenant, user) for user in users}
    standings = world.log.standings(tenant, users)
    stored = world.store.users(tenant, list(keys.values()))
    folded: dict[str, Profile] = {}
    versions: dict[str, int] = {}
    rest = list(users)
    if fresh is not None:
        folded, rest = _add_fresh(users, standings, {u: stored.get(keys[u]) for u in users}, fresh)
        versions = {user: standings[user].version for user in folded}
        # Of somebody who was forgotten: a fold that crashed before it looked again, or a snapshot
        # that was restored, may have brought the profile back.
        unknown = [keys[user] for user in users if user not in standings and keys[user] in stored]
        if unknown:
            world.store.delete_users(tenant, unknown)
    for user, whole in world.log.refold(tenant, rest).items():
        folded[user], versions[user] = whole.profile, whole.version
    _warm(world, state, list(folded.values()))
    writes = [
        _stored(
            world,
            state,
            stored.get(keys[user]) or StoredUser(keys[user]),
            profile,
            standings[user].guests if user in standings else (),
        )
        for user, profile in folded.items()
    ]
    lost = _put(world, tenant, writes)
    won = {user: version for user, version in versions.items() if keys[user] not in lost}
    if won:
        gone = world.log.mark_folded(tenant, won)
        if gone:  # they were forgotten between the reading and the writing
            world.store.delete_users(tenant, [keys[user] for user in gone])
    return list(won), [user for user in users if keys[user] in lost]


def _put(world: World, tenant: str, writes: Sequence[StoredUser]) -> set[str]:
    """The keys of those who lost a race. What the store refuses is no fault of the events, which
    are logged: they wait for it to be mended. Raises Unavailable.
    """
    try:
        return set(world.store.put_users(tenant, writes)) if writes else set()
    except InvalidInput as error:
        raise Unavailable(f"profiles cannot be written: {error.detail}") from error


def _add_fresh(
    users: Sequence[str],
    standings: Mapping[str, Standing],
    stored: Mapping[str, StoredUser | None],
    fresh: Mapping[str, Sequence[EventRow]],
) -> tuple[dict[str, Profile], list[str]]:
    """Profiles with their new rows added, and the users who are to be folded from the log: those
    whose profile then still disagrees with it (a crash came between the log and a fold).
    """
    folded: dict[str, Profile] = {}
    rest: list[str] = []
    for user in users:
        standing, held = standings.get(user), stored[user]
        if standing is None:
            continue
        profile = profiles.unpack(held.payload) if held else Profile.EMPTY
        rows = [row for one in (user, *standing.guests) for row in fresh.get(one, ())]
        new = sum(row.kind != IMPRESSION for row in rows)
        if profile.counted + new != standing.events:
            rest.append(user)
        elif new:
            folded[user] = profiles.fold(profile, rows)
    return folded, rest


def _warm(world: World, tenant: Tenant, some: Sequence[Profile]) -> None:
    """One read of all the item vectors that a batch of folds needs."""
    keys = {int(key) for profile in some for key in profiles.taste_keys(profile)}
    world.vectors(tenant, keys)
    if space.space_of(world, tenant) is not None:
        lately = {key for one in some for key in one.events["item"][-NEWEST:].tolist()}
        space.vectors(world, tenant, lately)


def _stored(
    world: World, tenant: Tenant, held: StoredUser, profile: Profile, guests: Sequence[str]
) -> StoredUser:
    tastes = tastes_of(world, tenant, profile)
    indices, values = profiles.history(profile, profile.newest or 0)
    payload: dict[str, Any] = {
        **profiles.pack(profile),
        "store": tenant.name,
        "interests": _pack_tastes(tastes),
        "merged": [user_key(tenant.name, guest) for guest in guests],
    }
    place = space.place_of(world, tenant, profile.events)
    if place is not None:
        payload["learned"] = _pack_place(place)
    if profile.newest is not None:
        payload["last_event_at"] = profile.newest
    return StoredUser(
        held.key,
        held.version,
        payload,
        tastes.mean,
        Sparse(indices, values) if len(indices) else None,
    )


def tastes_of(world: World, tenant: Tenant, profile: Profile) -> Tastes:
    """The interests of a profile, from the vectors of its newest items and searches."""
    keys = [int(key) for key in profiles.taste_keys(profile)]
    searches = {s.text: world.query_vector(s.text) for s in profiles.taste_searches(profile)}
    return profiles.tastes(
        profile,
        world.vectors(tenant, keys),
        searches,
        world.weights,
        float(world.blend["interest_half_life"]),
    )


def _pack_tastes(tastes: Tastes) -> dict[str, Any]:
    return {
        "vectors": base64.b64encode(tastes.vectors.astype("<f2").tobytes()).decode(),
        "weights": [round(float(weight), 4) for weight in tastes.weights],
        "missing": tastes.missing,
    }


def _unpack_tastes(packed: Mapping[str, Any], dim: int) -> Tastes:
    flat = np.frombuffer(base64.b64decode(packed["vectors"]), "<f2").astype(np.float32)
    return Tastes(
        vectors=flat.reshape(-1, dim),
        weights=np.array(packed["weights"], np.float32),
        mean=None,
        missing=int(packed["missing"]),
    )


def _pack_place(place: Place) -> dict[str, Any]:
    vector = base64.b64encode(place.vector.astype("<f2").tobytes()).decode()
    return {"by": place.version, "vector": vector, "missing": place.missing}


def learned_of(
    world: World, tenant: Tenant, profile: Profile, packed: Mapping[str, Any] | None = None
) -> Place | None:
    """Where the user stands in the store's learned space: as it was stored (`packed`), or computed
    anew where that was of another space, or missed items. Raises Unavailable.
    """
    served = space.space_of(world, tenant)
    if served is None:
        return None
    if packed and packed["by"] == served.version and not packed["missing"]:
        vector = np.frombuffer(base64.b64decode(packed["vector"]), "<f2").astype(np.float32)
        return Place(served.version, vector)
    return space.place_of(world, tenant, profile.events)


class Known(NamedTuple):
    """What is stored of a user: profile, interests, the keys of the points that are them (their own
    and those of the guests merged into them), and their place in the learned space, if any.
    """

    profile: Profile
    tastes: Tastes
    points: tuple[str, ...]
    learned: Place | None = None


def read_profile(world: World, tenant: Tenant, user: str) -> Known:
    """What is stored of a user; empty for one nobody has heard of.

    Interests that missed items when they were folded are computed anew: the items may exist now.
    """
    key = user_key(tenant.name, user)
    held = world.store.users(tenant.name, [key]).get(key)
    if held is None:
        return Known(Profile.EMPTY, Tastes.EMPTY, (key,))
    profile = profiles.unpack(held.payload)
    points = (key, *held.payload.get("merged", ()))
    packed = held.payload.get("interests")
    if not packed or packed["missing"]:
        tastes = tastes_of(world, tenant, profile)
    else:
        tastes = _unpack_tastes(packed, world.encoder.dim)
    learned = learned_of(world, tenant, profile, held.payload.get("learned"))
    return Known(profile, tastes, points, learned)


def fold_recent(tenant: Tenant, profile: Profile, events: Sequence[Event], now_ms: int) -> Profile:
    """A profile with events that travel in a request, for this answer only."""
    cache: dict[str, int] = {}
    rows = []
    for index, event in enumerate(events):
        rows.append(event_row(tenant.name, event, index, now_ms + 1, cache))
    return profiles.fold(profile, rows)


def fold_waiting(world: World, tenant: str | None = None, progress: Progress | None = None) -> int:
    """Fold every user whose log is ahead of the profile: after a bulk load, or a crash.

    A user whose events cannot be folded, through a fault of ours, does not hold up the others: it
    is logged, counted by `doctor` as behind, and tried again. Raises Unavailable, NotReady.
    """
    done = 0
    for name in [tenant] if tenant is not None else world.log.stores():
        users = world.log.unfolded(name)
        for start in range(0, len(users), FOLD_BATCH):
            part = users[start : start + FOLD_BATCH]
            done += _fold_each(world, name, part, progress)
    return done


def _fold_each(world: World, tenant: str, users: Sequence[str], progress: Progress | None) -> int:
    try:
        fold(world, tenant, users, progress=progress)
    except (Unavailable, NotReady):
        raise
    except Exception as error:  # noqa: BLE001 - the others' profiles must not wait for it
        if len(users) > 1:
            return sum(_fold_each(world, tenant, [user], progress) for user in users)
        log("users").error("user_not_folded", user=users[0], error=error)
        return 0
    return len(users)


def rebuild(world: World, tenant: str, progress: Progress | None = None) -> dict[str, int]:
    """All profiles and counts again from the log, the only truth: of a store that was restored from
    a snapshot too, where users are who were forgotten since.
    """
    held = list(world.store.user_keys(tenant))  # first: who comes meanwhile is in the log already
    users = world.log.users(tenant)
    keep = {user_key(tenant, user) for user in users}
    gone = [key for key in held if key not in keep]
    for start in range(0, len(gone), FOLD_BATCH):
        world.store.delete_users(tenant, gone[start : start + FOLD_BATCH])
    for start in range(0, len(users), FOLD_BATCH):
        part = users[start : start + FOLD_BATCH]
        world.store.delete_users(tenant, [user_key(tenant, user) for user in part])
        fold(world, tenant, part, progress=progress)
    world.recount(tenant)
    return {"users": len(users), "events": world.log.count(tenant), "removed": len(gone)}
