"""The child of `parquet.py`: reads one Parquet file, writes its batches to stdout as pickles.

It runs apart because the reader aborts its process on some corrupt files, and because memory can be
bounded here. Messages: ("columns", names), ("batch", (position, columns)), ("batch", None) at the
end, ("damaged" | "absent", why).
"""

import io
import json
import os
import pickle
import sys
from typing import Any

MAX_MEMORY = 4 << 30


class _Reader(io.FileIO):
    """Remembers how far the last reading went."""

    at = 0

    def read(self, size: int | None = -1) -> bytes | None:  # type: ignore[override]
        chunk = super().read(size)
        self.at = self.tell()
        return chunk


def _bound() -> None:
    try:
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass  # not everywhere can it be bounded


def _texts(column: list[Any]) -> list[Any]:
    """Texts that an old writer stored as bytes."""
    if not any(type(cell) is bytes for cell in column):
        return column
    made: list[Any] = []
    for cell in column:
        try:
            made.append(cell.decode() if type(cell) is bytes else cell)
        except UnicodeDecodeError:
            made.append(cell)
    return made


def main(path: str, out: io.BufferedWriter) -> None:
    def send(kind: str, value: Any) -> None:
        pickle.dump((kind, value), out, pickle.HIGHEST_PROTOCOL)
        out.flush()

    try:
        import arro3.io  # its absence is an answer
    except ImportError as error:
        send("absent", str(error))
        return
    try:
        with _Reader(path) as source:
            batches = arro3.io.read_parquet(source)
            names = list(batches.schema.names)
            if len(set(names)) != len(names):
                raise ValueError("it has two columns of the same name")
            send("columns", names)
            for batch in batches:
                columns = [list(batch.column(at).to_pylist()) for at in range(batch.num_columns)]
                send("batch", (source.at, [_texts(column) for column in columns]))
            send("batch", None)
    except BrokenPipeError:
        os._exit(0)  # whoever asked has heard enough
    except BaseException as error:  # noqa: BLE001 (a panic of the reader is no Exception)
        why = str(error).removeprefix("called `Result::unwrap()` on an `Err` value: ")
        send("damaged", why[:200] or type(error).__name__)


if __name__ == "__main__":
    os.environ["RUST_BACKTRACE"] = "0"
    sys.path[:] = json.loads(sys.argv[1])
    _bound()
    main(sys.argv[2], sys.stdout.buffer)  # type: ignore[arg-type]
