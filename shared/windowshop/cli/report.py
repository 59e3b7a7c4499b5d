"""HOME/reports: what came of each row that did not simply go in, as JSON lines."""

from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import orjson

from windowshop.records import new_id

FOLDER = "reports"


class Report:
    """One upload's report. It appears under its name when the upload is over."""

    def __init__(self, home: Path, command: str, now_ms: int) -> None:
        folder = home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{command}-{new_id(now_ms)}.jsonl"
        self._draft = self.path.with_suffix(".part")
        self._file: IO[bytes] = self._draft.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._draft.replace(self.path)

    def write(self, **line: Any) -> None:
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
