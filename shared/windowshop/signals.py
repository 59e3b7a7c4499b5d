"""What a shop tells the world around it: events of the domain, and numbers about its work."""

from collections.abc import Mapping
from typing import Any, Protocol


class Signals(Protocol):
    """Neither method ever raises: a shop does not stop because nobody listens."""

    def announce(self, name: str, detail: Mapping[str, Any]) -> None:
        """Something happened that others may care about: CatalogIngested, ItemsEmbedded,
        UserForgotten, JobFailed.
        """

    def measure(self, name: str, value: float, unit: str = "Count", **dimensions: str) -> None:
        """A number for the metrics: `unit` as CloudWatch names it (Count, Milliseconds, ...)."""


class Silent:
    """The embedded world: its log lines say it all."""

    def announce(self, name: str, detail: Mapping[str, Any]) -> None:
        return

    def measure(self, name: str, value: float, unit: str = "Count", **dimensions: str) -> None:
        return
