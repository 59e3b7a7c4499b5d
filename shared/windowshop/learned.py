"""What was learned for a store, in versions: below `<store>/<kind>/<version>/` the files of each,
and `<store>/<kind>/current`, which names the one that serves. In a home that is `learned/`, on AWS
the same below `learned/` in the bucket.

A version counts once its card is there, which is written last and says what its files hash to.
`current` is swapped in one write: what serves, and on a second line what served before.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from windowshop.blobs import Blobs, DirBlobs
from windowshop.errors import InvalidInput, NotFound, Unavailable, WindowshopError
from windowshop.logs import log

MODEL, CARD, CURRENT = "model.onnx", "model.json", "current"
ITEMS = "items.npz"
"""Beside the model of a tower: what places items."""
AGAIN_S = 60.0
"""What could not be opened is tried again after this long."""

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Learned:
    """One version of one kind (`ranker-all`, `ranker-new`, `tower`) of a store."""

    store: str
    kind: str
    version: str
    card: Mapping[str, Any]
    """What it was made of: features, seed, times, and how it did in the replay."""
    serves: bool
    files: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """One of its files, whole and as it was written. Raises Unavailable."""
        what = f"{self.kind} {self.version} of store {self.store}"
        try:
            body = self.files(name)
        except NotFound:
            raise Unavailable(f"{what}: {name} is missing") from None
        written = self.card.get("files", {}).get(name)
        if written is not None and written != _account(body):
            raise Unavailable(f"{what}: {name} is not what was written ({len(body):,} bytes)")
        return body


class Shelf:
    """The models of a home or of a deployment; keys begin with `below`. Every method raises
    Unavailable where they cannot be reached.
    """

    def __init__(self, blobs: Blobs, below: str = "") -> None:
        self._blobs, self._below = blobs, below

    def put(
        self,
        store: str,
        kind: str,
        version: str,
        files: Mapping[str, bytes],
        card: Mapping[str, Any],
    ) -> None:
        """Keep a version; it does not serve yet. One of the same name is replaced."""
        at = self._key(store, kind, version)
        self._blobs.delete([f"{at}/{CARD}"])
        for name, body in files.items():
            self._blobs.write(f"{at}/{name}", body)
        whole = {**card, "files": {name: _account(body) for name, body in files.items()}}
        self._blobs.write(
            f"{at}/{CARD}", orjson.dumps(whole, option=orjson.OPT_INDENT_2), "application/json"
        )

    def all(self, store: str) -> list[Learned]:
        """Every version of a store, by kind and name."""
        start = self._key(store, "")
        found = []
        for blob in self._blobs.list(start):
            kind, _, rest = blob.key.removeprefix(start).partition("/")
            version, _, name = rest.partition("/")
            if name == CARD and (one := self.find(store, kind, version)) is not None:
                found.append(one)
        return found

    def serves(self, store: str, kind: str) -> str:
        """The version that serves; "" where none does. Cheap: one small read."""
        return self._named(store, kind)[0]

    def current(self, store: str, kind: str) -> Learned | None:
        """The version that serves."""
        name = self.serves(store, kind)
        return self.find(store, kind, name) if name else None

    def before(self, store: str, kind: str) -> str | None:
        """The version to which `rollback` leads; None: to none."""
        return self._named(store, kind)[1] or None

    def find(self, store: str, kind: str, version: str) -> Learned | None:
        """A version, whether or not it serves; None where it is not there."""
        if not all(name and name == Path(name).name for name in (kind, version)):
            return None
        at = self._key(store, kind, version)
        try:
            card = orjson.loads(self._blobs.read(f"{at}/{CARD}"))
        except (NotFound, InvalidInput):
            return None
        except orjson.JSONDecodeError as error:
            raise Unavailable(f"the card of {kind} {version} cannot be read: {error}") from error
        serves = self.serves(store, kind) == version
        read = self._blobs.read
        return Learned(store, kind, version, card, serves, lambda name: read(f"{at}/{name}"))

    def promote(self, store: str, kind: str, version: str) -> None:
        """From now on it serves. Raises NotFound."""
        if self.find(store, kind, version) is None:
            raise NotFound(f"no model {kind} {version[:64]!r}: `windowshop models list` shows them")
        before = self.serves(store, kind)
        if before != version:
            self._name(store, kind, version, before)

    def rollback(self, store: str, kind: str) -> str | None:
        """What served before serves again, which may be none: the plain weights. Returns its name.
        Raises InvalidInput where nothing serves.
        """
        serves, before = self._named(store, kind)
        if not serves:
            raise InvalidInput(
                f"no {kind} serves in store {store!r}: there is nothing to take back"
            )
        self._name(store, kind, before, "")
        return before or None

    def _key(self, *parts: str) -> str:
        return self._below + "/".join(parts)

    def _named(self, store: str, kind: str) -> tuple[str, str]:
        """What serves, and what did before; "" for none."""
        try:
            lines = self._blobs.read(self._key(store, kind, CURRENT)).decode("utf-8", "replace")
        except NotFound:
            return "", ""
        serves, _, before = lines.partition("\n")
        return serves.strip(), before.strip()

    def _name(self, store: str, kind: str, serves: str, before: str) -> None:
        lines = f"{serves}\n{before}\n".encode()
        self._blobs.write(self._key(store, kind, CURRENT), lines, "text/plain")


def shelf_in(folder: Path) -> Shelf:
    """The models in a folder."""
    return Shelf(DirBlobs(folder))


def session(model: bytes, what: str) -> Any:
    """A model of ONNX, opened for one thread a call. Raises Unavailable: it cannot be read."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised
    try:
        return InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Unavailable(f"{what} cannot be read: {error}") from error


def _account(body: bytes) -> dict[str, Any]:
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


class _Held(NamedTuple, Generic[M]):
    version: str
    model: M | None
    until: float
    """When one that could not be opened is tried again (s, monotonic)."""


class Opened(Generic[M]):
    """Models of a shelf, opened by `opens` when they are first asked for: of each store and kind
    the last version. Thread-safe.
    """

    def __init__(self, shelf: Shelf, opens: Callable[[Learned], M]) -> None:
        self._shelf, self._opens = shelf, opens
        self._held: dict[tuple[str, str], _Held[M]] = {}
        self._lock = threading.Lock()

    def get(self, store: str, kind: str, version: str) -> M | None:
        """None where it is missing or broken, which is logged; a minute later it is tried again."""
        held = self._fresh(store, kind, version)
        if held is None:
            with self._lock:
                held = self._fresh(store, kind, version) or self._open(store, kind, version)
        return held.model

    def _fresh(self, store: str, kind: str, version: str) -> _Held[M] | None:
        held = self._held.get((store, kind))
        if held is None or held.version != version:
            return None
        return held if held.model is not None or time.monotonic() < held.until else None

    def _open(self, store: str, kind: str, version: str) -> _Held[M]:
        model, detail = None, "it is missing"
        try:
            learned = self._shelf.find(store, kind, version)
            model = None if learned is None else self._opens(learned)
        except WindowshopError as error:
            detail = error.detail
        if model is None:
            log("learned").error(
                "model_not_opened", store=store, kind=kind, version=version, detail=detail
            )
        held = self._held[store, kind] = _Held(version, model, time.monotonic() + AGAIN_S)
        return held
