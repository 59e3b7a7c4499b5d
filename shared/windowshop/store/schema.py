"""What both stores agree on: names, derived payload fields, indexes, how a search is planned."""

import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from windowshop.errors import InvalidInput, Misconfigured
from windowshop.filters import NAMED, And, AnyOf, FieldType, Filter
from windowshop.store import Payload, Sparse, StoredUser, Vector

LAYOUT = 1
"""Raised when stored data must be made anew to be read by this code."""

TEXT, LEARNED, WORDS = "text", "learned", "words"
TASTE, HISTORY = "taste", "history"
MARKS, BUCKET = "_marks", "_bucket"
INTERNAL = (MARKS, BUCKET)
"""Payload fields that the stores add for themselves and never hand out."""

WAITING = "waiting"
KEPT = ("vector_hash", "embedded_at")
"""What a new payload keeps of the old one: it is said of the vector, which stays too."""

MAX_ITEMS = 1_000
INDEX_FROM = 10_000
"""Vectors from which an index pays; below, every search is exact and takes less than 1 ms."""

# Graph and quantization, chosen on a catalogue of 92k products of which 70k share their text with
# another (docs/decisions/0004): plain HNSW finds none of the right items for one search text in
# eight there, because items with the same vector link only to each other. Links inside random
# buckets lead out of such a clump; int8 vectors pay for them.
LINKS = 12
BREADTH = 100
BUCKETS = 256
SCAN_BELOW_KB = 60
"""Smallest bucket that gets links of its own. Qdrant would also scan filters that pass fewer
points than this, so scanning is decided by `plan` instead."""
SEARCH_BREADTH = 200
LEARNED_BREADTH = 2
"""Learned vectors, which lie in more directions than those of texts, are walked more broadly."""
OVERSAMPLING = 2.0

SCAN_UP_TO = 25_000
DENSE_ENOUGH = 0.4
"""Below this share of passing points the links between them are too few to be walked."""

ITEM_INDEXES: Mapping[str, FieldType] = {
    "path": "keyword",
    **{name: kind for name, kind in NAMED.items() if name != "category"},
}
LONG = frozenset({"title", "description"})
"""Fields whose index would hold the texts once more; Edge reads the payload for these instead."""


def fingerprint(model: str, dim: int) -> str:
    """Eight hex digits that stand for vectors that may be compared with each other."""
    return hashlib.blake2b(f"{model}/{dim}/{LAYOUT}".encode(), digest_size=4).hexdigest()


def model_card(model: str, dim: int) -> dict[str, Any]:
    return {"model": model, "dim": dim, "layout": LAYOUT}


def check_model(card: Mapping[str, Any], model: str, dim: int, where: str) -> None:
    """Raises Misconfigured when `card` names another model than the one that shall be used."""
    wanted = model_card(model, dim)
    if {name: card.get(name) for name in wanted} != wanted:
        raise Misconfigured(
            f"the vectors in {where} were made by {card.get('model')} and cannot be compared with "
            f"those of {model}: set `model` back, or run `windowshop rebuild --embed` to embed "
            "every item anew; until that is done the old vectors stay as they are"
        )


def read_card(text: str) -> dict[str, Any]:
    """A model card from JSON; {} from what is none, so that it equals no model's."""
    try:
        card = json.loads(text)
    except ValueError:
        return {}
    return card if isinstance(card, dict) else {}


# --- payload -------------------------------------------------------------------------------------


def is_waiting(payload: Payload) -> bool:
    """Whether the vector is missing or was made from an older text."""
    made_from = payload.get("vector_hash")
    return made_from is None or made_from != payload.get("text_hash")


def item_payload(tenant: str, key: int, payload: Payload, held: Payload | None) -> Payload:
    """What is written for an item: `payload`, what it keeps of `held`, and the internal fields."""
    kept = {name: held[name] for name in KEPT if held and name in held}
    whole = {**payload, **kept, "store": tenant}
    whole[MARKS] = marks(whole)
    whole[BUCKET] = f"{tenant}/{key % BUCKETS}"
    return whole


def marks(payload: Payload) -> list[str]:
    """Keywords that stand for what an index cannot say otherwise: waiting, and the booleans."""
    found = [WAITING] if is_waiting(payload) else []
    for prefix, fields in (("", payload), ("attributes.", payload.get("attributes") or {})):
        found += [
            mark(prefix + name, value) for name, value in fields.items() if isinstance(value, bool)
        ]
    return found


def mark(field: str, value: bool) -> str:
    return f"{field}={'true' if value else 'false'}"


def user_payload(tenant: str, user: StoredUser) -> Payload:
    return {**user.payload, "store": tenant, "version": user.version + 1}


def tail_of(payload: Payload | None) -> bytes:
    """The bytes under `tail`; none from what is no base64."""
    try:
        return binascii.a2b_base64((payload or {}).get("tail", ""))
    except ValueError:  # also binascii's
        return b""


def stored_user(key: str, payload: Payload) -> StoredUser:
    payload = dict(payload)
    return StoredUser(key, int(payload.pop("version", 0)), payload)


def is_older(held: Payload, order: object) -> bool:
    """Whether a write with `order` may replace what is held."""
    mine, theirs = order, held.get("order")
    return not (isinstance(mine, int) and isinstance(theirs, int) and theirs > mine)


# --- bounds --------------------------------------------------------------------------------------

_TENANT = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


def check_tenant(tenant: str) -> str:
    """The name, which becomes a folder. Raises InvalidInput."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidInput(f"{tenant[:64]!r}: a store is named by 1-64 of a-z, 0-9 and -")
    return tenant


def check_batch(given: int) -> None:
    if given > MAX_ITEMS:
        raise InvalidInput(f"at most {MAX_ITEMS} items a call, not {given}")


def check_vectors(vectors: Vector, rows: int, dim: int, which: str = "vectors") -> None:
    if vectors.shape != (rows, dim) or not bool(np.isfinite(vectors).all()):
        raise InvalidInput(f"{which} must be finite and of shape ({rows}, {dim})")


def check_words(words: Mapping[int, Sparse], items: Mapping[int, Payload]) -> None:
    for key, one in words.items():
        if key not in items:
            raise InvalidInput(f"there are words of item {key}, but no item")
        if one.indices.shape != one.values.shape or not bool(np.isfinite(one.values).all()):
            raise InvalidInput(f"words of item {key} must be pairs of a dimension and a number")
        if len(np.unique(one.indices)) != len(one.indices):
            raise InvalidInput(f"words of item {key} name a dimension twice")


T = TypeVar("T")


def chunks(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


# --- filters and plans ---------------------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def json_path(field: str) -> str:
    """A field of a payload as Qdrant writes it: `attributes."odd name"`."""
    parts = field.split(".", 1)
    return ".".join(part if _PLAIN.fullmatch(part) else f'"{part}"' for part in parts)


AVAILABLE = AnyOf("available", (True,))


def without_available(where: Filter | None) -> tuple[Filter | None, bool]:
    """The filter without its demand that items be available, and whether it had one."""
    if where == AVAILABLE:
        return None, True
    if isinstance(where, And) and AVAILABLE in where.parts:
        rest = tuple(part for part in where.parts if part != AVAILABLE)
        return (rest[0] if len(rest) == 1 else And(rest)) if rest else None, True
    return where, False


@dataclass(frozen=True, slots=True)
class Plan:
    """How to search: by scanning what passes, or by walking the graph this broadly."""

    exact: bool
    breadth: int = SEARCH_BREADTH
    detours: bool = False


def breadth(how: Plan, using: str) -> int:
    return how.breadth * (LEARNED_BREADTH if using == LEARNED else 1)


def plan(passing: int, total: int) -> Plan:
    """The cheapest way that still finds the nearest of `passing` among `total` points.

    Measured at 92k points, 12 links: walking alone finds 0.99 of the true nearest when all pass,
    0.95 when half do, 0.6 at a fifth, nothing below; scanning is exact and takes 0.2 us a point.
    """
    if total < INDEX_FROM or passing <= SCAN_UP_TO:
        return Plan(exact=True)
    share = passing / total
    if share < DENSE_ENOUGH:
        return Plan(exact=False, detours=True)
    return Plan(exact=False, breadth=round(SEARCH_BREADTH / share))
