"""Events on their way into the log: checked, written, counted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from windowshop.errors import Flaw, InvalidInput
from windowshop.folding import fold
from windowshop.log import Appended, Batch, EventRow, event_row
from windowshop.records import Event, Rejection, user_name
from windowshop.world import Tenant, World

AHEAD_MS = 24 * 3_600_000


class Taken(NamedTuple):
    """What a queue says of events: those not taken, and how many name an item not known yet."""

    rejected: Sequence[Rejection]
    unknown_items: int = 0


@dataclass(slots=True)
class Recorded:
    """What came of a batch of events; `users` are those whose log grew."""

    accepted: int = 0
    duplicates: int = 0
    unknown_items: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    fresh: dict[str, list[EventRow]] = field(default_factory=dict)


def too_early(event: Event, wall_ms: int) -> str | None:
    """Why an event's time is refused, or None."""
    if event.timestamp is not None and event.timestamp > wall_ms + AHEAD_MS:
        return "timestamp is more than 24 hours ahead of the clock"
    return None


def check_times(events: Sequence[Event], wall_ms: int) -> None:
    """Raises InvalidInput for events in a request whose time is refused."""
    for index, event in enumerate(events):
        if reason := too_early(event, wall_ms):
            raise InvalidInput(f"recent/{index}: {reason}", [Flaw(f"/recent/{index}", reason)])


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
    return record_many(world, tenant, [(events, received_ms)])[0]


def record_many(
    world: World, tenant: str, batches: Sequence[tuple[Sequence[Event], int]]
) -> list[Recorded]:
    """Log batches of events, each with the time (ms) of its receipt, and fold them all together.

    Everybody named is folded, also those whose events the log held already: had a crash or an
    outage come between log and fold, delivering the events again heals it.
    """
    taken = [(*rows_of(world, tenant, events, at), at) for events, at in batches]
    results = log_many(world, [(tenant, rows, at) for rows, _, at in taken])
    fresh: dict[str, list[EventRow]] = {}
    for recorded, (_, rejected, _) in zip(results, taken, strict=True):
        recorded.rejected = rejected
        for user, rows in recorded.fresh.items():
            fresh.setdefault(user, []).extend(rows)
    named = {row.user for rows, _, _ in taken for row in rows}
    written = fold(world, tenant, named, fresh)
    now = world.wall()
    for rows, _, received_ms in taken:
        if folded := sum(row.user in written for row in rows):
            world.signals.measure("EventsFolded", folded)
            world.signals.measure("FreshnessSeconds", (now - received_ms) / 1000, "Seconds")
    return results


def log_rows(world: World, tenant: str, rows: Sequence[EventRow], received_ms: int) -> Recorded:
    """Write rows to the log (durable on return) and count the new ones into the live statistics."""
    return log_many(world, [(tenant, rows, received_ms)])[0]


def log_many(world: World, batches: Sequence[Batch]) -> list[Recorded]:
    """Several batches in one transaction: the group commit of concurrent callers."""
    logged = world.append(batches)
    held = _known(world, batches, logged)
    results = []
    for (name, rows, _), (_, appended) in zip(batches, logged, strict=True):
        recorded = Recorded(accepted=len(rows), duplicates=appended.duplicates)
        for row, new in zip(rows, appended.new, strict=True):
            if new:
                recorded.fresh.setdefault(row.user, []).append(row)
                recorded.unknown_items += row.item_id is not None and row.item_key not in held[name]
        recorded.users = set(recorded.fresh)
        if recorded.unknown_items:
            world.signals.measure("UnknownItems", recorded.unknown_items)
        results.append(recorded)
    return results


def _known(
    world: World, batches: Sequence[Batch], logged: Sequence[tuple[Tenant, Appended]]
) -> dict[str, set[int]]:
    """By store: which of the items that new events name are there (yet). One call a store."""
    tenants: dict[str, Tenant] = {}
    named: dict[str, set[int]] = {}
    for (name, rows, _), (tenant, appended) in zip(batches, logged, strict=True):
        tenants[name] = tenant
        named.setdefault(name, set()).update(
            row.item_key
            for row, new in zip(rows, appended.new, strict=True)
            if new and row.item_id is not None
        )
    return {name: world.known(tenants[name], keys) for name, keys in named.items()}
