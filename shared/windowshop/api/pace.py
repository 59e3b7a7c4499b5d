"""How often a key may call one process: approximate, and without asking anybody."""

import math

from windowshop.api.problems import TooManyRequests

MAX_KEYS = 4_096


class Pace:
    """A token bucket a key. It holds what a second allows, so a burst may take a second's calls at
    once. Where many processes answer, a key may make as many calls more.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._burst = max(per_s, 1.0)
        self._left: dict[str, tuple[float, int]] = {}

    def admit(self, key: str, now_ms: int) -> None:
        """Count one call of `key`. Raises TooManyRequests, saying when to come again."""
        left, since = self._left.get(key, (self._burst, now_ms))
        grown = max(now_ms - since, 0) * self._per_s / 1000  # a clock may be set back
        left = min(left + grown, self._burst)
        if left < 1:
            raise TooManyRequests(
                f"this key may make about {self._per_s:g} calls a second: send fewer, or fuller",
                after_s=math.ceil((1 - left) / self._per_s),
            )
        if len(self._left) >= MAX_KEYS and key not in self._left:
            self._left.clear()
        self._left[key] = left - 1, now_ms
