"""The shops whose logs are replayed: a home, served or not, and a deployment."""

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from windowshop import copies, serving, towers
from windowshop.copies import VECTORS
from windowshop.errors import InvalidInput, NotReady, Unavailable
from windowshop.evaluate.homes import Bar, open_scratch
from windowshop.learned import Shelf
from windowshop.local import LEARNED, open_shop, shelf_of
from windowshop.log import EventRow
from windowshop.log.sqlite import SqliteLog
from windowshop.operator import RemoteOperator
from windowshop.settings import load_settings
from windowshop.shop import Shop
from windowshop.store import Payload, Vector
from windowshop.store.edge.files import copy_folder
from windowshop.store.schema import KEPT, MAX_ITEMS

LOG, MODELS = "log.sqlite", "models"
MB = 1 << 20
ROOM = 64 * MB
"""What must be free beside the copy: the replay writes profiles of its own."""
LOOK_S = 0.2
PLACING = "Placing the items"
TRIES, PAUSE_S = 12, 5.0

T = TypeVar("T")


class OwnHome:
    """A home on this machine. While it is served, the process that serves it makes the copies."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._copied: Path | None = None

    @property
    def name(self) -> str:
        return self._home.name

    @property
    def shelf(self) -> Shelf:
        return shelf_of(self._home)

    @property
    def notes(self) -> Path | None:
        return self._home / LEARNED

    def open(self, tenant: str, scratch: Path, bar: Bar) -> Shop:
        """Raises NotReady where another process than one that serves has it open, InvalidInput
        where it holds no events, Unavailable where there is no room for a copy.
        """
        home, scratch = self._home, scratch.resolve()
        if not (home / LOG).exists():
            raise InvalidInput(f"{home} holds no events to replay: record some, or name files")
        size = _size(_sources(home, tenant))
        check_room(scratch, size)
        with (
            bar("Copying the home (MB)", size // MB) as advance,
            _watched(scratch, advance),
            self._served() as operator,
        ):
            if operator is None:
                _copy_idle(home, tenant, scratch)
            else:
                operator.call("copy", store=tenant, into=str(scratch))
            copy_folder(home / MODELS, scratch / MODELS)
        self._copied = scratch / copies.LOG
        return open_scratch(load_settings(home), scratch)

    def events(self, tenant: str) -> Iterator[EventRow]:
        with closing(self._log()) as log:
            yield from log.rows(tenant)

    def links(self, tenant: str) -> Iterator[tuple[str, str]]:
        with closing(self._log()) as log:
            yield from log.links(tenant)

    def promote_tower(self, tenant: str, version: str, bar: Bar) -> None:
        with self._served() as operator, bar(PLACING) as advance:
            if operator is not None:
                _patiently(lambda: operator.call("promote_tower", store=tenant, version=version))
                return
            with closing(open_shop(self._home)) as shop:
                towers.promote(shop.world, self.shelf, tenant, version, advance)

    def rollback_tower(self, tenant: str, bar: Bar) -> str | None:
        with self._served() as operator, bar(PLACING) as advance:
            if operator is not None:
                done = _patiently(lambda: operator.call("rollback_tower", store=tenant))
                before: str | None = done["serves"]
                return before
            with closing(open_shop(self._home)) as shop:
                return towers.rollback(shop.world, self.shelf, tenant, advance)

    def _log(self) -> SqliteLog:
        if self._copied is None:
            raise RuntimeError("events are read after `open`")
        return SqliteLog(self._copied)

    @contextmanager
    def _served(self) -> Iterator[RemoteOperator | None]:
        served = serving.find(self._home)
        if served is None:
            yield None
            return
        with closing(RemoteOperator(served.url, served.token)) as operator:
            yield operator


class Deployed:
    """A shop that is reached by its ports alone: log and items are read page by page."""

    def __init__(self, name: str, shop: Shop, shelf: Shelf, models: Path) -> None:
        """`models`: a folder with its encoder, where that was built here before."""
        self.name, self.shelf = name, shelf
        self.notes: Path | None = None
        self._shop, self._models = shop, models

    def open(self, tenant: str, scratch: Path, bar: Bar) -> Shop:
        if tenant not in self._shop.world.log.stores():
            raise InvalidInput(f"{self.name} holds no events of store {tenant!r}")
        source = self._shop.world.store
        count = source.count(tenant)  # its encoder is there from now on
        copy_folder(self._models, scratch / MODELS)
        shop = open_scratch(self._shop.world.settings, scratch)
        try:
            with bar("Reading the items", count) as advance:
                cursor: int | None = None
                while True:
                    rows, cursor = source.scan(tenant, cursor, MAX_ITEMS)
                    _put(shop, tenant, dict(rows), source.vectors(tenant, [key for key, _ in rows]))
                    advance(len(rows))
                    if cursor is None:
                        return shop
        except BaseException:
            shop.close()
            raise

    def events(self, tenant: str) -> Iterator[EventRow]:
        return self._shop.world.log.rows(tenant)

    def links(self, tenant: str) -> Iterator[tuple[str, str]]:
        return self._shop.world.log.links(tenant)

    def promote_tower(self, tenant: str, version: str, bar: Bar) -> None:
        world, shelf = self._shop.world, self.shelf
        with bar(PLACING) as advance:
            _patiently(lambda: towers.promote(world, shelf, tenant, version, advance))

    def rollback_tower(self, tenant: str, bar: Bar) -> str | None:
        world, shelf = self._shop.world, self.shelf
        with bar(PLACING) as advance:
            return _patiently(lambda: towers.rollback(world, shelf, tenant, advance))


def _patiently(work: Callable[[], T]) -> T:
    """What is tried again while an index is being built: it is the end of a long training."""
    for _ in range(TRIES):
        try:
            return work()
        except NotReady:
            time.sleep(PAUSE_S)
    return work()


def _put(shop: Shop, tenant: str, items: dict[int, Payload], vectors: dict[int, Vector]) -> None:
    """Items as they are elsewhere, with those vectors that fit their texts."""
    bare = {
        key: {name: value for name, value in payload.items() if name not in KEPT}
        for key, payload in items.items()
    }
    shop.world.store.put_items(tenant, bare)
    fit = [
        key
        for key in vectors
        if key in items and items[key].get("vector_hash") == items[key].get("text_hash")
    ]
    if fit:
        hashes = [str(items[key]["text_hash"]) for key in fit]
        rows = np.stack([vectors[key] for key in fit])
        shop.world.store.put_vectors(tenant, fit, rows, hashes, shop.world.wall())


# --- copying files ----------------------------------------------------------------------------


def _copy_idle(home: Path, tenant: str, scratch: Path) -> None:
    with _alone(home):
        for suffix in ("", "-wal"):
            if (home / f"{LOG}{suffix}").exists():
                shutil.copyfile(home / f"{LOG}{suffix}", scratch / f"{copies.LOG}{suffix}")
        (scratch / VECTORS).mkdir(exist_ok=True)
        for folder in (home / VECTORS / tenant).glob("items-*"):
            copy_folder(folder, scratch / VECTORS / tenant / folder.name)
        if (home / VECTORS / "model.json").exists():
            shutil.copyfile(home / VECTORS / "model.json", scratch / VECTORS / "model.json")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """While no other process has the home open. Its lock is only read."""
    try:
        lock = os.open(home / VECTORS / "lock", os.O_RDONLY)
    except OSError:
        yield  # nothing was ever in it
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise NotReady(
            f"{home} is in use by another command: wait until it is done, or replay files with "
            "--events and --items"
        ) from None
    try:
        yield
    finally:
        os.close(lock)


def _sources(home: Path, tenant: str) -> list[Path]:
    logs = [home / LOG, home / f"{LOG}-wal"]
    return [*logs, *(home / VECTORS / tenant).glob("items-*"), home / MODELS]


def check_room(scratch: Path, size: int) -> None:
    """Raises Unavailable where so many bytes do not fit."""
    free = shutil.disk_usage(scratch).free
    if free < size + ROOM:
        raise Unavailable(
            f"{scratch.parent} has {free // MB:,} MB free, and the copy of the home takes "
            f"{size // MB:,} MB: free some, or name another folder in TMPDIR"
        )


def _size(places: Iterable[Path]) -> int:
    """Bytes on disk of files, and of folders with all that is in them."""
    total = 0
    for place in places:
        for file in (place, *place.rglob("*")):
            try:
                held = file.lstat()
            except OSError:  # gone meanwhile
                continue
            total += held.st_blocks * 512
    return total


@contextmanager
def _watched(folder: Path, advance: Callable[[int], None]) -> Iterator[None]:
    """Tells how many MB the folder has grown by, whoever writes into it."""
    done = threading.Event()

    def watch() -> None:
        told = 0
        ended = False
        while not ended:
            ended = done.wait(LOOK_S)
            grown = max(_size([folder]) // MB, told)
            advance(grown - told)
            told = grown

    watcher = threading.Thread(target=watch, name="watcher", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
