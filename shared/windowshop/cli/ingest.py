"""`ingest`: items from files into the catalogue, with a count of what became of every row."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from windowshop.cli.command import Place
from windowshop.cli.screen import progress, say, warn
from windowshop.cli.sources import Source, report_path
from windowshop.columns import Mapping
from windowshop.files import Rows
from windowshop.files.report import Report
from windowshop.intake import Batch, Intake, Named
from windowshop.operator import Json

EMBED = 131_072
"""At once, where nobody else waits: equal texts of one call are encoded once."""
EMBED_BESIDE = 8_192
"""At once in a process that serves: its own new items wait that long."""


class Ingest:
    """One upload of a catalogue. Its order ranks it among uploads: an older one overwrites none."""

    def __init__(self, place: Place, report: Report, full: bool) -> None:
        self._place = place
        self._report = report
        self._order: int = place.call("now")["ms"]
        self._named = Named(place.store) if full else None
        self._intake = Intake(report, self._named)
        self._to_embed = 0
        self._embedded = 0

    def run(self, sources: Sequence[Source], mapping: Mapping) -> Json:
        """What became of the rows, and of the catalogue."""
        begin = time.monotonic()
        for name, kind in mapping.filterable.items():
            self._place.call("add_field", name=name, kind=kind)
        for rows, outcomes in sources:
            self._report.opened(rows.name, rows.about())
            with progress(f"Reading {rows.name}", rows.bytes_total, steps=False) as advance:
                self._read(rows, outcomes, advance)
        if self._named is not None:
            self._delete_missing(self._named)
        self._embed()
        counts = self._intake.counts
        return {
            "read": counts.read,
            "accepted": counts.accepted,
            "rejected": counts.rejected,
            "unchanged": counts.unchanged,
            "embedded": self._embedded,
            "deleted": counts.deleted,
            "removed": counts.removed,
            "repeated": counts.repeated,
            "seconds": round(time.monotonic() - begin, 3),
            "report": str(self._report.path),
        }

    def _read(self, rows: Rows, outcomes: Iterator[Any], advance: Callable[[int], None]) -> None:
        at = 0
        for batch in self._intake.batches(rows, outcomes):
            self._tell_notes()
            self._write(batch)
            advance(max(rows.bytes_read - at, 0))
            at = max(at, rows.bytes_read)
        self._tell_notes()
        advance(rows.bytes_total - at)

    def _tell_notes(self) -> None:
        for note in self._intake.notes:
            say(note)
        self._intake.notes.clear()

    def _write(self, batch: Batch) -> None:
        if batch.items:
            answer = self._place.call("put_items", items=batch.items, order=self._order)
            self._intake.written(answer["accepted"], answer["unchanged"])
            self._to_embed += answer["to_embed"]
        if batch.gone:
            self._delete(batch.gone)

    def _delete(self, ids: Sequence[str]) -> None:
        answer = self._place.call("delete_items", item_ids=ids, order=self._order)
        self._intake.counts.deleted += answer["deleted"]

    def _delete_missing(self, named: Named) -> None:
        """--full: items that this upload did not name. Only after its last row."""
        cursor: int | None = None
        with progress("Removing what is missing") as advance:
            while True:
                page = self._place.call("item_ids", cursor=cursor)
                ids: list[str] = page["item_ids"]
                gone = [one for one, there in zip(ids, named.has(ids), strict=True) if not there]
                if gone:
                    self._delete(gone)
                advance(len(gone))
                cursor = page["next"]
                if cursor is None:
                    return

    def _embed(self) -> None:
        """Everything that waits, also what an upload that was cut off left behind."""
        self._warn_of_language()
        waiting = self._place.call("waiting")["items"]
        if waiting:
            with progress("Embedding", waiting) as advance:
                while count := self._embed_some(advance):
                    self._embedded += count
        # Where the home is served its keeper may have embedded some of them.
        self._embedded = max(self._embedded, self._to_embed)

    def _embed_some(self, advance: Callable[[int], None]) -> int:
        told = 0

        def tell(count: int) -> None:
            nonlocal told
            told += count
            advance(count)

        limit = EMBED if self._place.is_local else EMBED_BESIDE
        count: int = self._place.call("embed", progress=tell, limit=limit)["embedded"]
        advance(count - told)
        return count

    def _warn_of_language(self) -> None:
        if not self._intake.reads_cjk():
            return
        model = self._place.call("model")
        if model["languages"] == "en":
            warn(
                f"warning: many texts are Chinese, Japanese or Korean, and {model['name']} reads "
                "English only: most of their words mean nothing to it. Choose a multilingual model "
                '(`model = "intfloat/multilingual-e5-small"` in windowshop.toml), then '
                "`windowshop rebuild --embed`"
            )


def ingest(
    place: Place, sources: Sequence[Source], mapping: Mapping, full: bool, now_ms: int
) -> Json:
    """Everything into the catalogue, searchable on return."""
    with Report(report_path(place.home, "ingest", now_ms)) as report:
        return Ingest(place, report, full).run(sources, mapping)
