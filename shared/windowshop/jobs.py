"""Embedding jobs: the message that is put on a queue, and the chunk of texts that it points to.

Few items changed over HTTP are named by their keys; an upload's stand in a chunk in the bucket.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import ConfigDict, Field, StringConstraints, model_validator

from windowshop.blobs import Blobs
from windowshop.errors import InvalidInput, NotFound, Unavailable, WindowshopError
from windowshop.items import Wanted
from windowshop.queues import Outgoing, Queue
from windowshop.records import Record, StoreName

KEYS = 1_000
Lane = Literal["small", "bulk"]
_Key = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}$")]


class EmbedJob(Record):
    """Either `chunk` (of `items` texts, written by `run`) or `keys`. Keys are texts: few readers of
    JSON know integers of 63 bits.
    """

    model_config = ConfigDict(extra="ignore")  # a worker may be older than who sends

    store: StoreName
    sent_ms: int
    run: str | None = None
    chunk: str | None = None
    items: int = 0
    lane: Lane = "small"
    keys: Annotated[list[_Key], Field(min_length=1, max_length=KEYS)] | None = None

    @model_validator(mode="after")
    def _either(self) -> "EmbedJob":
        if (self.chunk is None) == (self.keys is None):
            raise ValueError("a job has either a chunk or keys")
        if self.chunk is not None and not self.chunk.startswith(f"chunks/{self.store}/"):
            raise ValueError("chunk: it belongs to another store")
        return self


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a message. ok: it took effect, on `items`. retry: it shall come again later.
    dead: it belongs into the dead-letter queue, with its reason (only `letter`, if there is one).
    fault: an error of ours is to blame, whose name is the reason; waiting will not mend it.
    """

    status: Literal["ok", "retry", "dead"] = "ok"
    reason: str | None = None
    letter: Mapping[str, Any] | None = None
    fault: bool = False
    items: int = 0


def outcome_of(error: Exception) -> Outcome:
    """What an error makes of the message that it stopped."""
    match error:
        case InvalidInput():
            return Outcome("dead", error.detail)
        case WindowshopError() if error.retry:
            return Outcome("retry", error.detail)
        case _:
            return Outcome("retry", type(error).__name__, fault=True)


def chunk_key(store: str, run: str, number: int) -> str:
    """Where a chunk lies in the bucket: never where uploads are looked for."""
    return f"chunks/{store}/{run}/{number:06d}.jsonl"


def write_chunk(blobs: Blobs, key: str, wanted: Iterable[Wanted]) -> None:
    """One text a line. Raises Unavailable."""
    lines = [
        orjson.dumps({"key": str(one.key), "text": one.text, "text_hash": one.text_hash})
        for one in wanted
    ]
    blobs.write(key, b"\n".join(lines) + b"\n", "application/x-ndjson")


def read_chunk(blobs: Blobs, key: str) -> list[Wanted]:
    """Raises InvalidInput (it is gone, or none), Unavailable."""
    try:
        body = blobs.read(key)
    except NotFound:
        raise NotFound(f"{key} is gone: upload the catalogue again to have it written") from None
    try:
        rows = [orjson.loads(line) for line in body.splitlines()]
        return [Wanted(int(row["key"]), str(row["text"]), str(row["text_hash"])) for row in rows]
    except (ValueError, TypeError, KeyError):
        raise InvalidInput(f"{key} is no chunk of texts") from None


def send_keys(queue: Queue, store: str, keys: Sequence[int], now_ms: int) -> None:
    """Have items that wait embedded: those written over HTTP. Raises Unavailable."""
    parts = [keys[start : start + KEYS] for start in range(0, len(keys), KEYS)]
    send(
        queue,
        [EmbedJob(store=store, sent_ms=now_ms, keys=[str(key) for key in part]) for part in parts],
    )


def send(queue: Queue, some: Sequence[EmbedJob]) -> None:
    """Raises Unavailable where the queue did not take all of them."""
    refused = queue.send([Outgoing(job.model_dump(exclude_none=True)) for job in some])
    if refused:
        raise Unavailable(f"{len(refused)} embedding jobs were not taken: {refused[0][1]}")
