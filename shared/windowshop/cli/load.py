"""`ingest` and `record`: files -> rows -> verbs, with a count of what became of every row."""

import itertools
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from windowshop import catalog, eventfile
from windowshop.cli.command import Place
from windowshop.cli.report import Report
from windowshop.cli.screen import progress, say, warn
from windowshop.columns import Mapping
from windowshop.files import Rows, open_rows
from windowshop.mapping import load
from windowshop.operator import Json
from windowshop.records import Event, Item, item_key
from windowshop.table import Rejected, Warned

ITEMS = 1_000
EVENTS = 10_000
EMBED = 2_048
SAMPLE = 500
CJK_SHARE = 0.3
"""From this share of Chinese, Japanese or Korean texts an English encoder is the wrong one."""


class Source(NamedTuple):
    """A file that can be used: its rows' outcomes have begun."""

    rows: Rows
    outcomes: Iterator[Any]


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


@dataclass(slots=True)
class Loaded:
    """What became of the events: `applied` are those that the log did not have yet."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    applied: int = 0
    duplicates: int = 0
    unknown_items: int = 0
    users: int = 0
    seconds: float = 0.0
    report: str = ""


def mapping_of(path: Path | None) -> Mapping:
    """Raises InvalidInput."""
    return Mapping.default() if path is None else load(path)


def item_sources(paths: Sequence[Path], mapping: Mapping) -> list[Source]:
    """Every file opened and found usable, before anything is written. Raises InvalidInput."""
    return [
        Source(rows, _begun(catalog.read_items(rows, mapping)))
        for rows in [open_rows(path, mapping.options) for path in paths]
    ]


def event_sources(paths: Sequence[Path], mapping: Mapping) -> list[Source]:
    """The same for events."""
    return [
        Source(rows, _begun(eventfile.read_events(rows, mapping, rows.content_hash)))
        for rows in [open_rows(path, mapping.options) for path in paths]
    ]


def _begun(outcomes: Iterator[Any]) -> Iterator[Any]:
    """The same outcomes; what is wrong with the file as a whole is raised now."""
    return itertools.chain(list(itertools.islice(outcomes, 1)), outcomes)


# --- items ---------------------------------------------------------------------------------------


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
        self._gone: list[str] = []
        self._texts: list[str] = []

    def run(self, sources: Sequence[Source], mapping: Mapping) -> Ingested:
        begin = time.monotonic()
        for name, kind in mapping.filterable.items():
            self._place.call("add_field", name=name, kind=kind)
        for rows, outcomes in sources:
            self._report.write(file=rows.name, found=rows.about())
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
            elif kind is catalog.Removed:
                self.done.read += 1
                self.done.removed += 1
                self._gone.append(outcome.item_id)
            elif kind is Rejected:
                self.done.read += 1
                self.done.rejected += 1
                self._report.write(file=rows.here, **outcome._asdict())
            else:
                self._note(rows, outcome)
            if len(self._items) == ITEMS or len(self._gone) == ITEMS:
                self._write(rows)
                advance(rows.bytes_read - at)
                at = rows.bytes_read
        self._write(rows)
        advance(rows.bytes_total - at)

    def _note(self, rows: Rows, warned: Warned) -> None:
        if warned.code == "repeated_id":
            self.done.read += 1
            self.done.repeated += 1
        elif warned.line == 0:
            say(f"{rows.name}: {warned.reason}")
        self._report.write(file=rows.here, **warned._asdict())

    def _write(self, rows: Rows) -> None:
        if self._items:
            answer = self._place.call("put_items", items=self._items, order=self._order)
            self.done.accepted += answer["accepted"]
            self.done.unchanged += answer["unchanged"]
            self._to_embed += answer["to_embed"]
            for one in answer["rejected"]:
                self.done.rejected += 1
                line = self._lines[one["index"]]
                self._report.write(
                    file=rows.here, line=line, code=one["code"], reason=one["detail"]
                )
            if self._keys is not None:
                self._keys.extend(item_key(self._place.store, item.item_id) for item in self._items)
            if len(self._texts) < SAMPLE:
                self._texts += [item.text() for item in self._items]
            self._items, self._lines = [], []
        if self._gone:
            self.done.deleted += self._delete(self._gone)
            self._gone = []

    def _delete(self, ids: Sequence[str]) -> int:
        deleted: int = self._place.call("delete_items", item_ids=ids, order=self._order)["deleted"]
        return deleted

    def _delete_missing(self) -> None:
        """--full: items that this upload did not name. Only after its last row."""
        named = set(self._keys or ())
        cursor: int | None = None
        with progress("Removing what is missing") as advance:
            while True:
                page = self._place.call("item_ids", cursor=cursor)
                ids = page["item_ids"]
                gone = [one for one in ids if item_key(self._place.store, one) not in named]
                if gone:
                    self.done.deleted += self._delete(gone)
                advance(len(gone))
                cursor = page["next"]
                if cursor is None:
                    return

    def _embed(self) -> None:
        self._warn_of_language()
        if not self._to_embed:
            return
        with progress("Embedding", self._to_embed) as advance:
            while count := self._place.call("embed", progress=None, limit=EMBED)["embedded"]:
                self.done.embedded += count
                advance(count)
        # Where the home is served its keeper may have embedded some of them.
        self.done.embedded = max(self.done.embedded, self._to_embed)

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
    with Report(place.home, "ingest", now_ms) as report:
        return asdict(Ingest(place, report, full).run(sources, mapping))


# --- events --------------------------------------------------------------------------------------


class Load:
    """One upload of events: into the log in big batches, then every user folded once."""

    def __init__(self, place: Place, report: Report) -> None:
        self.done = Loaded(report=str(report.path))
        self._place = place
        self._report = report
        self._times: Json = place.call("now")
        self._users: set[str] = set()

    def run(self, sources: Sequence[Source]) -> Loaded:
        begin = time.monotonic()
        for rows, outcomes in sources:
            self._report.write(file=rows.name, found=rows.about())
            with progress(f"Recording {rows.name}", rows.bytes_total, steps=False) as advance:
                self._read(rows, outcomes, advance)
        self.done.users = len(self._users)
        self._fold()
        self.done.seconds = round(time.monotonic() - begin, 3)
        return self.done

    def _read(self, rows: Rows, outcomes: Iterator[Any], advance: Callable[[int], None]) -> None:
        at = 0
        while batch := list(itertools.islice(outcomes, EVENTS)):
            events: list[Event] = []
            places: list[int] = []
            lines: list[int] = []
            for outcome in batch:
                if type(outcome) is eventfile.Accepted:
                    row, event, line = outcome
                    events.append(event)
                    places.append(row)
                    lines.append(line)
                else:
                    self._note(rows, outcome)
            self.done.read += len(events)
            if events:
                self._write(rows, events, places, lines)
            advance(rows.bytes_read - at)
            at = rows.bytes_read
        advance(rows.bytes_total - at)

    def _note(self, rows: Rows, outcome: Rejected | Warned) -> None:
        if isinstance(outcome, Rejected):
            self.done.read += 1
            self.done.rejected += 1
        elif outcome.line == 0:
            say(f"{rows.name}: {outcome.reason}")
        self._report.write(file=rows.here, **outcome._asdict())

    def _write(
        self, rows: Rows, events: Sequence[Event], places: Sequence[int], lines: Sequence[int]
    ) -> None:
        answer = self._place.call(
            "record",
            events=events,
            rows=places,
            received_ms=self._times["ms"],
            stamp_ms=self._times["stamp_ms"],
        )
        done = self.done
        done.accepted += answer["accepted"]
        done.duplicates += answer["duplicates"]
        done.applied += answer["accepted"] - answer["duplicates"]
        done.unknown_items += answer["unknown_items"]
        done.rejected += len(answer["rejected"])
        self._users.update(answer["users"])
        for one in answer["rejected"]:
            line = lines[one["index"]]
            self._report.write(file=rows.here, line=line, code=one["code"], reason=one["detail"])

    def _fold(self) -> None:
        behind = self._place.call("unfolded")["users"]
        if behind:
            with progress("Folding users", behind) as advance:
                while count := self._place.call("fold")["users"]:
                    advance(count)


def record(place: Place, sources: Sequence[Source], now_ms: int) -> Json:
    """Everything into the log and into the users' profiles."""
    with Report(place.home, "record", now_ms) as report:
        return asdict(Load(place, report).run(sources))
