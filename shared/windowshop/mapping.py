"""The mapping file: a person's word on how to read their files, as TOML (docs/files.md)."""

import codecs
import difflib
import re
import tomllib
import zoneinfo
from collections.abc import Mapping as ReadOnly
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, get_args

from windowshop.columns import KNOWN, FieldKind, Mapping, Options, nearest
from windowshop.errors import InvalidInput
from windowshop.headings import EVENT_NAMES, ITEM_NAMES, normal
from windowshop.records import KINDS, Kind

__all__ = ["Mapping", "Options", "decode", "load", "parse"]

MAX_BYTES = 1 << 20
_TABLES = ("columns", "constants", "lists", "options", "kinds", "filterable")
_OPTIONS = ("delimiter", "encoding", "header", "timezone", "order")
_FIELD_KINDS: tuple[FieldKind, ...] = get_args(FieldKind)
_NESTED = ("attributes", "context")
_BAD_NAME = re.compile(r'[."\[\]$]')


def load(path: Path) -> Mapping:
    """Read and check a mapping file. Raises InvalidInput that names the file and the key."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"cannot read the mapping {path}: {error.strerror or error}") from None
    return decode(raw, str(path))


def decode(raw: bytes, name: str) -> Mapping:
    """The mapping in a file's bytes. Raises InvalidInput that names the file and the key."""
    try:
        if len(raw) > MAX_BYTES:
            raise InvalidInput("a mapping has at most 1 MiB")
        return parse(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InvalidInput(f"mapping {name}: it must be written in UTF-8") from None
    except InvalidInput as error:
        raise InvalidInput(f"mapping {name}: {error.detail}") from None


def parse(text: str) -> Mapping:
    """The mapping written in `text`. Raises InvalidInput that names the nearest known key."""
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInput(f"not TOML: {error}") from None
    for name, table in tables.items():
        if name not in _TABLES:
            hint = nearest(name, _TABLES) or f": the tables are {', '.join(_TABLES)}"
            raise InvalidInput(f"unknown table [{name}]{hint}")
        if not isinstance(table, dict):
            raise InvalidInput(f"{name} must be a table: write [{name}] on a line of its own")
    filterable = _filterable(_flat(tables, "filterable"))
    lists = _lists(_flat(tables, "lists"))
    declared = {name.removeprefix("attributes.") for name in (*filterable, *lists)}
    return Mapping(
        columns=_columns(_ours(_flat(tables, "columns"), "columns", declared)),
        constants=_constants(_ours(_flat(tables, "constants"), "constants", declared)),
        lists=lists,
        options=_options(tables.get("options", {})),
        kinds=_kinds(tables.get("kinds", {})),
        filterable=filterable,
    )


def _flat(tables: ReadOnly[str, dict[str, Any]], where: str) -> dict[str, Any]:
    """One table; `attributes.colour = ...`, to TOML a table in the table, is one name to us."""
    flat: dict[str, Any] = {}
    for name, value in tables.get(where, {}).items():
        if name in _NESTED and isinstance(value, dict):
            flat.update({f"{name}.{inner}": deep for inner, deep in value.items()})
        else:
            flat[name] = value
    return flat


def _ours(table: ReadOnly[str, Any], where: str, declared: set[str]) -> dict[str, Any]:
    """Keys as fields and attributes: a name that is no field is one, unless it looks a slip."""
    made: dict[str, Any] = {}
    for name, value in table.items():
        head, dot, inner = name.partition(".")
        if name in KNOWN:
            made[name] = value
            continue
        if not (dot and head in _NESTED):
            if name not in declared and (meant := _meant(name)):
                raise InvalidInput(
                    f"[{where}] unknown field {name!r}; did you mean {meant!r}? "
                    f"(For an attribute write attributes.{name})"
                )
            head, inner = "attributes", name
        if not inner or len(inner) > 64 or not inner.isprintable() or _BAD_NAME.search(inner):
            raise InvalidInput(
                f'[{where}] {name[:80]!r}: a name has 1-64 printable characters, none of . " [ ] $'
            )
        made[f"{head}.{inner}"] = value
    return made


def _meant(name: str) -> str | None:
    """The field that `name` is a slip or a usual name of."""
    close = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.75)
    if close:
        return close[0]
    usual = normal(name)
    return next(
        (
            ours
            for names in (ITEM_NAMES, EVENT_NAMES)
            for ours, theirs in names.items()
            if usual in theirs
        ),
        None,
    )


def _names_a_column(theirs: object) -> bool:
    if isinstance(theirs, str):
        return bool(theirs.strip())
    return isinstance(theirs, int) and not isinstance(theirs, bool) and theirs >= 0


def _columns(table: dict[str, Any]) -> dict[str, str | int]:
    for ours, theirs in table.items():
        if not _names_a_column(theirs):
            raise InvalidInput(
                f'[columns] {ours}: write the column\'s name ("Preis") or place (0 is the first)'
            )
    return table


def _constants(table: dict[str, Any]) -> dict[str, Any]:
    for ours, value in table.items():
        if isinstance(value, datetime):
            table[ours] = (
                value.isoformat() if value.tzinfo else value.replace(tzinfo=UTC).isoformat()
            )
        elif not isinstance(value, str | int | float | bool | list):
            raise InvalidInput(
                f"[constants] {ours}: a text, a number, true, false or a list of texts"
            )
    kind = table.get("kind")
    if kind is not None and kind not in KINDS:
        raise InvalidInput(
            f"[constants] kind: {kind!r} is no kind of event{nearest(str(kind), KINDS)}"
        )
    return table


def _lists(table: dict[str, Any]) -> dict[str, str]:
    for name, separator in table.items():
        if not isinstance(separator, str) or not 1 <= len(separator) <= 10:
            raise InvalidInput(f'[lists] {name}: write the separator, 1-10 characters ("|")')
    return table


def _kinds(table: ReadOnly[str, Any]) -> dict[str, Kind]:
    for word, kind in table.items():
        if kind not in KINDS:
            hint = nearest(str(kind), KINDS) or f": the kinds are {', '.join(KINDS)}"
            raise InvalidInput(f"[kinds] {word}: {kind!r} is no kind of event{hint}")
    return dict(table)


def _filterable(table: ReadOnly[str, Any]) -> dict[str, FieldKind]:
    made: dict[str, FieldKind] = {}
    for name, kind in table.items():
        if kind not in _FIELD_KINDS:
            known = ", ".join(_FIELD_KINDS)
            raise InvalidInput(f"[filterable] {name}: {kind!r} is none of {known}")
        made[name.removeprefix("attributes.")] = kind
    if len(made) > 50:
        raise InvalidInput("[filterable] a store declares at most 50 attributes")
    return made


def _options(table: ReadOnly[str, Any]) -> Options:
    for name in table:
        if name not in _OPTIONS:
            hint = nearest(name, _OPTIONS) or f": the options are {', '.join(_OPTIONS)}"
            raise InvalidInput(f"[options] unknown option {name!r}{hint}")
    delimiter, encoding = table.get("delimiter"), table.get("encoding")
    if delimiter is not None and (
        not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n"'
    ):
        raise InvalidInput('[options] delimiter: write one character (";", "\\t" for a tab)')
    if encoding is not None:
        encoding = _encoding(encoding)
    header = table.get("header", True)
    if not isinstance(header, bool):
        raise InvalidInput("[options] header: write true or false")
    order = table.get("order")
    if order is not None and (not _names_a_column(order)):
        raise InvalidInput("[options] order: write the column's name or its place (0 is the first)")
    return Options(delimiter, encoding, header, _zone(table.get("timezone", "UTC")), order)


def _encoding(name: object) -> str:
    try:
        found = codecs.lookup(str(name))
        "".encode(found.name)  # codecs that are no encodings of text (rot13, hex) refuse
    except (LookupError, ValueError, TypeError):
        raise InvalidInput(
            f"[options] encoding: unknown encoding {name!r}; write utf-8, gb18030, cp1252, big5 ..."
        ) from None
    return found.name


def _zone(name: object) -> tzinfo:
    text = str(name)
    if re.fullmatch(r"[+-]\d\d:\d\d", text, re.ASCII):
        try:
            offset = datetime.strptime(text, "%z").tzinfo
        except ValueError:
            offset = None
        if offset is not None:
            return offset
    if text == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = (
            nearest(text, zoneinfo.available_timezones()) or '; write "Europe/Berlin" or "+08:00"'
        )
        raise InvalidInput(f"[options] timezone: unknown time zone {text[:60]!r}{hint}") from None
