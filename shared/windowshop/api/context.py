"""What the routes work with, put together once by `create_app`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from starlette.responses import Response

from windowshop.api.access import Access
from windowshop.api.work import Threads
from windowshop.recording import Taken
from windowshop.records import Event
from windowshop.shop import Shop


class EventQueue(Protocol):
    """Where checked events go: the group commit of one process, or a queue on AWS."""

    async def submit(self, tenant: str, events: Sequence[Event], received_ms: int) -> Taken:
        """Returns when the events are durable, with those that were not taken.

        Raises Unavailable when they could not be made durable.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """The shop, the queue of events, who may call, and the threads for slow work.

    `on_items(store, keys)` is told, in a thread, which items wait for their vectors. Item writes go
    one after the other, so that they take effect in the order in which they came.
    """

    shop: Shop
    events: EventQueue
    access: Access
    on_items: Callable[[str, Sequence[int]], None] | None = None
    reads: Threads = field(default_factory=lambda: Threads(4))
    searches: Threads = field(default_factory=lambda: Threads(2))
    writes: Threads = field(default_factory=lambda: Threads(1))


def json_answer(value: Any, status: int = 200) -> Response:
    """Plain data as JSON."""
    return Response(orjson.dumps(value), status, media_type="application/json")
