"""What a serving process does beside answering: it embeds what waits, folds, and tidies up."""

import threading
import time
from collections.abc import Callable, Sequence

from windowshop.errors import WindowshopError
from windowshop.logs import log
from windowshop.shop import Shop

EMBED_BATCH = 1_024
LOOK_S = 5.0
"""How often it looks for work that nobody told it of."""
QUIET_S = 3.0
"""Indexes are built when no item has been written for this long."""
TIDY_S = 60.0
PATIENCE_S = 30.0


class Keeper:
    """Two threads: one embeds and folds at once, one tidies in quiet moments (it may take minutes).

    Both survive any error: it is logged, and the work is still there at the next look.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._embedding = threading.Lock()
        self._busy_at = time.monotonic()
        self._tidied_at = -TIDY_S
        self._worker = threading.Thread(
            target=self._run, args=(self._work, LOOK_S, self._wake), name="keeper", daemon=True
        )
        self._tidier = threading.Thread(
            target=self._run, args=(self._tidy, QUIET_S, self._stop), name="tidier", daemon=True
        )

    def start(self) -> None:
        self._worker.start()
        self._tidier.start()

    def tell(self, store: str, keys: Sequence[int]) -> None:
        """These items wait for their vectors, as others may that nobody told of."""
        self._busy_at = time.monotonic()
        self._wake.set()

    def embed(self, store: str, limit: int) -> int:
        """Embed some of what waits; one caller at a time, so that nothing is embedded twice."""
        with self._embedding:
            self._busy_at = time.monotonic()
            return self.shop.embed_waiting(store, limit)

    def stop(self) -> None:
        """Nothing more is begun; waits for the batch at hand. Closing the store ends a build."""
        self._stop.set()
        self._wake.set()
        if self._worker.is_alive():
            self._worker.join()

    def join(self) -> None:
        """Waits for the rest, after the store was closed."""
        if self._tidier.is_alive():
            self._tidier.join(PATIENCE_S)

    def _run(self, step: Callable[[], None], pause_s: float, wake: threading.Event) -> None:
        while not self._stop.is_set():
            try:
                step()
            except WindowshopError as error:
                if self._stop.is_set():
                    return
                log("keeper").warning("upkeep_failed", code=error.code, detail=error.detail)
            except Exception as error:  # noqa: BLE001 (it is logged, and tried again)
                log("keeper").error("upkeep_failed", error=error)
            wake.wait(pause_s)

    def _work(self) -> None:
        self._wake.clear()
        for store in self.shop.world.store.tenants():
            while not self._stop.is_set() and self.embed(store, EMBED_BATCH):
                pass
        if not self._stop.is_set():
            self.shop.fold_waiting()

    def _tidy(self) -> None:
        now = time.monotonic()
        if now - self._busy_at < QUIET_S or now - self._tidied_at < TIDY_S:
            return
        done = self.shop.maintain()
        self._tidied_at = time.monotonic()
        if done:
            log("keeper").debug("store_tidied", done=done)
