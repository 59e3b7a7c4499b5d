"""One collection of one store on disk, and how its indexes are built while it serves.

    items-1a2b3c4d/          a collection of vectors of one model
        current              names the folder that counts; replaced in one step
        g-x1y2z3/            a shard of Qdrant Edge, `state.json`, and `learned.json`: the version
                             of the tower that made its learned vectors, where it has any
        g-...                left over from a build that was cut short; removed at the next start

Every call into Edge holds Python's lock, so what takes long happens elsewhere: the folder is copied
(under the writers' lock: reads go on), a child process changes the copy or builds its indexes, what
was written meanwhile is written to the copy too, and then the copy is the one that counts.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

import qdrant_edge as q

from windowshop.errors import InvalidInput, Unavailable, WindowshopError
from windowshop.store.edge import optimize
from windowshop.store.edge.files import copy_folder, read_through, replace_file, sync_folder

T = TypeVar("T")
PointId = int | str | UUID

REPLAY_CHUNK = 32
REPLAY_ROUNDS = 50
FEW = 200
"""So many points are copied over while writers wait: some 20 ms."""
CHECKPOINT_EVERY = 20_000
"""Writes that a crash may leave to be replayed at the next start: a few seconds' worth."""
COPY_TRIES = 3
GRACE_S = 0.2


def translate(error: BaseException) -> WindowshopError:
    """Every error that Edge raises, as one of ours.

    Edge has no classes of its own: the engine's errors are bare Exceptions, those of the bindings
    are Python's, and a Rust panic is `pyo3_runtime.PanicException`.
    """
    if isinstance(error, ValueError | TypeError | OverflowError):
        return InvalidInput(f"the vector store cannot hold this: {error}")
    return Unavailable(f"the vector store failed: {error}")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except WindowshopError:
        raise
    except Exception as error:
        raise translate(error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise translate(error) from error


class Layout(Protocol):
    """How a collection is laid out, and how it was before."""

    def config(self, learned: bool) -> q.EdgeConfig: ...

    def converted(self, home: Path) -> q.EdgeShard | None:
        """The shard in `home`, made by an earlier program, as `config(False)` has it; None: there
        was no other layout.
        """


class Change(Protocol):
    """What is changed about the points of a copy before it counts: their learned vectors."""

    version: str

    def prepare(self, shard: "Shard", copy: Path) -> list[str]:
        """Read from the shard that serves, write what the child needs into `copy`; its orders."""

    def point(self, record: q.Record) -> q.Point:
        """A point that was written meanwhile, as it shall be in the copy."""


class _Generation(NamedTuple):
    """What serves. One name for all of it, so that it is replaced in one step."""

    home: Path
    shard: q.EdgeShard
    version: str


class Shard:
    """A shard of Edge that can be replaced under its readers. Writers hold `lock`."""

    def __init__(self, folder: Path, layout: Layout, id_type: Callable[[Any], PointId]) -> None:
        """Opens or creates it. `id_type` makes what Edge gives as an id what it was given."""
        self.lock = threading.RLock()
        self.folder = folder
        self._layout = layout
        self._indexes: dict[str, Any] = {}
        self._id_type = id_type
        self._journal: set[PointId] | None = None
        self._child: subprocess.Popen[str] | None = None
        self.unflushed = 0
        self._closed = False
        with translated():
            self._now = self._open()
        self.changed, self.removed = self._read_state()

    @property
    def version(self) -> str:
        """Of the tower that made the learned vectors; "" without any."""
        return self._now.version

    # --- opening ---------------------------------------------------------------------------------

    def _open(self) -> _Generation:
        self.folder.mkdir(parents=True, exist_ok=True)
        pointer = self.folder / "current"
        name = pointer.read_text().strip() if pointer.exists() else ""
        for entry in self.folder.iterdir():
            if entry.is_dir() and entry.name != name:
                shutil.rmtree(entry, ignore_errors=True)
        if name:
            home = self.folder / name
            return self._load(home)
        home = self._new_home()
        shard = q.EdgeShard.create(str(home), self._layout.config(learned=False))
        shard.flush()
        replace_file(pointer, home.name)
        return _Generation(home, shard, "")

    def _load(self, home: Path) -> _Generation:
        version = _read_version(home)
        try:
            shard = q.EdgeShard.load(str(home), self._layout.config(learned=bool(version)))
        except Exception:
            earlier = None if version else self._layout.converted(home)
            if earlier is None:
                raise
            shard = earlier
        return _Generation(home, shard, version)

    def _new_home(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="g-", dir=self.folder))

    def _read_state(self) -> tuple[int, int]:
        """Points written and removed since the last build; all of them after a crash."""
        state = self._now.home / "state.json"
        try:
            held = json.loads(state.read_text())
            state.unlink()
            return int(held["changed"]), int(held["removed"])
        except (OSError, ValueError, KeyError, TypeError):
            return self.points(), 0

    # --- using -----------------------------------------------------------------------------------

    def read(self, call: Callable[[q.EdgeShard], T]) -> T:
        """What `call` reads. Raises Unavailable, InvalidInput."""
        while True:
            shard = self._now.shard
            try:
                with translated():
                    return call(shard)
            except Unavailable:
                if self._closed:
                    raise Unavailable("the vector store is closed") from None
                if shard is self._now.shard:
                    raise

    def retrieve(self, ids: Iterable[PointId], payload: Any, vectors: Any) -> list[q.Record]:
        """The points `ids` that exist, with what is wanted of them."""
        wanted = list(ids)
        return self.read(lambda shard: shard.retrieve(wanted, payload, vectors))

    def remove(self, ids: Collection[PointId]) -> None:
        self.write(q.UpdateOperation.delete_points(list(ids)), ids, removed=True)

    def write(
        self, operation: q.UpdateOperation, ids: Collection[PointId], removed: bool = False
    ) -> None:
        """Apply an operation on the points `ids`; it survives a crash when this returns."""
        with self.lock:
            if self._journal is not None:
                self._journal.update(ids)
            self.read(lambda shard: shard.update(operation))
            self.changed += len(ids)
            self.removed += len(ids) if removed else 0
            self.unflushed += len(ids)
            if self.unflushed >= CHECKPOINT_EVERY:
                self.checkpoint()

    def index(self, fields: Mapping[str, Any]) -> None:
        """Create the indexes {payload field: parameters} that are not there yet."""
        with self.lock:
            self._indexes |= fields
            self._create_indexes(self._now.shard)

    def _create_indexes(self, shard: q.EdgeShard) -> None:
        with translated():
            present = shard.info().payload_schema
            for field, params in self._indexes.items():
                if field not in present:
                    shard.update(q.UpdateOperation.create_field_index(field, params))

    def points(self) -> int:
        return self.read(lambda shard: int(shard.info().points_count))

    def indexed(self) -> bool:
        """Whether there are segments that were built."""
        return self.read(lambda shard: int(shard.info().indexed_vectors_count)) > 0

    def flush(self) -> None:
        """Everything written so far is on disk, whatever happens to the machine."""
        # What was acknowledged is in Edge's log; having the system write that down holds up nobody.
        sync_folder(self._now.home / "wal")

    def checkpoint(self) -> None:
        """Write everything out, so that the next start has nothing to replay."""
        # Edge does this with Python's lock held; what is on disk already is not its work any more.
        sync_folder(self._now.home)
        with self.lock:
            self.unflushed = 0
            self.read(lambda shard: shard.flush())

    def copy(self, folder: Path) -> None:
        """What is in it now, as a collection in a new folder. Writers wait meanwhile."""
        with self.lock:
            if self._closed:
                raise Unavailable("the vector store is closed")
            try:
                self._copy(folder / self._now.home.name)
                replace_file(folder / "current", self._now.home.name)
            except OSError as error:
                raise Unavailable(f"the vectors cannot be copied: {error}") from error

    def close(self) -> None:
        """Write everything out and let go of the files; a build that goes on is given up."""
        sync_folder(self._now.home)
        with self.lock:
            if self._closed:
                return
            self._closed = True
            self._end_child()
            state = {"changed": self.changed, "removed": self.removed}
            with translated():
                self._now.shard.flush()
                self._now.shard.close()
            replace_file(self._now.home / "state.json", json.dumps(state))

    # --- building --------------------------------------------------------------------------------

    def rebuild(self, change: Change | None = None, index: bool = True) -> None:
        """Change the points and (`index`) build the indexes anew in another process, then serve
        from what it made.

        Raises Unavailable when that did not work; the shard is then as it was.
        """
        with self.lock:
            copy = self._new_home()
            try:
                self._copy(copy)
            except OSError as error:
                shutil.rmtree(copy, ignore_errors=True)
                raise Unavailable(f"no index was built: {error}") from error
            self._journal = set()
        try:
            orders = [optimize.INDEX] if index else []
            if change is not None:
                orders += change.prepare(self, copy)
                _write_version(copy, change.version)
            self._build(copy, orders)
            read_through(copy)
            with translated():
                self._swap(self._load(copy), change, index)
        except BaseException:
            with self.lock:
                self._journal = None
            shutil.rmtree(copy, ignore_errors=True)
            raise

    def _copy(self, copy: Path) -> None:
        """What a crash at this moment would leave: the log in it holds what the rest lacks."""
        for left in reversed(range(COPY_TRIES)):
            try:
                copy_folder(self._now.home, copy)
            except FileNotFoundError:  # Edge makes and drops segments of its log by itself
                if not left:
                    raise
            else:
                return

    def _build(self, copy: Path, orders: Sequence[str]) -> None:
        program = [sys.executable, "-P", str(optimize.__file__), str(copy), str(os.getpid())]
        program += orders
        with self.lock:
            if self._closed:
                raise Unavailable("the vector store is closed")
            self._child = child = subprocess.Popen(  # noqa: S603 (our own program)
                program,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        _, said = child.communicate()
        self._child = None
        if child.returncode != 0:
            raise Unavailable(f"no index was built: {said.strip() or 'the build was ended'}")

    def _end_child(self) -> None:
        child = self._child
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    def written_meanwhile(self, ids: Collection[PointId]) -> set[PointId]:
        """Those written since the copy was made, which are written to it before it counts."""
        with self.lock:
            return (self._journal or set()).intersection(ids)

    def _swap(self, built: _Generation, change: Change | None, indexed: bool) -> None:
        point = change.point if change else _as_it_is
        # Without an index all is as it was, or (learned) was moved out of where it was.
        before = self.points() if change is not None and change.version else self.changed
        written = 0
        for _ in range(REPLAY_ROUNDS):
            with self.lock:
                if len(self._journal or ()) <= FEW:
                    break
                batch, self._journal = list(self._journal or ()), set()
            written += self._replay(built.shard, batch, point)
        sync_folder(built.home)
        with self.lock:
            if self._closed:
                raise Unavailable("the vector store is closed")
            written += self._replay(built.shard, list(self._journal or ()), point)
            self._create_indexes(built.shard)
            sync_folder(built.home / "wal")
            replace_file(self.folder / "current", built.home.name)
            old, self._now, self._journal = self._now, built, None
            self.changed = written + (0 if indexed else before)
            self.removed, self.unflushed = 0, written
        # A reader that had just fetched the old shard may not have called it yet.
        time.sleep(GRACE_S)
        sync_folder(old.home)
        with contextlib.suppress(Exception):
            old.shard.close()
        shutil.rmtree(old.home, ignore_errors=True)

    def _replay(
        self, built: q.EdgeShard, ids: Sequence[PointId], point: Callable[[q.Record], q.Point]
    ) -> int:
        """Make the points `ids` of `built` what they are in the shard that serves."""
        for start in range(0, len(ids), REPLAY_CHUNK):
            chunk = ids[start : start + REPLAY_CHUNK]
            held = self._now.shard.retrieve(list(chunk), True, True)
            points = [point(record) for record in held]
            gone = list(set(chunk) - {self._id_type(record.id) for record in held})
            if points:
                built.update(q.UpdateOperation.upsert_points(points))
            if gone:
                built.update(q.UpdateOperation.delete_points(gone))
            time.sleep(0)
        return len(ids)


def _as_it_is(record: q.Record) -> q.Point:
    return q.Point(record.id, record.vector or {}, record.payload)


def _read_version(home: Path) -> str:
    card = home / "learned.json"
    return str(json.loads(card.read_text("utf-8"))["version"]) if card.exists() else ""


def _write_version(home: Path, version: str) -> None:
    card = home / "learned.json"
    if version:
        replace_file(card, json.dumps({"version": version}))
    else:
        card.unlink(missing_ok=True)
