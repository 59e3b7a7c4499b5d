"""From items that wait to embedding jobs: chunks in the bucket, and the lane that they take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from windowshop.blobs import Blobs
from windowshop.errors import WindowshopError
from windowshop.intake import CHARACTERS
from windowshop.items import Wanted
from windowshop.jobs import EmbedJob, Lane, chunk_key, send, send_keys, write_chunk
from windowshop.logs import log
from windowshop.queues import Queue
from windowshop.runs import Run
from windowshop.shop import Shop

CHUNK = 500
"""Texts from which on a chunk is written; the batch that brings it there may add 1,000."""


SWEPT = 50_000
"""Items of a store that are found again at a time."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """The queues of embedding jobs. An upload with more than `small_items` new texts goes into
    `bulk`, where there is one, and `start_bulk` is called after its last job.
    """

    small: Queue
    bulk: Queue | None = None
    small_items: int = 2_000
    start_bulk: Callable[[], object] | None = None


class Chunks:
    """The jobs of one run. Until its lane is known they are held back, and remembered in the run's
    state with what was counted so far.
    """

    def __init__(self, blobs: Blobs, lanes: Lanes, run: Run, wall: Callable[[], int]) -> None:
        self._blobs, self._lanes, self._run, self._wall = blobs, lanes, run, wall
        self._texts: list[Wanted] = []
        self._characters = 0
        self._state = run.state
        self._state.setdefault("to_embed", 0)
        self._state.setdefault("held", [])
        self._state.setdefault("lane", None if lanes.bulk else "small")

    @property
    def full(self) -> bool:
        return len(self._texts) >= CHUNK or self._characters >= CHARACTERS

    def add(self, wanted: Sequence[Wanted]) -> None:
        self._texts += wanted
        self._characters += sum(len(one.text) for one in wanted)
        self._state["to_embed"] += len(wanted)

    def flush(self) -> None:
        """Make a chunk of what was added, named by the last batch in it. Raises Unavailable."""
        if not self._texts:
            return
        key = chunk_key(self._run.store, self._run.id, self._run.batches)
        write_chunk(self._blobs, key, self._texts)
        self._state["held"].append([key, len(self._texts)])
        self._texts, self._characters = [], 0
        if self._state["to_embed"] > self._lanes.small_items and self._lanes.bulk:
            self._state["lane"] = "bulk"
        self._send()

    def end(self) -> None:
        """Nothing more is added: so few that all of it is small. Raises Unavailable."""
        self.flush()
        self._state["lane"] = self._state["lane"] or "small"
        self._send()

    def _send(self) -> None:
        lane: Lane | None = self._state["lane"]
        if lane is None or not self._state["held"]:
            return
        queue = self._lanes.bulk if lane == "bulk" and self._lanes.bulk else self._lanes.small
        run, now = self._run, self._wall()
        jobs = [
            EmbedJob(store=run.store, sent_ms=now, run=run.id, chunk=key, items=items, lane=lane)
            for key, items in self._state["held"]
        ]
        send(queue, jobs)
        self._state["held"] = []

    def start_bulk(self) -> None:
        """Have the bulk lane's workers started, if it was used."""
        if self._state["lane"] == "bulk":
            _start_bulk(self._lanes)


def _start_bulk(lanes: Lanes) -> None:
    """If that fails, others see to it."""
    if lanes.start_bulk is None:
        return
    try:
        lanes.start_bulk()
    except WindowshopError as error:
        log("uploads").warning("bulk_lane_not_started", detail=error.detail)


def sweep(shop: Shop, lanes: Lanes) -> int:
    """Have items embedded that wait though no job is queued: theirs was lost, with an upload that
    was replaced after it broke off, or as a dead letter. For a scheduler to call; returns how many
    there were. Raises Unavailable.
    """
    if lanes.small.depth() or (lanes.bulk is not None and lanes.bulk.depth()):
        return 0
    found, bulk = 0, False
    for store in shop.world.store.tenants():
        keys = shop.world.store.waiting(store, SWEPT)
        many = lanes.bulk if len(keys) > lanes.small_items else None
        if keys:
            send_keys(many or lanes.small, store, keys, shop.world.wall())
            log("uploads").warning("lost_items_queued", store=store, items=len(keys))
        found, bulk = found + len(keys), bulk or many is not None
    if bulk:
        _start_bulk(lanes)
    return found
