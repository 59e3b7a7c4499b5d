"""What was learned for a store, in versions: `HOME/learned/<store>/<kind>/<version>/`, and a file
`current` that names the one which serves. A version is written whole before it is named.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from windowshop.errors import InvalidInput, NotFound, Unavailable

MODEL, CARD, CURRENT, BEFORE = "model.onnx", "model.json", "current", "before"


@dataclass(frozen=True, slots=True)
class Learned:
    """One version of one kind (`ranker-all`, `ranker-new`, ...) of a store."""

    store: str
    kind: str
    version: str
    folder: Path
    card: Mapping[str, Any]
    """What it was made of: features, seed, times, and how it did in the replay."""
    serves: bool


class Shelf:
    """The models of a home. Raises Unavailable where the folder cannot be used."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(
        self, store: str, kind: str, version: str, model: bytes, card: Mapping[str, Any]
    ) -> None:
        """Keep a version; it does not serve yet. One of the same name is replaced."""
        place = self._root / store / kind
        target, made = place / version, place / f".{version}.{os.getpid()}"
        try:
            made.mkdir(parents=True)
            (made / MODEL).write_bytes(model)
            (made / CARD).write_bytes(orjson.dumps(card, option=orjson.OPT_INDENT_2))
            shutil.rmtree(target, ignore_errors=True)
            made.rename(target)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            raise Unavailable(f"{place} cannot be written: {error.strerror}") from error

    def all(self, store: str) -> list[Learned]:
        """Every version of a store, by kind and name."""
        found = []
        for card in sorted((self._root / store).glob(f"*/*/{CARD}")):
            kind, version = card.parts[-3], card.parts[-2]
            if not version.startswith("."):
                found.append(self._read(store, kind, version))
        return found

    def current(self, store: str, kind: str) -> Learned | None:
        """The version that serves."""
        name = self._named(store, kind, CURRENT)
        return self._read(store, kind, name) if name else None

    def mark(self, store: str, kind: str) -> int:
        """Changes whenever another version serves: cheap to ask for."""
        try:
            return (self._root / store / kind / CURRENT).stat().st_mtime_ns
        except OSError:
            return 0

    def promote(self, store: str, kind: str, version: str) -> None:
        """From now on it serves. Raises NotFound."""
        plain = all(name and name == Path(name).name for name in (kind, version))
        if not plain or not (self._root / store / kind / version / CARD).is_file():
            raise NotFound(f"no model {kind} {version[:64]!r}: `windowshop models list` shows them")
        before = self._named(store, kind, CURRENT)
        if before != version:
            self._name(store, kind, BEFORE, before)
            self._name(store, kind, CURRENT, version)

    def rollback(self, store: str, kind: str) -> str | None:
        """What served before serves again, which may be none: the plain weights. Returns its name.
        Raises InvalidInput where nothing serves.
        """
        if not self._named(store, kind, CURRENT):
            raise InvalidInput(
                f"no {kind} serves in store {store!r}: there is nothing to take back"
            )
        before = self._named(store, kind, BEFORE)
        self._name(store, kind, CURRENT, before)
        self._name(store, kind, BEFORE, "")
        return before or None

    def _named(self, store: str, kind: str, file: str) -> str:
        try:
            return (self._root / store / kind / file).read_text("utf-8").strip()
        except OSError:
            return ""

    def _name(self, store: str, kind: str, file: str, version: str) -> None:
        place = self._root / store / kind
        made = place / f".{file}.{os.getpid()}"
        try:
            made.write_text(version, "utf-8")
            made.replace(place / file)
        except OSError as error:
            raise Unavailable(f"{place} cannot be written: {error.strerror}") from error

    def _read(self, store: str, kind: str, version: str) -> Learned:
        folder = self._root / store / kind / version
        try:
            card = orjson.loads((folder / CARD).read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise Unavailable(f"{folder / CARD} cannot be read: {error}") from error
        serves = self._named(store, kind, CURRENT) == version
        return Learned(store, kind, version, folder, card, serves)
