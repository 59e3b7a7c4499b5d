"""Rows of an event file -> events, with a reason for every row that is none. Pure."""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as ReadOnly
from functools import partial
from typing import Any, NamedTuple

from pydantic import ValidationError

from windowshop import amounts, cells
from windowshop.columns import Mapping, find, listed, plan, recognise
from windowshop.errors import InvalidInput
from windowshop.headings import EVENT_NAMES, TRIED, USUAL_KINDS, normal
from windowshop.records import KINDS, NEEDS_NO_ITEM, Event, Kind
from windowshop.table import BadRow, Flawed, Rejected, Row, Table, Warned, cell, excerpt, flaw_of

MAX_WORDS = 10_000  # distinct words for kinds that are remembered
MAX_COLUMNS = 1_000


class Accepted(NamedTuple):
    """An event and its place: among events of equal or no time, `row` decides the order."""

    row: int
    event: Event
    line: int


Outcome = Accepted | Rejected | Warned
Read = Callable[[Any], Any]

_READERS: ReadOnly[str, Read] = {
    "user_id": cells.ident,
    "anonymous_id": cells.ident,
    "item_id": cells.ident,
    "query": cells.text,
    "value": amounts.number,
    "quantity": amounts.number,
    "currency": cells.first_text,
    "position": amounts.whole,
    "event_id": cells.ident,
    "request_id": cells.ident,
    "item_ids": lambda cell: (
        [cells.ident(part) for part in cell] if isinstance(cell, list) else [cells.ident(cell)]
    ),
}

_RATINGS = frozenset(("rating", "评分", "打分", "星级", "stars"))


def read_events(table: Table, mapping: Mapping, content_hash: str) -> Iterator[Outcome]:
    """Every row's outcome, in order: rows = Accepted + Rejected.

    An event without an id gets `<content_hash>-<row>`, so that the same file read again brings
    nothing new. Without an order column `row` is the row's number in the file (from 1).

    Raises InvalidInput (before the first outcome) where no column holds users, items or kinds, or
    the mapping names a column that is not there.
    """
    reader = _Reader(table, mapping, content_hash)
    yield from reader.notes
    for number, (line, row) in enumerate(table, 1):
        yield reader.outcome(number, line, row)


class _Reader:
    """The plan of one file, made once, and what one row comes to under it."""

    def __init__(self, table: Table, mapping: Mapping, content_hash: str) -> None:
        self._mapping = mapping
        self._headed = table.headed
        self._hash = content_hash
        self._zone = mapping.options.timezone
        self._plan = plan(table.columns, table.headed, mapping, EVENT_NAMES, "context")
        self._kinds: dict[str, Kind | None] = dict(mapping.kinds)
        order = mapping.options.order
        self._order = None if order is None else find(order, table.columns, table.headed)
        if order is not None and self._order is None:
            raise InvalidInput(
                f"[options] order names {order!r}, which the file does not have. "
                f"It has: {listed(table.columns)}"
            )
        self._constants = self._fixed()
        _check(self._plan.fields, table, self._constants)
        if "kind" not in self._plan.fields:
            self._constants.setdefault("kind", "rate")
        self._compile()
        self.notes = [Warned(0, "mapping", note) for note in self._plan.notes]
        if table.headed and self._plan.rest:
            unused = (
                f"not used: {listed(self._plan.rest)} (to keep one: [columns] context.NAME = ...)"
            )
            self.notes.append(Warned(0, "unused_columns", unused))

    def _compile(self) -> None:
        fields = self._plan.fields
        self._kind = fields.get("kind")
        self._time = fields.get("timestamp")
        self._price = fields.get("price")
        self._context = fields.get("context")
        self._fields = [
            (ours, column, self._split(ours, column))
            for ours, column in fields.items()
            if ours in _READERS
        ]
        self._known = {*fields.values(), *self._plan.nested.values(), *self._plan.rest}

    def _split(self, ours: str, column: str) -> Read:
        read = _READERS[ours]
        separator = self._mapping.lists.get(ours, self._mapping.lists.get(column))
        if separator is None:
            return read
        return partial(_split_and_read, separator, read)

    def _fixed(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for ours, value in self._mapping.constants.items():
            name = ours.removeprefix("context.")
            try:
                if name != ours:
                    made.setdefault("context", {})[name] = cells.typed(value)
                elif ours == "timestamp":
                    made[ours] = cells.instant(value, self._zone)
                elif ours == "price":
                    made[ours] = amounts.price(value)[0]
                elif ours == "kind":
                    made[ours] = value
                elif ours in _READERS:
                    made[ours] = _READERS[ours](value)
            except ValueError as error:
                raise InvalidInput(f"the mapping's [constants] {ours}: {error}") from None
        return made

    def _extend(self, row: Row) -> None:
        """JSON: keys that the first rows did not have."""
        if len(self._known) > MAX_COLUMNS:
            return
        new = [key for key in row if key not in self._known]
        recognise(new, self._mapping, EVENT_NAMES, self._plan.fields, set(self._known))
        self._plan.rest += new
        self._compile()

    def outcome(self, number: int, line: int, row: Row | BadRow) -> Accepted | Rejected:
        if isinstance(row, BadRow):
            return Rejected(line, row.code, row.reason, row.excerpt)
        try:
            if not self._headed and not self._known.issuperset(row):
                self._extend(row)
            place = number if self._order is None else self._placed(cell(row, self._order))
            return Accepted(place, self._event(number, row), line)
        except Flawed as error:
            flaw = error
        except ValidationError as error:
            flaw = flaw_of(error)
        return Rejected(line, flaw.code, flaw.reason, excerpt(row))

    def _placed(self, value: Any) -> int:
        if value is None:
            raise Flawed("bad_order", f"no value in the order column {self._order!r}")
        try:
            return amounts.whole(value)
        except ValueError as error:
            raise Flawed("bad_order", f"{self._order}: {error}") from None

    def _event(self, number: int, row: Row) -> Event:
        draft = dict(self._constants)
        word = cell(row, self._kind)
        if word is not None:
            draft["kind"] = self._kind_of(word)
        for ours, column, read in self._fields:
            value = cell(row, column)
            if value is None:
                continue
            try:
                draft[ours] = read(value)
            except ValueError as error:
                raise Flawed("bad_value", f"{ours}: {error}") from None
        self._read_time_and_price(row, draft)
        if self._context is not None or self._plan.nested:
            self._read_context(row, draft)
        if "user_id" in draft:
            draft.pop("anonymous_id", None)
        elif "anonymous_id" not in draft:
            raise Flawed("missing_user", "no user in this row")
        if "kind" not in draft:
            raise Flawed("missing_kind", "no kind of event in this row")
        if "item_id" not in draft and draft["kind"] not in NEEDS_NO_ITEM:
            raise Flawed(
                "missing_id", f"{draft['kind']} needs an item, and there is none in this row"
            )
        if "event_id" not in draft:
            draft["event_id"] = f"{self._hash}-{number}"
        return Event.model_validate(draft)

    def _read_time_and_price(self, row: Row, draft: dict[str, Any]) -> None:
        time = cell(row, self._time)
        if time is not None:
            try:
                draft["timestamp"] = cells.instant(time, self._zone)
            except ValueError as error:
                raise Flawed("bad_time", f"timestamp: {error}") from None
        price = cell(row, self._price)
        if price is not None:
            try:
                draft["price"], currency = amounts.price(price)
            except ValueError as error:
                raise Flawed("bad_price", f"price: {error}") from None
            if currency is not None:
                draft.setdefault("currency", currency)

    def _read_context(self, row: Row, draft: dict[str, Any]) -> None:
        made = dict(draft.get("context", {}))
        given = cell(row, self._context)
        if isinstance(given, dict):
            made.update(given)
        elif given is not None:
            raise Flawed("bad_value", "context: not an object")
        for name, column in self._plan.nested.items():
            value = cell(row, column)
            if value is not None:
                try:
                    made[name] = cells.typed(value)
                except ValueError as error:
                    raise Flawed("bad_value", f"context {name}: {error}") from None
        if made:
            draft["context"] = made

    def _kind_of(self, value: Any) -> Kind:
        word = value if type(value) is str else str(value)
        kind = self._kinds.get(word)
        if kind is None:
            if word not in self._kinds:
                kind = self._understood(word)
                if len(self._kinds) < MAX_WORDS:
                    self._kinds[word] = kind
            if kind is None:
                raise Flawed(
                    "unknown_kind",
                    f"{word[:60]!r} is no kind of event: say under [kinds] in a mapping which of "
                    f"these it is: {', '.join(KINDS)}",
                )
        return kind

    def _understood(self, word: str) -> Kind | None:
        tidy = word.strip()
        mine = self._mapping.kinds
        fitting = (kind for theirs, kind in mine.items() if theirs.casefold() == tidy.casefold())
        return next(fitting, None) or USUAL_KINDS.get(normal(tidy))


def _split_and_read(separator: str, read: Read, cell: Any) -> Any:
    if type(cell) is str:
        cell = [part for piece in cell.split(separator) if (part := piece.strip())]
    return read(cell)


def _check(fields: ReadOnly[str, str], table: Table, constants: ReadOnly[str, Any]) -> None:
    has = f"It has: {listed(table.columns)}"
    there = fields.keys() | constants.keys()

    def missing(what: str, tried: str, field: str) -> InvalidInput:
        return InvalidInput(
            f"no column looks like {what} (tried {TRIED[tried]}). {has}. "
            f'Name it in a mapping, [columns] {field} = "...", or say [options] header = false'
        )

    if not {"user_id", "anonymous_id"} & there:
        raise missing("a user", "user_id", "user_id")
    if not {"item_id", "item_ids", "query"} & there:
        raise missing("an item's id", "event_item", "item_id")
    if "kind" not in there and normal(fields.get("value", "")) not in _RATINGS:
        raise InvalidInput(
            f"no column says what kind of event a row is (tried {TRIED['kind']}). {has}. "
            'Name it in a mapping, [columns] kind = "...", or say what all rows are: '
            '[constants] kind = "purchase"'
        )
