"""The table [blend] of HOME/windowshop.toml, written anew; every other byte stays."""

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from windowshop.errors import Misconfigured, Unavailable

TABLE = "blend"
_HEADER = re.compile(r"^\s*\[\[?\s*(\"?)([\w-]+)\1\s*[.\]]")


def written(path: Path, own: Mapping[str, Any], remarks: Sequence[str]) -> str:
    """Puts the table (none where `own` is empty) into a file that need not exist, at once or not at
    all; returns what the table now says. Raises Misconfigured where the file cannot be kept as it
    is, Unavailable where it cannot be written.
    """
    path = path.resolve()  # a link stays one
    try:
        before = path.read_bytes().decode() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}") from None
    table = shown(own, remarks)
    after = with_table(before, table)
    if not _only_differs(before, after, own):
        raise Misconfigured(
            f"{path}: the blend stands in it in a way that is not safe to change: give it a table"
            " of its own, [blend], with further tables such as [blend.for_you]"
        )
    try:
        _replace(path, after)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    return table


def shown(own: Mapping[str, Any], remarks: Sequence[str]) -> str:
    """The table as TOML, with remarks below its heading."""
    if not own:
        return ""
    lines = [f"[{TABLE}]", *(f"# {remark}" for remark in remarks)]
    _add(lines, TABLE, own)
    return "\n".join(lines) + "\n"


def _add(lines: list[str], place: str, table: Mapping[str, Any]) -> None:
    tables = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    lines += [f"{name} = {_number(value)}" for name, value in table.items() if name not in tables]
    for name, inner in tables.items():
        if any(not isinstance(value, Mapping) for value in inner.values()):
            lines += ["", f"[{place}.{name}]"]
        _add(lines, f"{place}.{name}", inner)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))


def with_table(text: str, table: str) -> str:
    """The text of a file with this in the place of its table [blend] and those below it; at the end
    where it has none.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    place: int | None = None
    at = 0
    while at < len(lines):
        if _heading(lines[at]) != TABLE:
            kept.append(lines[at])
            at += 1
            continue
        if place is None:
            place = len(kept)
        at = _end(lines, at + 1)
    made = table.replace("\n", end)
    if place is None:
        gap = "" if not text or not made else end if text.endswith(("\n", "\r")) else end * 2
        return text + gap + made
    return "".join([*kept[:place], made, *kept[place:]])


def _heading(line: str) -> str | None:
    """The first name of a table's heading; None for any other line."""
    found = _HEADER.match(line)
    return found[2] if found else None


def _end(lines: Sequence[str], start: int) -> int:
    """Where the tables end that begin here. Remarks and empty lines below the last entry belong to
    the next heading.
    """
    end, entries = start, False
    for at in range(start, len(lines)):
        line, heading = lines[at].strip(), _heading(lines[at])
        if heading not in (None, TABLE):
            break
        remark = not line or line.startswith("#")
        entries = entries or not remark
        if not remark or (line and end == at and not entries):  # right below the heading: of it
            end = at + 1
    return end


def _only_differs(before: str, after: str, own: Mapping[str, Any]) -> bool:
    """Whether `after` says what `before` said, but for the blend."""
    try:
        old, new = tomllib.loads(before), tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        return False
    old.pop(TABLE, None)
    return bool(new.pop(TABLE, {}) == own and old == new)


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    made = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, made)
        else:
            made.chmod(0o644)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
