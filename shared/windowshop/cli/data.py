"""`ingest` and `record` as commands."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from windowshop.cli import screen
from windowshop.cli.command import (
    UNUSABLE,
    App,
    AsJson,
    Debug,
    Home,
    StoreName,
    rare_collections,
    shop_at,
)

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="CSV, TSV, JSON, JSON Lines, Parquet; plain, .gz or .zip"),
]
MappingFile = Annotated[
    Path | None,
    typer.Option("--mapping", metavar="FILE", help="TOML that says which column is what."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 2 if any row was rejected.")]


def ingest(
    files: Files,
    mapping: MappingFile = None,
    full: Annotated[bool, typer.Option("--full", help="Remove items that no file names.")] = False,
    strict: Strict = False,
    home: Home = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Items from files into the catalogue; they are searchable when it ends."""
    from windowshop.cli import ingest as ingesting
    from windowshop.cli import sources

    read = sources.mapping_of(mapping)
    opened = sources.item_sources(files, read)
    with shop_at(home, store, create=True) as place, rare_collections():
        counts = ingesting.ingest(place, opened, read, full, _now_ms())
    _finish(counts, as_json, strict)


def record(
    files: Files,
    mapping: MappingFile = None,
    strict: Strict = False,
    home: Home = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Events from files into the log and the users' profiles."""
    from windowshop.cli import record as recording
    from windowshop.cli import sources

    opened = sources.event_sources(files, sources.mapping_of(mapping))
    with shop_at(home, store, create=True) as place, rare_collections():
        counts = recording.record(place, opened, _now_ms())
    _finish(counts, as_json, strict)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _finish(counts: Mapping[str, Any], as_json: bool, strict: bool) -> None:
    if as_json:
        screen.emit(counts)
    else:
        words = [
            f"{value:,} {name.replace('_', ' ')}"
            for name, value in counts.items()
            if type(value) is int and (value or name == "read")
        ]
        screen.tell(f"{', '.join(words)} in {counts['seconds']:.1f} s")
        screen.say(f"report: {counts['report']}")
    if counts["rejected"]:
        screen.warn(f"{counts['rejected']:,} rows were rejected: {counts['report']} says why")
        if strict:
            raise typer.Exit(UNUSABLE)


def add_to(app: App) -> None:
    for command in (ingest, record):
        app.command()(command)
