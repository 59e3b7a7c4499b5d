"""`ingest`: items from files into the catalogue, with a count of what became of every row."""

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson

from windowshop import catalog
from windowshop.cli.command import Place
from windowshop.cli.screen import progress, say, warn
from windowshop.cli.sources import Source, report_path
from windowshop.columns import Mapping
from windowshop.files import Rows
from windowshop.files.report import Report
from windowshop.operator import Json
from windowshop.records import Item, item_key
from windowshop.table import Rejected, Warned

ITEMS = 1_000
CHARACTERS = 4_000_000  # of one batch: long texts and many attributes make smaller ones
EMBED = 131_072
"""At once, where nobody else waits: equal texts of one call are encoded once."""
EMBED_BESIDE = 8_192
"""At once in a process that serves: its own new items wait that long."""
SAMPLE = 500
CJK_SHARE = 0.3
"""From this share of Chinese, Japanese or Korean texts an English encoder is the wrong one."""


@dataclass(slots=True)
class Ingested:
    """What became of the rows: read = accepted + rejected + removed + repeated."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    unchanged: int = 0
    embedded: int = 0
    deleted: int = 0
    removed: int = 0
    repeated: int = 0
    seconds: float = 0.0
    report: str = ""


class Ingest:
    """One upload of a catalogue. Its order ranks it among uploads: an older one overwrites none."""

    def __init__(self, place: Place, report: Report, full: bool) -> None:
        self.done = Ingested(report=str(report.path))
        self._place = place
        self._report = report
        self._order: int = place.call("now")["ms"]
        self._to_embed = 0
        self._keys = array("q") if full else None
        self._items: list[Item] = []
        self._lines: list[int] = []
        self._size = 0
        self._gone: list[str] = []
        self._texts: list[str] = []

    def run(self, sources: Sequence[Source], mapping: Mapping) -> Ingested:
        begin = time.monotonic()
        for name, kind in mapping.filterable.items():
            self._place.call("add_field", name=name, kind=kind)
        for rows, outcomes in sources:
            self._report.opened(rows.name, rows.about())
            with progress(f"Reading {rows.name}", rows.bytes_total, steps=False) as advance:
                self._read(rows, outcomes, advance)
        if self._keys is not None:
            self._delete_missing()
        self._embed()
        self.done.seconds = round(time.monotonic() - begin, 3)
        return self.done

    def _read(self, rows: Rows, outcomes: Iterator[Any], advance: Callable[[int], None]) -> None:
        at = 0
        for outcome in outcomes:
            kind = type(outcome)
            if kind is catalog.Accepted:
                self.done.read += 1
                self._items.append(outcome.item)
                self._lines.append(outcome.line)
                self._size += _size(outcome.item)
            elif kind is catalog.Removed:
                self.done.read += 1
                self.done.removed += 1
                self._gone.append(outcome.item_id)
            elif kind is Rejected:
                self.done.read += 1
                self.done.rejected += 1
                self._report.add(rows.here, outcome)
                if self._keys is not None and outcome.item_id is not None:
                    # A price that cannot be read does not mean that the item is gone.
                    self._keys.append(item_key(self._place.store, outcome.item_id))
            else:
                self._note(rows, outcome)
            if self._size >= CHARACTERS or len(self._items) + len(self._gone) >= ITEMS:
                self._write(rows)
                advance(max(rows.bytes_read - at, 0))
                at = max(at, rows.bytes_read)
        self._write(rows)
        advance(rows.bytes_total - at)

    def _note(self, rows: Rows, warned: Warned) -> None:
        if warned.code == "repeated_id":
            self.done.read += 1
            self.done.repeated += 1
        elif warned.line == 0:
            say(f"{rows.name}: {warned.reason}")
        self._report.add(rows.here, warned)

    def _write(self, rows: Rows) -> None:
        if self._items:
            answer = self._place.call("put_items", items=self._items, order=self._order)
            self.done.accepted += answer["accepted"]
            self.done.unchanged += answer["unchanged"]
            self._to_embed += answer["to_embed"]
            for one in answer["rejected"]:
                self.done.rejected += 1
                line = self._lines[one["index"]]
                self._report.add(rows.here, Rejected(line, one["code"], one["detail"], ""))
            if self._keys is not None:
                self._keys.extend(item_key(self._place.store, item.item_id) for item in self._items)
            if len(self._texts) < SAMPLE:
                self._texts += [item.text() for item in self._items]
            self._items, self._lines, self._size = [], [], 0
        if self._gone:
            self.done.deleted += self._delete(self._gone)
            self._gone = []

    def _delete(self, ids: Sequence[str]) -> int:
        deleted: int = self._place.call("delete_items", item_ids=ids, order=self._order)["deleted"]
        return deleted

    def _delete_missing(self) -> None:
        """--full: items that this upload did not name. Only after its last row."""
        named = np.sort(np.frombuffer(self._keys or array("q"), np.int64))
        cursor: int | None = None
        with progress("Removing what is missing") as advance:
            while True:
                page = self._place.call("item_ids", cursor=cursor)
                ids = page["item_ids"]
                keys = np.array([item_key(self._place.store, one) for one in ids], np.int64)
                gone = [ids[at] for at in np.flatnonzero(~np.isin(keys, named)).tolist()]
                if gone:
                    self.done.deleted += self._delete(gone)
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
                    self.done.embedded += count
        # Where the home is served its keeper may have embedded some of them.
        self.done.embedded = max(self.done.embedded, self._to_embed)

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
        if not self._texts or _cjk_share(self._texts) <= CJK_SHARE:
            return
        model = self._place.call("model")
        if model["languages"] == "en":
            warn(
                f"warning: many texts are Chinese, Japanese or Korean, and {model['name']} reads "
                "English only: most of their words mean nothing to it. Choose a multilingual model "
                '(`model = "intfloat/multilingual-e5-small"` in windowshop.toml), then '
                "`windowshop rebuild --embed`"
            )


def _size(item: Item) -> int:
    """Characters of an item, about."""
    size = 200 + len(item.title or "") + len(item.description or "")
    return size + len(orjson.dumps(item.attributes)) if item.attributes else size


def _cjk_share(texts: Sequence[str]) -> float:
    """Share of texts with a character of Chinese, Japanese or Korean."""
    return sum(any(_is_cjk(c) for c in text) for text in texts) / len(texts)


def _is_cjk(character: str) -> bool:
    code = ord(character)
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7AF


def ingest(
    place: Place, sources: Sequence[Source], mapping: Mapping, full: bool, now_ms: int
) -> Json:
    """Everything into the catalogue, searchable on return."""
    with Report(report_path(place.home, "ingest", now_ms)) as report:
        return asdict(Ingest(place, report, full).run(sources, mapping))
