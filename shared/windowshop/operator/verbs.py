"""The verbs, each `verb(shop, args) -> answer` in plain JSON."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from windowshop import consume, recording
from windowshop.keys import make_key
from windowshop.profile import EventRow, event_row
from windowshop.records import Event, Item, Record, Request, Who, format_instant, read
from windowshop.shop import Shop

Json = dict[str, Any]
Verb = Callable[[Shop, Json], Json]
R = TypeVar("R", bound=Record)

PAGE = 5_000
FOLD_SLICE = 200
EXPORT_PAGE = 1_000
LETTERS = 1_000
KEYS = 1_000
MOST_WAITING = 1_000_000


# --- items ---------------------------------------------------------------------------------------


def _records(record: type[R], values: Sequence[object]) -> list[R]:
    return [value if isinstance(value, record) else read(record, value) for value in values]


def ping(_: Shop, __: Json) -> Json:
    """Touches nothing."""
    return {}


def put_items(shop: Shop, args: Json) -> Json:
    """Payloads at once; vectors by `embed`."""
    written = shop.put_items(args["store"], _records(Item, args["items"]), args["order"])
    return {
        "accepted": written.accepted,
        "unchanged": written.unchanged,
        "to_embed": written.to_embed,
        "rejected": [rejection.model_dump() for rejection in written.rejected],
    }


def waiting(shop: Shop, args: Json) -> Json:
    """How many items wait for a vector."""
    return {"items": len(shop.world.store.waiting(args["store"], MOST_WAITING))}


def embed(shop: Shop, args: Json) -> Json:
    """Up to `limit` of the items that wait for a vector; 0 when none does."""
    done = shop.embed_waiting(args["store"], args["limit"], args.get("progress"))
    return {"embedded": done}


def delete_items(shop: Shop, args: Json) -> Json:
    return {"deleted": shop.delete_items(args["store"], args["item_ids"], args["order"])}


def item_ids(shop: Shop, args: Json) -> Json:
    """A page of the ids of all items, and the cursor of the next."""
    rows, following = shop.world.store.scan(
        args["store"], args.get("cursor"), PAGE, fields=("item_id",)
    )
    return {"item_ids": [payload["item_id"] for _, payload in rows], "next": following}


def fields(shop: Shop, args: Json) -> Json:
    return {"fields": shop.fields(args["store"])}


def add_field(shop: Shop, args: Json) -> Json:
    shop.declare_field(args["store"], args["name"], args["kind"])
    return fields(shop, args)


# --- events and users ----------------------------------------------------------------------------


def now(shop: Shop, args: Json) -> Json:
    """The wall's time, and the time that an event of now without one gets."""
    wall = shop.world.wall()
    return {"ms": wall, "stamp_ms": shop.world.stamp(args["store"], wall)}


def record(shop: Shop, args: Json) -> Json:
    """Events into the log, on disk when this returns; profiles by `fold`.

    `rows` order events of equal times. `received_ms` and `stamp_ms` (see `now`) are one for a whole
    upload, so that events without a time keep the order of their rows.
    """
    store, received, stamp = args["store"], args["received_ms"], args["stamp_ms"]
    rows: list[EventRow] = []
    rejected: list[Json] = []
    cache: dict[str, int] = {}
    wall = shop.world.wall()
    for index, (event, row) in enumerate(
        zip(_records(Event, args["events"]), args["rows"], strict=True)
    ):
        reason = recording.too_early(event, wall)
        if reason is None:
            rows.append(event_row(store, event, row, stamp, cache))
        else:
            rejected.append({"index": index, "code": "bad_time", "detail": reason})
    recorded = shop.log_rows(store, rows, received)
    return {
        "accepted": recorded.accepted,
        "duplicates": recorded.duplicates,
        "unknown_items": recorded.unknown_items,
        "users": list(recorded.users),
        "rejected": rejected,
    }


def unfolded(shop: Shop, args: Json) -> Json:
    """How many users' profiles are behind the log."""
    return {"users": len(shop.world.log.unfolded(args["store"]))}


def fold(shop: Shop, args: Json) -> Json:
    """Bring some of the profiles that are behind up to the log; 0 when none is left."""
    behind = shop.world.log.unfolded(args["store"], FOLD_SLICE)
    shop.fold(args["store"], behind)
    return {"users": len(behind)}


def rebuild(shop: Shop, args: Json) -> Json:
    return dict(shop.rebuild(args["store"], args.get("progress")))


def recommend(shop: Shop, args: Json) -> Json:
    return shop.recommend(args["store"], read(Request, args["request"])).model_dump(mode="json")


def export(shop: Shop, args: Json) -> Json:
    """One page, as over HTTP."""
    who = read(Who, args["who"])
    return shop.export(args["store"], who.name, who.cursor, EXPORT_PAGE)


def forget(shop: Shop, args: Json) -> Json:
    return shop.forget(args["store"], read(Who, args["who"]).name)


# --- keys and letters ----------------------------------------------------------------------------


def create_key(shop: Shop, args: Json) -> Json:
    """A new key: the only time that it is shown."""
    key, stored = make_key(args["store"], args["role"], shop.world.wall(), args.get("note", ""))
    shop.world.keyring.put_key(stored)
    return {"key": key, "id": stored.id, "role": stored.role, "store": stored.store}


def keys(shop: Shop, args: Json) -> Json:
    return {
        "keys": [
            {
                "id": key.id,
                "role": key.role,
                "store": key.store,
                "note": key.note,
                "created_at": format_instant(key.created_ms),
                "revoked_at": None if key.revoked_ms is None else format_instant(key.revoked_ms),
            }
            for key in shop.world.keyring.keys(args["store"])
        ]
    }


def revoke_key(shop: Shop, args: Json) -> Json:
    """Raises NotFound."""
    shop.world.keyring.revoke_key(args["store"], args["id"], shop.world.wall())
    return {"id": args["id"], "revoked": True}


def signing_secret(shop: Shop, args: Json) -> Json:
    return {"signing_secret": shop.world.keyring.signing_secret(args["store"], create=True)}


def letters(shop: Shop, args: Json) -> Json:
    """A page of dead letters: what they are about, not what they say."""
    some = shop.world.letters.letters(args["store"], args.get("after"))
    return {
        "letters": [
            {"id": one.id, "received_at": format_instant(one.received_ms), "reason": one.reason}
            for one in some
        ],
        "next": some[-1].id if len(some) == LETTERS else None,
    }


def letter(shop: Shop, args: Json) -> Json:
    """One dead letter whole. Raises NotFound."""
    one = shop.world.letters.letter(args["store"], args["id"])
    return {
        "id": one.id,
        "received_at": format_instant(one.received_ms),
        "reason": one.reason,
        "body": one.body,
    }


def retry_letters(shop: Shop, args: Json) -> Json:
    """Deliver letters once more: those of `ids`, else all of the store's; what takes effect is a
    letter no longer. Where they came from queues they are put back there ("sent"). Raises NotFound.
    """
    store, ids = args["store"], args.get("ids")
    if ids is not None:
        return {"letters": _retried(shop, store, ids)}
    tried: dict[str, Json] = {}
    while fresh := _untried(shop, store, tried):
        tried.update((one["id"], one) for one in _retried(shop, store, fresh))
    return {"letters": list(tried.values())}


def _untried(shop: Shop, store: str, tried: Mapping[str, Json]) -> list[str]:
    """Letters that may only show now that others before them are gone."""
    after: str | None = None
    while some := shop.world.letters.letters(store, after):
        if fresh := [one.id for one in some if one.id not in tried]:
            return fresh
        after = some[-1].id
    return []


def _retried(shop: Shop, store: str, ids: Sequence[str]) -> list[Json]:
    sent = shop.world.letters.send_back(store, ids)
    if sent is None:
        return [_delivered(shop, store, one) for one in ids]
    return [
        {"id": one, "status": "dead" if why else "sent", "reason": why} for one, why in sent.items()
    ]


def _delivered(shop: Shop, store: str, letter_id: str) -> Json:
    one = shop.world.letters.letter(store, letter_id)
    outcome = consume.events(shop, [one.body])[0]
    if outcome.status == "ok":
        shop.world.letters.delete_letters(store, [one.id])
    return {"id": one.id, "status": outcome.status, "reason": outcome.reason}


# --- the whole -----------------------------------------------------------------------------------


def model(shop: Shop, _: Json) -> Json:
    encoder = shop.world.encoder
    return {"name": encoder.name, "languages": encoder.languages}


def status(shop: Shop, _: Json) -> Json:
    """What `doctor` asks of an open shop. Reads the whole log."""
    world = shop.world
    stores = sorted({*world.log.stores(), *world.store.tenants()})
    return {
        "model": world.encoder.name,
        "languages": world.encoder.languages,
        "clock": world.settings.clock,
        "stores": {store: _of_store(shop, store) for store in stores},
    }


def _of_store(shop: Shop, store: str) -> Json:
    log, vectors = shop.world.log, shop.world.store
    named = log.items(store)
    known: set[int] = set()
    for start in range(0, len(named), KEYS):
        keys = [key for key, _, _ in named[start : start + KEYS]]
        known.update(vectors.items(store, keys, ("item_id",)))
    newest = log.newest(store)
    return {
        "items": vectors.count(store),
        "waiting": len(vectors.waiting(store, MOST_WAITING)),
        "users": vectors.count_users(store),
        "behind": len(log.unfolded(store)),
        "events": log.count(store),
        "unknown_item_events": sum(count for key, _, count in named if key not in known),
        "unknown_items": sum(1 for key, _, _ in named if key not in known),
        "newest_event_at": None if newest is None else format_instant(newest),
        "dead_letters": shop.world.letters.count_letters(store),
    }


VERBS: Mapping[str, Verb] = {
    verb.__name__: verb
    for verb in (
        ping, put_items, waiting, embed, delete_items, item_ids, fields, add_field, now, record,
        unfolded, fold, rebuild, recommend, export, forget, create_key, keys, revoke_key,
        signing_secret, letters, letter, retry_letters, model, status,
    )
}  # fmt: skip
