"""What the functions `ingest` and `worker` do with what they are given."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from windowshop import embedding, uploads
from windowshop.aws.batches import Deliveries
from windowshop.blobs import Blobs
from windowshop.errors import InvalidInput
from windowshop.shop import Shop
from windowshop.uploads import Dock

Handler = Callable[..., dict[str, Any]]


def build(dock: Dock, deliveries: Deliveries, reconcile: Callable[[], object]) -> Handler:
    """A handler that takes in what was uploaded. `reconcile` sees to it, when a scheduler asks,
    that the bulk lane's workers run while jobs wait for them.
    """

    def handle(event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
        if event.get("Records"):
            timed = replace(dock, limits=replace(dock.limits, left_s=partial(left_s, context)))
            return deliveries.settle(event, partial(uploads.outcomes, timed))
        if event.get("task") != "reconcile":
            raise InvalidInput(
                "this function takes a batch from its queue, or {'task': 'reconcile'}"
            )
        reconcile()
        return {"task": "reconcile", "status": "done"}

    return handle


def build_worker(shop: Shop, blobs: Blobs, deliveries: Deliveries) -> Handler:
    """A handler that does embedding jobs, a batch together."""

    def handle(event: Mapping[str, Any], _: object = None) -> dict[str, Any]:
        if not event.get("Records"):
            raise InvalidInput("this function takes a batch from its queue")
        return deliveries.settle(event, partial(embedding.jobs, shop, blobs))

    return handle


def left_s(context: Any) -> float:
    """Seconds until Lambda ends this call; none end it where nobody says so."""
    if not hasattr(context, "get_remaining_time_in_millis"):
        return math.inf
    return float(context.get_remaining_time_in_millis()) / 1000
