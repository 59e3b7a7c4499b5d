"""The rejection report: a CSV that says, row by row, what was not taken and why."""

import csv
import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from windowshop.amounts import printed
from windowshop.errors import InvalidInput
from windowshop.table import Rejected, Warned

KEEP = 100_000
COLUMNS = ("file", "line", "code", "reason", "row")


class Report:
    """Counts everything, keeps the first `keep` lines. Readable by spreadsheets, Chinese included.

    Each file begins with a line of code `read_as`: format, delimiter, encoding. A `reason` of code
    `not_listed` at the end says how many lines had no room.
    """

    def __init__(self, path: Path, keep: int = KEEP) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.rejected = 0
        self._left = keep
        self._unlisted = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("w", encoding="utf-8-sig", newline="")
        except OSError as error:
            raise InvalidInput(
                f"cannot write the report {path}: {error.strerror or error}"
            ) from None
        self._rows = csv.writer(self._stream)
        self._rows.writerow(COLUMNS)

    def opened(self, file: str, about: str) -> None:
        """A file is about to be read: `Rows.name`, `Rows.about()`."""
        self._rows.writerow((_safe(file), "", "read_as", about, ""))

    def add(self, file: str, outcome: Rejected | Warned) -> None:
        """`file` is `Rows.here`."""
        self.counts[outcome.code] += 1
        excerpt = ""
        if isinstance(outcome, Rejected):
            self.rejected += 1
            excerpt = outcome.excerpt
        if self._left <= 0:
            self._unlisted += 1
            return
        self._left -= 1
        line = outcome.line or ""
        self._rows.writerow(
            (_safe(file), line, outcome.code, _safe(outcome.reason), _safe(excerpt))
        )

    def close(self) -> Path:
        """Finish the report, on disk when this returns."""
        if not self._stream.closed:
            if self._unlisted:
                reason = f"{self._unlisted} more lines had no room here"
                self._rows.writerow(("", "", "not_listed", reason, ""))
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
        return self.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _safe(text: str) -> str:
    """No spreadsheet takes a stranger's cell for a formula; no cell holds half a character."""
    text = printed(text)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
