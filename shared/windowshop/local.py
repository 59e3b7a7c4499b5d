"""The embedded world: one process, one folder, nothing to install beside it."""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from windowshop import folding, recording, users
from windowshop.encode import open_encoder, spec_of
from windowshop.errors import Unavailable, WindowshopError
from windowshop.learned import Shelf, shelf_in
from windowshop.log import EventRow
from windowshop.log.sqlite import SqliteLog
from windowshop.logs import log
from windowshop.ranker import Rankers
from windowshop.recording import Recorded, Taken
from windowshop.records import Event
from windowshop.settings import Settings, load_settings
from windowshop.shop import Shop
from windowshop.store.edge import EdgeStore
from windowshop.tower import Towers
from windowshop.world import World

EMBED = 1 << 17
LEARNED = "learned"
MAX_WAITING = 20_000
"""Events that may wait for the disk before callers are told to come back later."""


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def shelf_of(home: Path) -> Shelf:
    """What was learned from a home's log."""
    return shelf_in(home / LEARNED)


def open_shop(home: Path, settings: Settings | None = None, *, fill: bool = False) -> Shop:
    """The shop whose state lives in `home` (made if need be).

    `fill` opens it for a change of model: see `re_embed`. Raises Misconfigured (a setting, or the
    vectors are another model's), NotReady (another process has it open).
    """
    settings = settings or load_settings(home)
    home.mkdir(parents=True, exist_ok=True)
    encoder = open_encoder(
        spec_of(settings),
        home / "models",
        threads=settings.threads or None,
    )
    store = EdgeStore(home / "vectors", encoder.name, encoder.dim, fill=fill)
    try:
        kept = SqliteLog(home / "log.sqlite")
        shelf = shelf_of(home)
        world = World(
            store,
            kept,
            encoder,
            settings,
            wall_ms,
            keyring=kept,
            letters=kept,
            rankers=Rankers(shelf),
            towers=Towers(shelf),
        )
        users.finish_erasures(world)
    except BaseException:
        store.close()  # or nobody could open it until this process ends
        raise
    return Shop(world)


def re_embed(home: Path, progress: Callable[[int], None] | None = None) -> dict[str, int]:
    """Embed the catalogue with the model that the settings name and fold all profiles anew; only
    then do its vectors take the place of the old ones. Cut off anywhere, the old ones still count.
    """
    with closing(open_shop(home, fill=True)) as shop:
        done = {"items": 0, "users": 0, "events": 0}
        for tenant in shop.world.store.tenants():
            while count := shop.embed_waiting(tenant, EMBED, progress):
                done["items"] += count
            rebuilt = shop.rebuild(tenant)
            done["users"] += rebuilt["users"]
            done["events"] += rebuilt["events"]
        shop.world.store.promote()
    return done


@dataclass(slots=True)
class _Waiting:
    """One caller's events on their way to the disk."""

    tenant: str
    rows: list[EventRow]
    received_ms: int
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[Recorded]"


class EventQueue:
    """The queue between the API and the log: group commit, then folding, in one thread.

    A caller is answered as soon as its events are on disk; folding follows at once. What was logged
    and not folded (a crash) is folded at the next start: the log knows whom.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._depth = 0
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    async def submit(self, tenant: str, events: Sequence[Event], received_ms: int) -> Taken:
        """Have events logged; returns once they are on disk. Raises Unavailable."""
        if self._depth + len(events) > MAX_WAITING:
            raise Unavailable("too many events are waiting to be written; send them again shortly")
        rows, rejected = recording.rows_of(self._shop.world, tenant, events, received_ms)
        if rows:
            loop = asyncio.get_running_loop()
            waiting = _Waiting(tenant, rows, received_ms, loop, loop.create_future())
            self._depth += len(rows)
            self._waiting.put(waiting)
            try:
                recorded = await waiting.done
            finally:
                self._depth -= len(rows)
            return Taken(rejected, recorded.unknown_items)
        return Taken(rejected)

    def close(self) -> None:
        """Write and fold what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while not self._waiting.empty():
                more = self._waiting.get()
                if more is None:
                    self._waiting.put(None)
                    break
                batch.append(more)
            self._write(batch)

    def _write(self, batch: Sequence[_Waiting]) -> None:
        world = self._shop.world
        try:
            recorded = recording.log_many(world, [(w.tenant, w.rows, w.received_ms) for w in batch])
        except WindowshopError as error:
            for waiting in batch:
                _answer(waiting, error)
            return
        except Exception as error:  # noqa: BLE001 - the callers must be answered
            log("events").error("events_not_logged", error=error)
            for waiting in batch:
                _answer(waiting, Unavailable("the events could not be written"))
            return
        for waiting, one in zip(batch, recorded, strict=True):
            _answer(waiting, one)
        try:
            self._fold(batch, recorded)
        except Exception as error:  # noqa: BLE001 - the thread must go on
            # The log remembers who is unfolded; the keeper of `serve` tries again.
            log("events").error("users_not_folded", error=error)

    def _fold(self, batch: Sequence[_Waiting], recorded: Sequence[Recorded]) -> None:
        for tenant in {waiting.tenant for waiting in batch}:
            fresh: dict[str, list[EventRow]] = {}
            for waiting, one in zip(batch, recorded, strict=True):
                if waiting.tenant == tenant:
                    for user, rows in one.fresh.items():
                        fresh.setdefault(user, []).extend(rows)
            if fresh:
                folding.fold(self._shop.world, tenant, fresh, fresh)


def _answer(waiting: _Waiting, outcome: Recorded | Exception) -> None:
    def settle() -> None:
        if waiting.done.cancelled():
            return
        if isinstance(outcome, Exception):
            waiting.done.set_exception(outcome)
        else:
            waiting.done.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # the caller's loop has ended: nobody to be told
        waiting.loop.call_soon_threadsafe(settle)
