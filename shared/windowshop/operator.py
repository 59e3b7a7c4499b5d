"""What the command line can do to a shop: one table of verbs, here or in the process that serves.

A verb takes and gives plain JSON, so that `windowshop ingest` in a second terminal does to a served
home exactly what it does to an idle one: called directly (`LocalOperator`) or posted to the process
that serves (`RemoteOperator`: loopback, with the token that only the home's owner can read).
"""

import http.client
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import orjson

from windowshop import consume, errors, recording
from windowshop.errors import Flaw, Unavailable, WindowshopError
from windowshop.keys import make_key
from windowshop.log.sqlite import SqliteLog
from windowshop.profile import EventRow, event_row
from windowshop.records import Event, Item, Record, Request, Who, format_instant, read
from windowshop.shop import Shop

Json = dict[str, Any]
Progress = Callable[[int], None]
Verb = Callable[[Shop, Json], Json]
R = TypeVar("R", bound=Record)

PATH = "/v1/operator/"
PAGE = 5_000
FOLD_SLICE = 200
EXPORT_PAGE = 1_000
LETTERS = 1_000
KEYS = 1_000
MOST_WAITING = 1_000_000


class Operator(Protocol):
    """A shop that can be operated, wherever it runs."""

    def call(self, verb: str, progress: Progress | None = None, **args: Any) -> Json:
        """Raises what the verb raises, and Unavailable when the process that serves went away.

        `progress` is told of steps on the way where the verb runs in this process.
        """


class LocalOperator:
    """The shop in this process. Records may be given as they are, without a detour through JSON."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def call(self, verb: str, progress: Progress | None = None, **args: Any) -> Json:
        return VERBS[verb](self._shop, {**args, "progress": progress})


def bind(shop: Shop) -> dict[str, Callable[[Json], Json]]:
    """The verbs with their shop, for the API of the process that serves it."""

    def bound(verb: Verb) -> Callable[[Json], Json]:
        return lambda args: verb(shop, args)

    return {name: bound(verb) for name, verb in VERBS.items()}


# --- items ---------------------------------------------------------------------------------------


def _records(record: type[R], values: Sequence[object]) -> list[R]:
    return [value if isinstance(value, record) else read(record, value) for value in values]


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


def _log(shop: Shop) -> SqliteLog:
    """The log of the embedded world, which keeps keys and letters beside the events."""
    return cast(SqliteLog, shop.world.log)


def create_key(shop: Shop, args: Json) -> Json:
    """A new key: the only time that it is shown."""
    key, stored = make_key(args["store"], args["role"], shop.world.wall(), args.get("note", ""))
    _log(shop).put_key(stored)
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
            for key in _log(shop).keys(args["store"])
        ]
    }


def revoke_key(shop: Shop, args: Json) -> Json:
    """Raises NotFound."""
    _log(shop).revoke_key(args["store"], args["id"], shop.world.wall())
    return {"id": args["id"], "revoked": True}


def signing_secret(shop: Shop, args: Json) -> Json:
    return {"signing_secret": _log(shop).signing_secret(args["store"], create=True)}


def letters(shop: Shop, args: Json) -> Json:
    """A page of dead letters: what they are about, not what they say."""
    some = _log(shop).letters(args["store"], args.get("after", 0))
    return {
        "letters": [
            {"id": one.id, "received_at": format_instant(one.received_ms), "reason": one.reason}
            for one in some
        ],
        "next": some[-1].id if len(some) == LETTERS else None,
    }


def letter(shop: Shop, args: Json) -> Json:
    """One dead letter whole. Raises NotFound."""
    one = _log(shop).letter(args["store"], args["id"])
    return {
        "id": one.id,
        "received_at": format_instant(one.received_ms),
        "reason": one.reason,
        "body": one.body,
    }


def retry_letter(shop: Shop, args: Json) -> Json:
    """Deliver a letter once more; what takes effect is a letter no longer. Raises NotFound."""
    one = _log(shop).letter(args["store"], args["id"])
    outcome = consume.events(shop, [one.body])[0]
    if outcome.status == "ok":
        _log(shop).delete_letters(args["store"], [one.id])
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
        "dead_letters": _log(shop).count_letters(store),
    }


VERBS: Mapping[str, Verb] = {
    verb.__name__: verb
    for verb in (
        put_items, waiting, embed, delete_items, item_ids, fields, add_field, now, record,
        unfolded, fold, rebuild, recommend, export, forget, create_key, keys, revoke_key,
        signing_secret, letters, letter, retry_letter, model, status,
    )
}  # fmt: skip


# --- beside a server -----------------------------------------------------------------------------

_ERRORS: Mapping[str, type[WindowshopError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WindowshopError)
}


class RemoteOperator:
    """The shop in the process that serves the home. One connection, kept open between calls."""

    def __init__(self, url: str, token: str, timeout_s: float | None = None) -> None:
        place = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            place.hostname or "", place.port, timeout=timeout_s
        )
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, verb: str, progress: Progress | None = None, **args: Any) -> Json:
        try:
            self._connection.request("POST", PATH + verb, encode(args), self._headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(
                f"`windowshop serve` on this home went away ({type(error).__name__}): "
                "start it again or leave it off, and repeat the command"
            ) from error
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise Unavailable(f"no answer of windowshop's from {self._connection.host}")
        if response.status != 200:
            raise _error(answer)
        return answer

    def close(self) -> None:
        self._connection.close()


def _error(problem: Json) -> WindowshopError:
    kind = _ERRORS.get(str(problem.get("code")), WindowshopError)
    flaws = [Flaw(flaw["pointer"], flaw["detail"]) for flaw in problem.get("errors") or ()]
    return kind(str(problem.get("detail")), flaws)


def encode(args: Json) -> bytes:
    """Arguments as JSON; records as they are sent over HTTP (times in seconds)."""
    return orjson.dumps(args, default=_sent)


def _sent(value: object) -> Any:
    if not isinstance(value, Record):
        raise TypeError(type(value).__name__)
    fields = value.model_dump(exclude_none=True)
    for name in ("timestamp", "created_at"):
        if name in fields:
            fields[name] /= 1000
    return fields
