"""What users did: into the log, folded into their profiles, exported, merged and forgotten."""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from windowshop import profile as profiles
from windowshop.errors import InvalidInput, NotFound, NotReady, Unavailable
from windowshop.log import EventRow, event_row
from windowshop.logs import log
from windowshop.profile import Profile, Tastes
from windowshop.profile.events import IMPRESSION
from windowshop.records import (
    Event,
    Rejection,
    format_instant,
    new_id,
    user_key,
    user_name,
)
from windowshop.store import Sparse, StoredUser
from windowshop.world import Tenant, World

AHEAD_MS = 24 * 3_600_000
FOLD_BATCH = 200
TRIES = 6
Progress = Callable[[int], None]


@dataclass(slots=True)
class Recorded:
    """What came of a batch of events; `users` are those whose log grew."""

    accepted: int = 0
    duplicates: int = 0
    unknown_items: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    fresh: dict[str, list[EventRow]] = field(default_factory=dict)


# --- recording -------------------------------------------------------------------------------------


def too_early(event: Event, wall_ms: int) -> str | None:
    """Why an event's time is refused, or None."""
    if event.timestamp is not None and event.timestamp > wall_ms + AHEAD_MS:
        return "timestamp is more than 24 hours ahead of the clock"
    return None


def rows_of(
    world: World, tenant: str, events: Sequence[Event], received_ms: int, first_row: int = 0
) -> tuple[list[EventRow], list[Rejection]]:
    """Events as rows of the log, and those that cannot take effect."""
    rows: list[EventRow] = []
    rejected: list[Rejection] = []
    cache: dict[str, int] = {}
    stamp = world.stamp(tenant, received_ms)
    for index, event in enumerate(events):
        reason = too_early(event, received_ms)
        if reason is None and user_name(event.user_id, event.anonymous_id) is None:
            reason = "an event needs user_id or anonymous_id"
        try:
            if reason is not None:
                raise InvalidInput(reason)
            rows.append(event_row(tenant, event, first_row + index, stamp, cache))
        except InvalidInput as error:
            rejected.append(Rejection(index=index, code=error.code, detail=error.detail))
    return rows, rejected


def record(world: World, tenant: str, events: Sequence[Event], received_ms: int) -> Recorded:
    """Log events and fold them. They are on disk when this returns; bad ones are `rejected`."""
    rows, rejected = rows_of(world, tenant, events, received_ms)
    recorded = log_rows(world, tenant, rows, received_ms)
    recorded.rejected = rejected
    fold(world, tenant, recorded.users, recorded.fresh)
    return recorded


def log_rows(world: World, tenant: str, rows: Sequence[EventRow], received_ms: int) -> Recorded:
    """Write rows to the log (durable on return) and count the new ones into the live statistics."""
    return log_many(world, [(tenant, rows, received_ms)])[0]


def log_many(
    world: World, batches: Sequence[tuple[str, Sequence[EventRow], int]]
) -> list[Recorded]:
    """Several batches in one transaction: the group commit of concurrent callers."""
    results = []
    for (name, rows, _), appended in zip(batches, world.log.append_many(batches), strict=True):
        tenant = world.tenant(name)
        recorded = Recorded(accepted=len(rows), duplicates=appended.duplicates)
        for row, new in zip(rows, appended.new, strict=True):
            if new:
                recorded.fresh.setdefault(row.user, []).append(row)
        recorded.users = set(recorded.fresh)
        fresh = [row for rows_ in recorded.fresh.values() for row in rows_]
        if fresh:
            grew = np.array(appended.new, bool)
            world.count(tenant, profiles.as_events(rows)[grew], appended.users[grew], appended.seq)
            recorded.unknown_items = _unknown(world, tenant, fresh)
        results.append(recorded)
    return results


def _unknown(world: World, tenant: Tenant, rows: Sequence[EventRow]) -> int:
    """How many of the events name an item that the store does not have (yet)."""
    keys = {row.item_key for row in rows if row.item_id is not None}
    known = world.known(tenant, keys)
    return sum(1 for row in rows if row.item_id is not None and row.item_key not in known)


# --- folding -----------------------------------------------------------------------------------------


def fold(
    world: World,
    tenant: str,
    users: Collection[str],
    fresh: Mapping[str, Sequence[EventRow]] | None = None,
    progress: Progress | None = None,
) -> None:
    """Bring the profiles of `users` (and of those they are merged into) up to the log.

    With `fresh`, their newly logged rows, these are added to the stored profiles; one that then
    disagrees with the log, and every one without `fresh`, is folded from the log. Raises NotReady
    when other writers keep winning, Unavailable.
    """
    owners = sorted(set(users) | set(world.log.owners_of(tenant, list(users))))
    for start in range(0, len(owners), FOLD_BATCH):
        left = owners[start : start + FOLD_BATCH]
        for _ in range(TRIES):
            left = _fold_batch(world, tenant, left, fresh)
            if not left:
                break
        else:
            raise NotReady(f"{len(left)} profiles are being written by others; try again")
        if progress is not None:
            progress(min(FOLD_BATCH, len(owners) - start))


def _fold_batch(
    world: World,
    tenant: str,
    users: Sequence[str],
    fresh: Mapping[str, Sequence[EventRow]] | None,
) -> list[str]:
    """One read of the profiles, one of the item vectors, one write; gives back who lost a race."""
    state = world.tenant(tenant)
    keys = {user: user_key(tenant, user) for user in users}
    standings = world.log.standings(tenant, users)
    stored = world.store.users(tenant, list(keys.values()))
    folded: dict[str, Profile] = {}
    for user in users:
        standing, held = standings.get(user), stored.get(keys[user])
        if fresh is None or standing is None:
            continue
        profile = profiles.unpack(held.payload) if held else Profile.EMPTY
        rows = [row for one in (user, *standing.guests) for row in fresh.get(one, ())]
        if profile.counted + sum(row.kind != IMPRESSION for row in rows) == standing.events:
            folded[user] = profiles.fold(profile, rows)
    versions = {user: standings[user].version for user in folded}
    rest = [user for user in users if user not in folded]
    for user, whole in world.log.refold(tenant, rest).items():
        folded[user], versions[user] = whole.profile, whole.version
    _warm(world, state, list(folded.values()))
    writes = [
        _stored(world, state, stored.get(keys[user]) or StoredUser(keys[user]), profile)
        for user, profile in folded.items()
    ]
    lost = set(world.store.put_users(tenant, writes))
    won = {user: version for user, version in versions.items() if keys[user] not in lost}
    world.log.mark_folded(tenant, won)
    return [user for user in users if keys[user] in lost]


def _warm(world: World, tenant: Tenant, some: Sequence[Profile]) -> None:
    """One read of all the item vectors that a batch of folds needs."""
    keys = {int(key) for profile in some for key in profiles.taste_keys(profile)}
    world.vectors(tenant, keys)


def _stored(world: World, tenant: Tenant, held: StoredUser, profile: Profile) -> StoredUser:
    tastes = tastes_of(world, tenant, profile)
    indices, values = profiles.history(profile, profile.newest or 0)
    payload: dict[str, Any] = {
        **profiles.pack(profile),
        "store": tenant.name,
        "interests": _pack_tastes(tastes),
    }
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


def read_profile(world: World, tenant: Tenant, user: str) -> tuple[Profile, Tastes]:
    """The stored profile and interests of a user; empty for one nobody has heard of.

    Interests that missed items when they were folded are computed anew: the items may exist now.
    """
    key = user_key(tenant.name, user)
    held = world.store.users(tenant.name, [key]).get(key)
    if held is None:
        return Profile.EMPTY, Tastes.EMPTY
    profile = profiles.unpack(held.payload)
    packed = held.payload.get("interests")
    if not packed or packed["missing"]:
        return profile, tastes_of(world, tenant, profile)
    return profile, _unpack_tastes(packed, world.encoder.dim)


def fold_recent(
    world: World, tenant: Tenant, profile: Profile, events: Sequence[Event], now_ms: int
) -> Profile:
    """A profile with events that travel in a request, for this answer only."""
    cache: dict[str, int] = {}
    rows = []
    for index, event in enumerate(events):
        reason = too_early(event, world.wall())
        if reason is not None:
            raise InvalidInput(f"recent/{index}: {reason}")
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
    """All profiles and counts again from the log, the only truth."""
    users = world.log.users(tenant)
    keep = {user_key(tenant, user) for user in users}
    gone = [key for key in world.store.user_keys(tenant) if key not in keep]
    world.store.delete_users(tenant, gone)
    for start in range(0, len(users), FOLD_BATCH):
        part = users[start : start + FOLD_BATCH]
        world.store.delete_users(tenant, [user_key(tenant, user) for user in part])
        fold(world, tenant, part, progress=progress)
    world.recount(tenant)
    return {"users": len(users), "events": world.log.count(tenant), "removed": len(gone)}


# --- what is held about a user -----------------------------------------------------------------------


def export(
    world: World, tenant: str, user: str, cursor: str | None, limit: int = 1000
) -> dict[str, Any]:
    """Everything held about a user, a page of events at a time. Raises InvalidInput (cursor)."""
    state = world.tenant(tenant)
    group = [user, *world.log.links_of(tenant, user)]
    events, following = world.log.export(tenant, group, cursor, limit)
    profile, tastes = read_profile(world, state, user)
    seen = profiles.seen(profile)
    return {
        "profile": {
            "events": profile.counted,
            "items": len(seen),
            "interests": len(tastes.vectors),
            "as_of": None if profile.newest is None else format_instant(profile.newest),
            "searches": [search.text for search in profile.searches],
        },
        "events": events,
        "merged": [{"anonymous_id": guest[2:]} for guest in group[1:]],
        "store": state.name,
        "next": following,
    }


def forget(world: World, tenant: str, user: str) -> dict[str, Any]:
    """Erase a user and the guests merged into them, look again, and say so."""
    erasure_id = new_id(world.wall())
    group = [user, *world.log.links_of(tenant, user)]
    keys = [user_key(tenant, member) for member in group]
    held = len(world.store.users(tenant, keys))
    gone = world.log.forget(tenant, user, world.wall(), erasure_id)
    _erase(world, tenant, keys)
    fold(world, tenant, gone.owners)
    left = world.log.held(tenant, list(gone.users))
    verified = left == 0 and not world.store.users(tenant, keys)
    return _settled(world, tenant, erasure_id, gone.events, held, verified)


def finish_erasures(world: World) -> int:
    """Finish what a crash interrupted: the log is empty already, the vectors may not be."""
    unfinished = world.log.unfinished_erasures()
    for tenant, erasure_id, keys in unfinished:
        record = world.log.erasure(tenant, erasure_id) or {}
        held = len(world.store.users(tenant, keys))
        _erase(world, tenant, keys)
        verified = not world.store.users(tenant, keys)
        events = record.get("erased", {}).get("events", 0)
        _settled(world, tenant, erasure_id, events, held, verified)
    return len(unfinished)


def _erase(world: World, tenant: str, keys: Sequence[str]) -> None:
    world.store.delete_users(tenant, keys)
    world.store.flush()


def _settled(
    world: World, tenant: str, erasure_id: str, events: int, held: int, verified: bool
) -> dict[str, Any]:
    erasure = {
        "erasure_id": erasure_id,
        "status": "done" if verified else "running",
        "erased": {"events": events, "profiles": held},
        "verified": verified,
    }
    world.log.put_erasure(tenant, erasure_id, erasure)
    return erasure


def erasure(world: World, tenant: str, erasure_id: str) -> dict[str, Any]:
    """The state of an erasure. Raises NotFound."""
    found = world.log.erasure(tenant, erasure_id)
    if found is None:
        raise NotFound(f"no erasure {erasure_id[:64]!r}")
    return found


def merge(world: World, tenant: str, user_id: str, anonymous_id: str) -> int:
    """A guest turned out to be a user: the user's profile is now the union of both."""
    user, guest = "u:" + user_id, "a:" + anonymous_id
    world.log.link(tenant, user, guest)
    fold(world, tenant, [user])
    return world.log.counts_of(tenant, [guest]).get(guest, 0)


def unmerge(world: World, tenant: str, user_id: str, anonymous_id: str) -> int:
    """Undo a merge. Raises NotFound where there is none."""
    user, guest = "u:" + user_id, "a:" + anonymous_id
    if not world.log.unlink(tenant, user, guest):
        raise NotFound("these two are not merged")
    fold(world, tenant, [user])
    return world.log.counts_of(tenant, [guest]).get(guest, 0)
