"""What is held about a user: exported, merged and un-merged, forgotten."""

from collections.abc import Sequence
from typing import Any

from windowshop import profile as profiles
from windowshop.errors import NotFound, WindowshopError
from windowshop.folding import fold, read_profile
from windowshop.logs import log
from windowshop.records import format_instant, new_id, user_key
from windowshop.world import World


def export(
    world: World, tenant: str, user: str, cursor: str | None, limit: int = 1000
) -> dict[str, Any]:
    """Everything held about a user, a page of events at a time. Raises InvalidInput (cursor)."""
    state = world.tenant(tenant)
    group = [user, *world.log.links_of(tenant, user)]
    events, following = world.log.export(tenant, group, cursor, limit)
    profile, tastes, *_ = read_profile(world, state, user)
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
    world.tenant(tenant).stale = True
    _erase(world, tenant, keys)
    _burn_letters(world, tenant, gone.users)
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


def _burn_letters(world: World, tenant: str, users: Sequence[str]) -> None:
    """Messages of theirs that never took effect. One that is missed stays without effect, and a
    dead-letter queue lets go of it in the end; so this holds up no erasure.
    """
    try:
        world.letters.delete_letters_of(tenant, users)
    except WindowshopError as error:
        log("users").warning("letters_not_deleted", detail=error.detail)


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
    if verified:
        told = {"store": tenant, "erasure_id": erasure_id, "events": events, "profiles": held}
        world.signals.announce("UserForgotten", told)
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
