"""What the function `events` does with what it is given: batches of events, and scheduled tasks."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from windowshop import consume
from windowshop.aws.batches import Deliveries
from windowshop.errors import InvalidInput
from windowshop.shop import Shop

Handler = Callable[..., dict[str, Any]]
Tasks = Mapping[str, Callable[[], object]]


def build(shop: Shop, deliveries: Deliveries, tasks: Tasks) -> Handler:
    """A handler over `shop`. `tasks` are what a scheduler asks for by name: `{"task": "..."}`."""

    def handle(event: Mapping[str, Any], _: object = None) -> dict[str, Any]:
        if event.get("Records"):
            return deliveries.settle(event, partial(consume.events, shop))
        name = event.get("task")
        if not isinstance(name, str) or name not in tasks:
            raise InvalidInput(
                "this function takes a batch from its queue, or {'task': ...} with one of "
                + ", ".join(sorted(tasks))
            )
        tasks[name]()
        return {"task": name, "status": "done"}

    return handle
