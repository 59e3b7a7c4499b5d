"""Which upload counts where two name the same item: the one that was uploaded last.

An item that is written remembers its upload's order; one that an upload finds unchanged is not
written (Qdrant would index it anew), and a deleted one remembers nothing. So every upload publishes
what it names before it writes, then waits until older ones that are at work have come to their next
step. They look at each step for what newer ones have published, and leave that alone.
"""

import time
from collections.abc import Sequence

from windowshop.blobs import Blobs
from windowshop.errors import NotFound, NotReady
from windowshop.intake import Named
from windowshop.logs import log
from windowshop.runs import Run, Runs

PATIENCE_S = 20
LOOK_S = 0.2


class Superseded(Exception):
    """A newer upload stands for all that this one could bring."""


class Precedence:
    """One run among those of its store. `key` is its upload's."""

    def __init__(self, blobs: Blobs, runs: Runs, run: Run, key: str) -> None:
        self._blobs, self._runs, self._run, self._key = blobs, runs, run, key
        self._newer: dict[str, Named] = {}

    def publish(self, named: Named, *, full: bool) -> None:
        """Tell older runs, and wait until what they are writing just now has taken effect.

        Raises NotReady when one takes too long, Unavailable.
        """
        place = f"chunks/{self._run.store}/{self._run.id}/named"
        self._blobs.write(place, named.body())
        self._runs.publish(self._run, place, full=full)
        begun = {other.id: other.steps for other in self._runs.writing(self._run)}
        for _ in range(round(PATIENCE_S / LOOK_S)):
            if not begun:
                return
            time.sleep(LOOK_S)
            now = {other.id: other.steps for other in self._runs.writing(self._run)}
            begun = {name: steps for name, steps in begun.items() if now.get(name) == steps}
        if begun:
            raise NotReady("an older upload is being written just now; this one comes after it")

    def step(self) -> None:
        """Before each write: what newer uploads name by now is left to them. Raises Superseded."""
        self._runs.step(self._run)
        for other in self._runs.newer(self._run):
            if other.full or other.key == self._key:
                raise Superseded
            if other.id not in self._newer and other.named is not None:
                self._newer[other.id] = self._read(other.named)

    def _read(self, place: str) -> Named:
        try:
            return Named(self._run.store, self._blobs.read(place))
        except NotFound:  # kept for weeks; this is a message from before
            log("uploads").warning("names_of_upload_lost", store=self._run.store, key=place)
            return Named(self._run.store)

    def ours(self, item_ids: Sequence[str]) -> list[bool]:
        """Whether each of the items is left to this run."""
        ours = [True] * len(item_ids)
        for named in self._newer.values():
            ours = [
                mine and not theirs for mine, theirs in zip(ours, named.has(item_ids), strict=True)
            ]
        return ours
