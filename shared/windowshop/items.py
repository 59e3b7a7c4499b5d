"""The catalogue's verbs: write items, embed what waits, read and delete them."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from windowshop.errors import InvalidInput, NotFound
from windowshop.filters import NAMED, FieldType, category_paths
from windowshop.records import (
    ITEM_FIELDS,
    Item,
    Rejection,
    format_instant,
    item_key,
    read,
)
from windowshop.space import places_of_items
from windowshop.store import Payload, Vector
from windowshop.store.schema import is_older
from windowshop.vocabulary import words_of
from windowshop.world import World

BATCH = 1_000
_HASHES = ("row_hash", "vector_hash", "order")
_TEXTS = ("title", "brand", "category", "description", "text_hash", "vector_hash")
MAX_FIELDS = 50


@dataclass(slots=True)
class Written:
    """What a write of items did; those with the keys `waiting` wait for a vector."""

    accepted: int = 0
    unchanged: int = 0
    waiting: list[int] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)

    @property
    def to_embed(self) -> int:
        return len(self.waiting)


class Wanted(NamedTuple):
    """A text to be encoded: the item's key, and the hash under which its vector is stored."""

    key: int
    text: str
    text_hash: str


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def payload_of(tenant: str, item: Item) -> Payload:
    """What is stored of an item; `text_hash` decides embedding, `row_hash` writing."""
    payload = item.model_dump(exclude_none=True)
    if item.category:
        payload["path"] = category_paths(item.category)
    if item.created_at is not None:
        payload["created_at"] = format_instant(item.created_at)
    payload["row_hash"] = _digest(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS))
    payload["text_hash"] = _digest(item.text().encode())
    payload["store"] = tenant
    return payload


def item_of(payload: Payload) -> dict[str, Any]:
    """An item as the API shows it: its own fields and `embedded_at`."""
    item = {name: payload[name] for name in ITEM_FIELDS if payload.get(name) is not None}
    embedded = payload.get("embedded_at")
    current = payload.get("vector_hash") == payload.get("text_hash")
    item["embedded_at"] = format_instant(embedded) if embedded is not None and current else None
    return item


def put_items(
    world: World, tenant: str, items: Sequence[Item], order: int | None = None
) -> Written:
    """Write items whole; of equal ids in one call the last wins. Searchable once embedded.

    `order` (default: the wall clock, ms) ranks uploads: an older one never overwrites what a newer
    one has written; such items count as unchanged. Unchanged items are not written, so they keep
    the order of when they were (`uploads.precedence` sees to what that leaves open).
    """
    order = world.wall() if order is None else order
    written = Written(accepted=len(items))
    state = world.tenant(tenant)
    for start in range(0, len(items), BATCH):
        rows = {
            item_key(tenant, item.item_id): payload_of(tenant, item)
            for item in items[start : start + BATCH]
        }
        stored = world.store.items(tenant, list(rows), _HASHES)
        changed: dict[int, Payload] = {}
        for key, payload in rows.items():
            old = stored.get(key, {})
            if not is_older(old, order):
                written.unchanged += 1
                continue
            if old.get("vector_hash") != payload["text_hash"]:
                written.waiting.append(key)
            if old.get("row_hash") == payload["row_hash"]:
                written.unchanged += 1
                continue
            payload["order"] = order
            changed[key] = payload
        if changed:
            world.store.put_items(tenant, changed, words_of(changed))
            world.forget_cached(state, changed, vectors=False)
    return written


def patch_items(
    world: World, tenant: str, patches: Sequence[object], order: int | None = None
) -> Written:
    """Merge the given fields into stored items; null removes. Unknown ids are rejected."""
    written = Written()
    merged: dict[str, Item] = {}
    ids = [patch.get("item_id") if isinstance(patch, dict) else None for patch in patches]
    keys = [item_key(tenant, i) for i in ids if isinstance(i, str)]
    stored = world.store.items(tenant, keys) if keys else {}
    for index, (patch, item_id) in enumerate(zip(patches, ids, strict=True)):
        try:
            if not isinstance(patch, dict):
                raise InvalidInput("an item is an object")
            if not isinstance(item_id, str):
                raise InvalidInput("item_id: Field required")
            old = stored.get(item_key(tenant, item_id))
            if old is None and item_id not in merged:
                raise NotFound(f"no item {item_id!r}: PUT it whole first")
            base = (
                merged[item_id].model_dump(exclude_none=True)
                if item_id in merged
                else {name: old[name] for name in ITEM_FIELDS if old and name in old}
            )
            if isinstance(base.get("created_at"), int):
                base["created_at"] = base["created_at"] / 1000
            merged[item_id] = read(Item, _merge(base, patch))
            written.accepted += 1
        except InvalidInput as error:
            written.rejected.append(Rejection(index=index, code=error.code, detail=error.detail))
    if merged:
        inner = put_items(world, tenant, list(merged.values()), order)
        written.unchanged, written.waiting = inner.unchanged, inner.waiting
    return written


def _merge(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396 (JSON merge patch): null removes, objects merge, anything else replaces."""
    merged = dict(base)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def delete_items(
    world: World, tenant: str, item_ids: Iterable[str], order: int | None = None
) -> int:
    """Remove items; returns how many there were. Unknown ids are no error."""
    keys = list({item_key(tenant, item_id) for item_id in item_ids})
    removed = 0
    for start in range(0, len(keys), BATCH):
        batch = keys[start : start + BATCH]
        before = set(world.store.items(tenant, batch, ("item_id",)))
        world.store.delete_items(tenant, batch, order)
        after = set(world.store.items(tenant, batch, ("item_id",)))
        removed += len(before - after)
        world.forget_cached(world.tenant(tenant), batch)
    return removed


def embed_waiting(
    world: World,
    tenant: str,
    limit: int = 2048,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Encode up to `limit` items that wait for a vector; returns how many there were (0: done)."""
    wanted = texts_of(world, tenant, world.store.waiting(tenant, limit))
    if wanted:
        texts = [one.text for one in wanted]
        put_vectors(world, tenant, wanted, world.encoder.encode(texts, progress=progress))
    return len(wanted)


def texts_of(world: World, tenant: str, keys: Sequence[int]) -> list[Wanted]:
    """The texts of those of the items that wait for a vector."""
    found = []
    for start in range(0, len(keys), BATCH):
        held = world.store.items(tenant, keys[start : start + BATCH], _TEXTS)
        found += [
            Wanted(key, stored_text(payload), payload["text_hash"])
            for key, payload in held.items()
            if payload.get("vector_hash") != payload["text_hash"]
        ]
    return found


def wanted_of(tenant: str, items: Iterable[Item], waiting: Iterable[int]) -> list[Wanted]:
    """The texts of the items whose keys are in `waiting`, as they were just written."""
    by_key = {item_key(tenant, item.item_id): item for item in items}
    texts = [(key, by_key[key].text()) for key in waiting]
    return [Wanted(key, text, _digest(text.encode())) for key, text in texts]


def still_wanted(world: World, tenant: str, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Those whose items have the same text still, and no vector of it yet."""
    found = []
    for start in range(0, len(wanted), BATCH):
        part = wanted[start : start + BATCH]
        held = world.store.items(tenant, [one.key for one in part], ("text_hash", "vector_hash"))
        for one in part:
            payload = held.get(one.key, {})
            if payload.get("text_hash") == one.text_hash != payload.get("vector_hash"):
                found.append(one)
    return found


def put_vectors(world: World, tenant: str, wanted: Sequence[Wanted], vectors: Vector) -> int:
    """Store the vectors [n, dim] of texts; returns how many took effect: a text that was changed
    meanwhile waits for its own.
    """
    done, state = 0, world.tenant(tenant)
    for start in range(0, len(wanted), BATCH):
        part = wanted[start : start + BATCH]
        keys, hashes = [one.key for one in part], [one.text_hash for one in part]
        rows = vectors[start : start + BATCH]
        places = places_of_items(world, state, keys, rows)
        more = {} if places is None else places._asdict()
        done += len(world.store.put_vectors(tenant, keys, rows, hashes, world.wall(), **more))
    world.forget_cached(state, [one.key for one in wanted])
    return done


def stored_text(payload: Payload) -> str:
    """The text of a stored item, the same as `Item.text`."""
    parts = (
        payload.get("title"),
        payload.get("brand"),
        " > ".join(payload.get("category") or ()),
        payload.get("description"),
    )
    return "\n".join(part for part in parts if part)


def get_item(world: World, tenant: str, item_id: str) -> dict[str, Any]:
    """One item. Raises NotFound."""
    key = item_key(tenant, item_id)
    payload = world.store.items(tenant, [key]).get(key)
    if payload is None:
        raise NotFound(f"no item {item_id[:128]!r} in store {tenant!r}")
    return item_of(payload)


def list_items(
    world: World, tenant: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of items and the cursor of the next (None at the end). Raises InvalidInput."""
    try:
        start = None if cursor is None else int(cursor)
    except ValueError:
        start = -1
    if start is not None and not 0 <= start < 2**63:
        raise InvalidInput("cursor: take the cursor that the last page gave")
    rows, following = world.store.scan(tenant, start, limit)
    return [item_of(payload) for _, payload in rows], None if following is None else str(following)


def declare_field(world: World, tenant: str, name: str, kind: FieldType) -> None:
    """Make an attribute filterable. Raises InvalidInput when it cannot be."""
    name = name.removeprefix("attributes.")
    fields = world.log.fields(tenant)
    if not name or len(name) > 64 or any(c in name for c in '."[]$') or not name.isprintable():
        raise InvalidInput(f"{name!r} cannot be the name of an attribute")
    if name in NAMED:
        raise InvalidInput(f"{name!r} is a named field and filterable as it is")
    if kind not in ("keyword", "integer", "float", "bool", "datetime"):
        raise InvalidInput(f"{kind!r}: a field is keyword, integer, float, bool or datetime")
    if fields.get(name, kind) != kind:
        raise InvalidInput(f"{name!r} is declared as {fields[name]} already")
    if len(fields) >= MAX_FIELDS and name not in fields:
        raise InvalidInput(f"a store declares at most {MAX_FIELDS} fields")
    world.store.declare(tenant, name, kind)
    world.log.put_field(tenant, name, kind)
    world.tenant(tenant).fields[name] = kind
