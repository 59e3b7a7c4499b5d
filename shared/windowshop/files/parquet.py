"""Parquet as rows, read in a child process: a corrupt file may end its reader, never us."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from windowshop.errors import InvalidInput, Misconfigured
from windowshop.table import Row

_CHILD = Path(__file__).with_name("parquet_child.py")


class Child:
    """One reading of a file: columns first, then batches of columns."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self.rows = 0
        self._process = subprocess.Popen(  # noqa: S603 (our own file, our own interpreter)
            [sys.executable, "-P", str(_CHILD), json.dumps(sys.path), str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._out = cast(IO[bytes], self._process.stdout)
        try:
            self.columns: list[str] = self._receive()
        except BaseException:
            self.close()
            raise

    def batches(self) -> Iterator[tuple[int, list[list[Any]]]]:
        """Position in the file, and as many lists as there are columns."""
        while (batch := self._receive()) is not None:
            yield batch
            self.rows += len(batch[1][0]) if batch[1] else 0

    def _receive(self) -> Any:
        try:
            kind, value = pickle.load(self._out)  # noqa: S301 (our own child wrote it)
        except (EOFError, pickle.UnpicklingError):
            kind, value = "damaged", "its reader gave up"
        if kind == "absent":
            raise Misconfigured(f"Parquet needs arro3: pip install arro3-core arro3-io ({value})")
        if kind == "damaged":
            where = f" after row {self.rows:,}" if self.rows else ""
            raise InvalidInput(f"{self._name} is damaged or no Parquet file{where}: {value}")
        return value

    def close(self) -> None:
        self._out.close()
        self._process.kill()
        self._process.wait()


def columns_of(path: Path, name: str) -> list[str]:
    """The columns of a file. Raises InvalidInput where it is none, or has no rows."""
    child = Child(path, name)
    try:
        if next(child.batches(), None) is None:
            raise InvalidInput(f"{name} has columns and no rows")
        return child.columns
    finally:
        child.close()


def read(path: Path, name: str, moved: Callable[[int], None]) -> Iterator[tuple[int, Row]]:
    """Rows with their number (from 1). Raises InvalidInput naming the row where the file breaks."""
    child = Child(path, name)
    number = 0
    try:
        for position, batch in child.batches():
            moved(position)
            for cells in zip(*batch, strict=True):
                number += 1
                yield number, dict(zip(child.columns, cells, strict=True))
    finally:
        child.close()
