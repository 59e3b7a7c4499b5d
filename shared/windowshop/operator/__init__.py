"""What the command line can do to a shop: one table of verbs, here or in the process that serves.

A verb takes and gives plain JSON, so that `windowshop ingest` in a second terminal does to a served
home exactly what it does to an idle one: called directly (`LocalOperator`) or posted to the process
that serves (`RemoteOperator`: loopback, with the token that only the home's owner can read).
"""

from collections.abc import Callable
from typing import Any, Protocol

from windowshop.operator.remote import Progress, RemoteOperator
from windowshop.operator.verbs import VERBS, Json, Verb
from windowshop.shop import Shop

__all__ = ["Json", "LocalOperator", "Operator", "Progress", "RemoteOperator", "Served", "bind"]

Served = Callable[[Json], Json]
"""A verb with its shop."""


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


def bind(shop: Shop) -> dict[str, Served]:
    """The verbs with their shop, for the API of the process that serves it."""

    def bound(verb: Verb) -> Served:
        return lambda args: verb(shop, args)

    return {name: bound(verb) for name, verb in VERBS.items()}
