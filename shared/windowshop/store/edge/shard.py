"""One collection of one store on disk, and how its indexes are built while it serves.

    items-1a2b3c4d/          a collection of vectors of one model
        current              names the folder that counts; replaced in one step
        g-x1y2z3/            a shard of Qdrant Edge, and `state.json`
        g-...                left over from a build that was cut short; removed at the next start

Every call into Edge holds Python's lock, so what takes long happens elsewhere: the folder is copied
(under the writers' lock: reads go on), a child process builds the indexes of the copy, what was
written meanwhile is written to the copy too, and then the copy is the one that counts.
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
from typing import Any, TypeVar
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


class Shard:
    """A shard of Edge that can be replaced under its readers. Writers hold `lock`."""

    def __init__(
        self, folder: Path, config: q.EdgeConfig, id_type: Callable[[Any], PointId]
    ) -> None:
        """Opens or creates it. `id_type` makes what Edge gives as an id what it was given."""
        self.lock = threading.RLock()
        self.folder = folder
        self._config = config
        self._indexes: dict[str, Any] = {}
        self._id_type = id_type
        self._journal: set[PointId] | None = None
        self._child: subprocess.Popen[str] | None = None
        self.unflushed = 0
        self._closed = False
        with translated():
            self._home, self._shard = self._open()
        self.changed, self.removed = self._read_state()

    # --- opening ---------------------------------------------------------------------------------

    def _open(self) -> tuple[Path, q.EdgeShard]:
        self.folder.mkdir(parents=True, exist_ok=True)
        pointer = self.folder / "current"
        name = pointer.read_text().strip() if pointer.exists() else ""
        for entry in self.folder.iterdir():
            if entry.is_dir() and entry.name != name:
                shutil.rmtree(entry, ignore_errors=True)
        if name:
            home = self.folder / name
            shard = q.EdgeShard.load(str(home), self._config)
        else:
            home = self._new_home()
            shard = q.EdgeShard.create(str(home), self._config)
            shard.flush()
            replace_file(pointer, home.name)
        return home, shard

    def _new_home(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="g-", dir=self.folder))

    def _read_state(self) -> tuple[int, int]:
        """Points written and removed since the last build; all of them after a crash."""
        state = self._home / "state.json"
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
            shard = self._shard
            try:
                with translated():
                    return call(shard)
            except Unavailable:
                if self._closed:
                    raise Unavailable("the vector store is closed") from None
                if shard is self._shard:
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
            self._create_indexes(self._shard)

    def _create_indexes(self, shard: q.EdgeShard) -> None:
        with translated():
            present = shard.info().payload_schema
            for field, params in self._indexes.items():
                if field not in present:
                    shard.update(q.UpdateOperation.create_field_index(field, params))

    def points(self) -> int:
        return self.read(lambda shard: int(shard.info().points_count))

    def flush(self) -> None:
        """Everything written so far is on disk, whatever happens to the machine."""
        # What was acknowledged is in Edge's log; having the system write that down holds up nobody.
        sync_folder(self._home / "wal")

    def checkpoint(self) -> None:
        """Write everything out, so that the next start has nothing to replay."""
        # Edge does this with Python's lock held; what is on disk already is not its work any more.
        sync_folder(self._home)
        with self.lock:
            self.unflushed = 0
            self.read(lambda shard: shard.flush())

    def close(self) -> None:
        """Write everything out and let go of the files; a build that goes on is given up."""
        sync_folder(self._home)
        with self.lock:
            if self._closed:
                return
            self._closed = True
            self._end_child()
            state = {"changed": self.changed, "removed": self.removed}
            with translated():
                self._shard.flush()
                self._shard.close()
            replace_file(self._home / "state.json", json.dumps(state))

    # --- building --------------------------------------------------------------------------------

    def rebuild(self) -> None:
        """Build the indexes anew in another process, then serve from what it built.

        Raises Unavailable when it could not be built; the shard is then as it was.
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
            self._build(copy)
            read_through(copy)
            with translated():
                built = q.EdgeShard.load(str(copy), self._config)
                self._swap(copy, built)
        except BaseException:
            with self.lock:
                self._journal = None
            shutil.rmtree(copy, ignore_errors=True)
            raise

    def _copy(self, copy: Path) -> None:
        """What a crash at this moment would leave: the log in it holds what the rest lacks."""
        for left in reversed(range(COPY_TRIES)):
            try:
                copy_folder(self._home, copy)
            except FileNotFoundError:  # Edge makes and drops segments of its log by itself
                if not left:
                    raise
            else:
                return

    def _build(self, copy: Path) -> None:
        program = [sys.executable, "-P", str(optimize.__file__), str(copy), str(os.getpid())]
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

    def _swap(self, copy: Path, built: q.EdgeShard) -> None:
        written = 0
        for _ in range(REPLAY_ROUNDS):
            with self.lock:
                if len(self._journal or ()) <= FEW:
                    break
                batch, self._journal = list(self._journal or ()), set()
            written += self._replay(built, batch)
        sync_folder(copy)
        with self.lock:
            if self._closed:
                raise Unavailable("the vector store is closed")
            written += self._replay(built, list(self._journal or ()))
            self._create_indexes(built)
            sync_folder(copy / "wal")
            replace_file(self.folder / "current", copy.name)
            old_home, old = self._home, self._shard
            self._home, self._shard, self._journal = copy, built, None
            self.changed, self.removed, self.unflushed = written, 0, written
        # A reader that had just fetched the old shard may not have called it yet.
        time.sleep(GRACE_S)
        sync_folder(old_home)
        with contextlib.suppress(Exception):
            old.close()
        shutil.rmtree(old_home, ignore_errors=True)

    def _replay(self, built: q.EdgeShard, ids: Sequence[PointId]) -> int:
        """Make the points `ids` of `built` what they are in the shard that serves."""
        for start in range(0, len(ids), REPLAY_CHUNK):
            chunk = ids[start : start + REPLAY_CHUNK]
            held = self._shard.retrieve(list(chunk), True, True)
            points = [q.Point(record.id, record.vector or {}, record.payload) for record in held]
            gone = list(set(chunk) - {self._id_type(record.id) for record in held})
            if points:
                built.update(q.UpdateOperation.upsert_points(points))
            if gone:
                built.update(q.UpdateOperation.delete_points(gone))
            time.sleep(0)
        return len(ids)
