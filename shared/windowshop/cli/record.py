"""`record`: events from files into the log and the profiles, and what became of each row."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from windowshop import eventfile
from windowshop.cli.command import Place
from windowshop.cli.screen import progress, say
from windowshop.cli.sources import Source, report_path
from windowshop.files import Rows
from windowshop.files.report import Report
from windowshop.operator import Json
from windowshop.records import Event
from windowshop.table import Rejected, Warned

EVENTS = 10_000
CHARACTERS = 8_000_000  # of what the events of one batch carry beside


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
            self._report.opened(rows.name, rows.about())
            with progress(f"Recording {rows.name}", rows.bytes_total, steps=False) as advance:
                self._read(rows, outcomes, advance)
        self.done.users = len(self._users)
        self._fold()
        self.done.seconds = round(time.monotonic() - begin, 3)
        return self.done

    def _read(self, rows: Rows, outcomes: Iterator[Any], advance: Callable[[int], None]) -> None:
        at = 0
        for batch in _batches(outcomes):
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
            advance(max(rows.bytes_read - at, 0))
            at = max(at, rows.bytes_read)
        advance(rows.bytes_total - at)

    def _note(self, rows: Rows, outcome: Rejected | Warned) -> None:
        if isinstance(outcome, Rejected):
            self.done.read += 1
            self.done.rejected += 1
        elif outcome.line == 0:
            say(f"{rows.name}: {outcome.reason}")
        self._report.add(rows.here, outcome)

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
            self._report.add(rows.here, Rejected(line, one["code"], one["detail"], ""))

    def _fold(self) -> None:
        behind = self._place.call("unfolded")["users"]
        if behind:
            with progress("Folding users", behind) as advance:
                while count := self._place.call("fold")["users"]:
                    advance(count)


def _batches(outcomes: Iterator[Any]) -> Iterator[list[Any]]:
    """EVENTS at a time; fewer where they carry much beside."""
    batch: list[Any] = []
    size = 0
    for outcome in outcomes:
        batch.append(outcome)
        if type(outcome) is eventfile.Accepted and outcome.event.context is not None:
            size += len(orjson.dumps(outcome.event.context))
        if len(batch) == EVENTS or size >= CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def record(place: Place, sources: Sequence[Source], now_ms: int) -> Json:
    """Everything into the log and into the users' profiles."""
    with Report(report_path(place.home, "record", now_ms)) as report:
        return asdict(Load(place, report).run(sources))
