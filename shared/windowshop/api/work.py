"""Work that must not hold up the event loop: a few threads, and a bound on what waits for them."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from windowshop.api.problems import TooManyRequests

T = TypeVar("T")


class Threads:
    """At most `width` calls at once, at most `waiting` more that wait their turn."""

    def __init__(self, width: int, waiting: int = 64) -> None:
        self._limiter = CapacityLimiter(width)
        self._room = width + waiting

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, done in a thread. Raises TooManyRequests, or as `work` does."""
        if self._room <= 0:
            raise TooManyRequests("too much is waiting already: send it again a little later")
        self._room -= 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._room += 1
