"""The error tree.

WindowshopError
├── InvalidInput     the caller's data cannot be used; never retried          422, dead letter
│   ├── NotFound     what was asked for does not exist                        404
│   ├── TooLarge     more than a limit allows                                 413
│   ├── Unauthorized nothing, or nothing genuine, says who is calling         401
│   └── Forbidden    it is known who is calling, and that is not enough       403
├── NotReady         the state does not allow it yet (or any more); retried   409
├── Unavailable      a dependency failed; retried with back-off               503, or degraded
└── Misconfigured    a setting is wrong; fails at start, naming it            500
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with an input: where (a JSON pointer) and what to do about it."""

    pointer: str
    detail: str


class WindowshopError(Exception):
    """Root of everything this library raises on purpose. `code` is stable: part of the contract."""

    code = "internal"
    status = 500
    retry = False

    def __init__(self, detail: str, flaws: Sequence[Flaw] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.flaws = tuple(flaws)


class InvalidInput(WindowshopError):
    """The input cannot be used as it is; trying again without changing it is pointless."""

    code = "invalid_input"
    status = 422


class NotFound(InvalidInput):
    """What was asked for does not exist."""

    code = "not_found"
    status = 404


class TooLarge(InvalidInput):
    """The input is larger than a limit allows."""

    code = "too_large"
    status = 413


class Unauthorized(InvalidInput):
    """Nothing says who is calling, or what says it is not genuine or no longer valid."""

    code = "unauthorized"
    status = 401


class Forbidden(InvalidInput):
    """It is known who is calling, and that is not enough for this."""

    code = "forbidden"
    status = 403


class NotReady(WindowshopError):
    """The present state does not allow this; it may later."""

    code = "not_ready"
    status = 409
    retry = True


class Unavailable(WindowshopError):
    """A dependency did not answer; the same call may succeed later."""

    code = "unavailable"
    status = 503
    retry = True


class Misconfigured(WindowshopError):
    """A setting is wrong. The message names the setting and a value that would do."""

    code = "misconfigured"
    status = 500
