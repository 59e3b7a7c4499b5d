"""How the log lies in the table: its keys, and events and heads as items.

| pk | sk | what |
|---|---|---|
| `u/<store>/<user key>` | `e/<event key>` | an event |
| `u/<store>/<user key>` | `g/<user key>`, `o/<user key>` | a guest, or an owner, of this user |
| `h/<store>/<0-7>` | `<user key>` | a user's head; without a name it is a tombstone |
| `f/<store>/<0-7>` | `<stamp>` | what a batch added (feed.py) |
| `stores` | `<store>` | fields, and the time of the newest event |
| `s/<store>` | `<name>` | where a snapshot's body lies |
| `x/<store>` | `<erasure id>` | the record of an erasure |
| `erasing` | `<store>/<erasure id>` | what of an erasure is still to be done |

Keys hold pseudonyms (`records.user_key`), never ids. Heads lie apart from the events, so that all
users can be gone through without reading what they did.

A stamp is `<ms>-<8 random hex digits>`: it names one batch of one store. A `seq` is the stamp and
the place in the batch, and so sorts events in the order in which they came.
"""

import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.aws.log.expressions import Item, Key
from windowshop.errors import InvalidInput, TooLarge
from windowshop.profile import EVENT, SEARCH, EventRow, Events
from windowshop.records import user_key

SHARDS = 8
"""Parts of the feed, and of the heads: each a partition of its own, for 1,000 writes a second."""
NEVER = -(2**62)
MAX_ITEM = 390_000  # bytes; DynamoDB takes 400 KB
PACK_FROM = 512  # bytes of `rest` from which on it is compressed

EVENTS = "e/"
GUESTS = "g/"
OWNERS = "o/"

_PACKED = struct.Struct("<QQqIBd")
_ROW = np.dtype(
    [("item", "<u8"), ("event", "<u8"), ("time", "<i8"), ("row", "<u4"), ("kind", "u1"),
     ("value", "<f8")]
)  # fmt: skip
_SEQ = re.compile(r"[0-9]{13}-[0-9a-f]{8}-[0-9]{4}")


# --- keys -----------------------------------------------------------------------------------------


def partition(store: str, key: str) -> str:
    """Where a user's events and links lie; `key` is the user's `user_key`."""
    return f"u/{store}/{key}"


def head_key(store: str, key: str) -> Key:
    return f"h/{store}/{_shard(key[0])}", key


def event_sk(event_key: int) -> str:
    return f"{EVENTS}{event_key:016x}"


def feed_key(store: str, stamp: str) -> Key:
    return f"f/{store}/{_shard(stamp[14])}", stamp


def _shard(digit: str) -> int:
    return int(digit, 16) % SHARDS


def head_partitions(store: str) -> list[str]:
    return [f"h/{store}/{shard}" for shard in range(SHARDS)]


def feed_partitions(store: str) -> list[str]:
    return [f"f/{store}/{shard}" for shard in range(SHARDS)]


def number(key: str) -> int:
    """A user's number in counts: the first 64 bits of the key."""
    return int(key.replace("-", "")[:16], 16)


def stamp_of(seq: str) -> str:
    return seq[:22]


def ms_of(stamp: str) -> int:
    return int(stamp[:13])


def is_seq(text: str) -> bool:
    return _SEQ.fullmatch(text) is not None


# --- heads ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a user beside the events. `name`: None for a tombstone, and where there is
    no head. `count`: events, impressions apart; `total`: all. `last`: the stamp of what last wrote
    the counts; whoever writes them does so on condition that it is still the one they read.
    `received`, `oldest`: the latest receipt and the earliest time of any event (ms).
    """

    name: str | None = None
    since: str = ""
    count: int = 0
    total: int = 0
    version: int = 0
    folded: int = 0
    guests: int = 0
    owners: int = 0
    forgotten: int = NEVER
    received: int = NEVER
    oldest: int | None = None
    last: str | None = None


NOBODY = Head()
_HEAD = frozenset(Head.__slots__)


def head_of(item: Item | None) -> Head:
    if item is None:
        return NOBODY
    return Head(**{name: value for name, value in item.items() if name in _HEAD})


def unchanged(head: Head) -> str:
    """The condition under which counts may be written; `:was` is the head's `last`."""
    return "attribute_not_exists(#last)" if head.last is None else "#last = :was"


# --- events ---------------------------------------------------------------------------------------


def packed(row: EventRow) -> bytes:
    """The numbers of a row. Raises InvalidInput for one that no 64 bits can hold."""
    try:
        return _PACKED.pack(row.item_key, row.event_key, row.time_ms, row.row, row.kind, row.value)
    except struct.error:
        raise InvalidInput("a number is too large") from None


def item_of_row(store: str, row: EventRow, received_ms: int, kept_ms: int | None) -> Item:
    """An event as an item, but for its `seq`. `kept_ms`: how long after its time it may go.

    Raises InvalidInput for what the table cannot hold.
    """
    item: Item = {
        "pk": partition(store, user_key(store, row.user)),
        "sk": event_sk(row.event_key),
        "kind": row.kind,
        "time": row.time_ms,
        "packed": packed(row),
        "id": row.event_id,
        "received": received_ms,
    }
    if row.item_id is not None:
        item["item"] = row.item_id
    if row.rest is not None:
        # What searches said is read for every fold, what others said only for an export.
        item["search" if row.kind == SEARCH else "rest"] = _squeezed(row.rest)
    if kept_ms is not None:
        item["expires"] = max((row.time_ms + kept_ms) // 1000, 0)
    size = sum(len(value) for value in item.values() if isinstance(value, bytes | str))
    if size > MAX_ITEM:
        raise TooLarge(f"an event of {size // 1000} KB: at most {MAX_ITEM // 1000} KB can be kept")
    return item


def row_of(user: str, item: Item) -> EventRow:
    """An item as the row that it was made of."""
    key, event, time, row, kind, value = _PACKED.unpack(item["packed"])
    rest = item.get("search" if kind == SEARCH else "rest")
    return EventRow(
        user,
        item["id"],
        event,
        kind,
        time,
        row,
        item.get("item"),
        key,
        value,
        None if rest is None else unsqueezed(rest),
    )


def read_packed(some: Iterable[bytes]) -> NDArray[Any]:
    """The numbers of rows [n], as fields: item, event, time, row, kind, value."""
    return np.frombuffer(b"".join(some), _ROW)


def events_of(rows: NDArray[Any]) -> Events:
    """What `read_packed` gave, as EVENT records."""
    return rows.astype(EVENT)


def _squeezed(rest: bytes) -> bytes:
    return rest if len(rest) < PACK_FROM else zlib.compress(rest)


def unsqueezed(rest: bytes) -> bytes:
    """JSON of an object begins with a brace, what zlib makes of it with an x."""
    return rest if rest[:1] == b"{" else zlib.decompress(rest)
