"""One row of a catalogue file under the plan of its file."""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as ReadOnly
from functools import partial
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from windowshop import amounts, cells
from windowshop.columns import DELETED, Mapping, Plan, listed, plan, recognise
from windowshop.errors import InvalidInput
from windowshop.headings import ITEM_NAMES, TRIED
from windowshop.records import MAX_ID, Item
from windowshop.table import BadRow, Flawed, Rejected, Row, Table, Warned, cell, excerpt, flaw_of

MAX_ATTRIBUTES = 100
MAX_COLUMNS = 1_000
_FORBIDDEN = str.maketrans(dict.fromkeys('."[]$', "_"))


class Accepted(NamedTuple):
    """A row that is an item."""

    line: int
    item: Item


class Removed(NamedTuple):
    """A row whose `deleted` column says that the item is gone."""

    line: int
    item_id: str


Read = Callable[[Any], Any]

_READERS: ReadOnly[str, Read] = {
    "title": cells.text,
    "description": cells.text,
    "category": cells.path,
    "brand": cells.first_text,
    "currency": cells.first_text,
    "image_url": cells.first_text,
    "url": cells.first_text,
    "group_id": cells.ident,
    "available": cells.on_sale,
}
_MAY_BE_DROPPED = frozenset({"available", "created_at"})
_TEXTS = ("title", "description", "category")


class Reader:
    """The plan of one file, made once, and what one row comes to under it."""

    def __init__(self, table: Table, mapping: Mapping) -> None:
        self._mapping = mapping
        self._zone = mapping.options.timezone
        self._headed = table.headed
        self._plan = plan(table.columns, table.headed, mapping, ITEM_NAMES, "attributes")
        self._inners: dict[str, tuple[str, Read]] = {}
        self._warned: set[str] = set()
        self._pending = [Warned(0, "mapping", note) for note in self._plan.notes]
        self._line = 0
        _check(self._plan, table, mapping)
        self._constants = self._fixed()
        self._compile()

    def notes(self) -> Iterator[Warned]:
        """Warnings since the last call."""
        if self._pending:
            yield from self._pending
            self._pending.clear()

    def _compile(self) -> None:
        fields = self._plan.fields
        self._id = fields.get("item_id", "")
        self._deleted = fields.get(DELETED)
        self._price = fields.get("price")
        self._nested = fields.get("attributes")
        self._fields: list[tuple[str, str, Read]] = []
        for ours, column in fields.items():
            if ours in _READERS:
                self._fields.append((ours, column, self._split(_READERS[ours], ours, column)))
            elif ours == "created_at":
                self._fields.append((ours, column, partial(cells.instant, zone=self._zone)))
        self._attributes = [
            (name, column, self._typed(name, column)) for name, column in self._plan.nested.items()
        ]
        used = {name for name, _, _ in self._attributes}
        first = sorted(self._plan.rest, key=lambda column: column not in self._mapping.filterable)
        for column in first:
            self._add_attribute(column, used)
        self._known = {*fields.values(), *self._plan.nested.values(), *self._plan.rest}

    def _add_attribute(self, column: str, used: set[str]) -> None:
        if len(used) >= MAX_ATTRIBUTES:
            self._once(
                column,
                f"column {column!r} is left out: an item has at most {MAX_ATTRIBUTES} attributes",
            )
            return
        name = _attribute_name(column)
        if name and name not in used:
            used.add(name)
            self._attributes.append((name, column, self._typed(name, column)))
        else:
            self._once(column, f"column {column!r} is left out: its name cannot be an attribute's")

    def _inner(self, key: str) -> tuple[str, Read]:
        """The name and the reader of a nested attribute."""
        found = self._inners.get(key)
        if found is None:
            name = _attribute_name(key)
            found = name, self._typed(name, name)
            if len(self._inners) < MAX_COLUMNS:
                self._inners[key] = found
        return found

    def _split(self, read: Read, *names: str) -> Read:
        lists = self._mapping.lists
        separator = next((lists[name] for name in names if name in lists), None)
        if separator is None:
            return read

        def split(cell: Any) -> Any:
            if type(cell) is str:
                cell = [part for piece in cell.split(separator) if (part := piece.strip())]
            return read(cell)

        return split

    def _typed(self, name: str, column: str) -> Read:
        kind = self._mapping.filterable.get(name)
        read = partial(cells.as_declared, kind, zone=self._zone) if kind else cells.typed
        return self._split(read, name, f"attributes.{name}", column)

    def _fixed(self) -> dict[str, Any]:
        """The mapping's constants, read as if they stood in every row."""
        made: dict[str, Any] = {}
        for ours, value in self._mapping.constants.items():
            name = ours.removeprefix("attributes.")
            try:
                if name != ours:
                    made.setdefault("attributes", {})[name] = self._typed(name, "")(value)
                elif ours == "price":
                    made[ours] = amounts.price(value)[0]
                elif ours == "created_at":
                    made[ours] = cells.instant(value, self._zone)
                elif ours == DELETED:
                    made[ours] = cells.yes(value)
                elif ours in _READERS:
                    made[ours] = self._split(_READERS[ours], ours)(value)
            except ValueError as error:
                raise InvalidInput(f"the mapping's [constants] {ours}: {error}") from None
        return made

    def _extend(self, row: Row) -> None:
        """JSON: keys that the first rows did not have."""
        if len(self._known) > MAX_COLUMNS:
            return
        new = [key for key in row if key not in self._known]
        taken = set(self._known)
        recognise(new, self._mapping, ITEM_NAMES, self._plan.fields, taken)
        self._plan.rest += [key for key in new if key not in taken]
        self._compile()

    def id_of(self, row: Row) -> str | None:
        """The id of a row, or None where it has none."""
        value = cell(row, self._id)
        try:
            return None if value is None else cells.ident(value)
        except ValueError:
            return None

    def outcome(self, line: int, row: Row | BadRow) -> Accepted | Removed | Rejected:
        if isinstance(row, BadRow):
            return Rejected(line, row.code, row.reason, row.excerpt)
        self._line = line
        try:
            if not self._headed and not self._known.issuperset(row):
                self._extend(row)
            return self._item(line, row)
        except Flawed as error:
            flaw = error
        except ValidationError as error:
            flaw = flaw_of(error)
        return Rejected(line, flaw.code, flaw.reason, excerpt(row), self.id_of(row))

    def _item(self, line: int, row: Row) -> Accepted | Removed:
        item_id = self.id_of(row)
        if item_id is None:
            raise Flawed("missing_id", f"no id in column {self._id!r}")
        draft = dict(self._constants)
        if self._gone(row, draft):
            if len(item_id) > MAX_ID or not item_id.isprintable():
                raise Flawed("bad_value", f"item_id: at most {MAX_ID} printable characters")
            return Removed(line, item_id)
        draft["item_id"] = item_id
        for ours, column, read in self._fields:
            value = cell(row, column)
            if value is None:
                continue
            try:
                draft[ours] = read(value)
            except ValueError as error:
                if ours not in _MAY_BE_DROPPED:
                    raise Flawed("bad_value", f"{ours}: {error}") from None
                self._pending.append(Warned(line, f"bad_{ours}", f"{ours} left out: {error}"))
        self._read_price(cell(row, self._price), draft)
        attributes = self._read_attributes(row)
        if attributes:
            draft["attributes"] = {**draft.get("attributes", {}), **attributes}
        return Accepted(line, Item.model_validate(draft))

    def _gone(self, row: Row, draft: dict[str, Any]) -> bool:
        gone = draft.pop(DELETED, False)
        value = cell(row, self._deleted)
        if value is None:
            return bool(gone)
        try:
            return str(value).casefold() in ("deleted", "delete") or cells.yes(value)
        except ValueError as error:
            raise Flawed("bad_value", f"deleted: {error}") from None

    def _read_price(self, value: Any, draft: dict[str, Any]) -> None:
        if value is None:
            return
        try:
            draft["price"], currency = amounts.price(value)
        except ValueError as error:
            raise Flawed("bad_price", f"price: {error}") from None
        if currency is not None:
            draft.setdefault("currency", currency)

    def _read_attributes(self, row: Row) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, column, read in self._attributes:
            value = cell(row, column)
            if value is not None:
                self._take(made, name, value, read)
        nested = cell(row, self._nested)
        if nested is not None:
            inner = _object(nested)
            for key in inner:
                value = cell(inner, key)
                name, read = self._inner(key)
                if value is not None and name:
                    self._take(made, name, value, read)
        return made

    def _take(self, made: dict[str, Any], name: str, raw: Any, read: Read) -> None:
        """An attribute that cannot be kept is left out and told once: the row is good without."""
        try:
            value = read(raw)
            if isinstance(value, str) and len(value) > 2000:
                raise ValueError("is longer than 2,000 characters")
            if isinstance(value, list) and (len(value) > 100 or max(map(len, value)) > 500):
                raise ValueError("has more than 100 parts, or one of more than 500 characters")
        except ValueError as error:
            self._once(name, f"attribute {name!r} left out, here and wherever it is so: {error}")
            return
        if value is not None:
            made[name] = value

    def _once(self, name: str, reason: str) -> None:
        if name not in self._warned and len(self._warned) < 1000:
            self._warned.add(name)
            self._pending.append(Warned(self._line, "attribute", reason))


def _attribute_name(column: str) -> str:
    return "".join(c for c in column.translate(_FORBIDDEN)[:64] if c.isprintable()).strip()


def _object(value: Any) -> Row:
    """Nested attributes: an object, or its JSON in a cell; any other text is one attribute."""
    if isinstance(value, str):
        if not value.startswith("{"):
            return {"attributes": value}
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise Flawed("bad_value", "attributes: not valid JSON") from None
    if not isinstance(value, dict):
        raise Flawed("bad_value", "attributes: not an object")
    return value


def _check(made: Plan, table: Table, mapping: Mapping) -> None:
    has = f"It has: {listed(table.columns)}" if table.columns else "Its rows have no names."
    if "item_id" not in made.fields:
        raise InvalidInput(
            f"no column looks like an item's id (tried {TRIED['item_id']}). {has}. "
            'Name it in a mapping, [columns] item_id = "...", or say [options] header = false'
        )
    if table.headed and not (
        any(text in made.fields or text in mapping.constants for text in _TEXTS)
        or DELETED in made.fields
        or DELETED in mapping.constants
    ):
        raise InvalidInput(
            f"no column looks like a title, a description or a category (tried {TRIED['title']}). "
            f'{has}. Name one in a mapping, [columns] title = "..."'
        )
