"""`evaluate`: how good the lists would have been."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from windowshop.cli import screen
from windowshop.cli.command import App, AsJson, Debug, Home, StoreName, idle_home
from windowshop.errors import InvalidInput
from windowshop.settings import home_of


class ProtocolName(StrEnum):
    """As the contract names them."""

    time = "time"
    leave_last_out = "leave-last-out"


def evaluate(
    events: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="Replay this file's events.")
    ] = None,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="The catalogue to go with it.")
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", metavar="FILE", help="TOML that says which column is what."),
    ] = None,
    protocol: Annotated[
        ProtocolName, typer.Option("--protocol", help="What is hidden and asked for.")
    ] = ProtocolName.time,
    queries: Annotated[
        int | None, typer.Option("--queries", metavar="N", min=1, help="At most so many.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of every draw.")] = 1,
    baselines: Annotated[
        str, typer.Option("--baselines", metavar="NAMES", help="all, none, or names with commas.")
    ] = "all",
    train: Annotated[
        bool, typer.Option("--train", help="Also learn from what came before, and ask again.")
    ] = False,
    validation: Annotated[
        bool, typer.Option("--validation", help="Replay what settings may be chosen by instead.")
    ] = False,
    home: Home = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Replay what happened, and compare the lists with what was taken and with older methods.

    Without files it replays a copy of the home's own log, which it never writes to.
    """
    from windowshop.cli import sources
    from windowshop.evaluate import contest, evaluation, homes

    if (events is None) != (items is None):
        raise InvalidInput("--events and --items go together: name both, or neither")
    if events is None and mapping is not None:
        raise InvalidInput("--mapping says how files are read: name them with --events and --items")
    names = contest.named(baselines)
    with tempfile.TemporaryDirectory(prefix="windowshop-") as folder:
        scratch = Path(folder)
        if events is not None and items is not None:
            read = sources.mapping_of(mapping)
            subject = homes.of_files(home_of(home), events, items, read, scratch, bar, screen.say)
        else:
            subject = homes.of_home(idle_home(home), store, scratch, bar)
        try:
            found = evaluation.evaluate(
                subject,
                protocol.value,
                queries,
                seed,
                names,
                bar,
                validate=validation,
                learn=learning() if train else None,
            )
        finally:
            subject.shop.close()
    if as_json:
        screen.emit(found)
    else:
        _show(found)


def learning() -> Any:
    """What learns rankers. Raises Misconfigured without the extra."""
    from windowshop import train

    train.check()
    return train.learn


def bar(label: str, total: int | None = None) -> AbstractContextManager[Callable[[int], None]]:
    return screen.progress(label, total)


def _show(found: dict[str, Any]) -> None:
    from windowshop.evaluate import report

    out = screen.result()
    out.print(
        f"{found['dataset']}, protocol {found['protocol']}, {found['queries']:,} queries, "
        f"seed {found['seed']}",
        markup=False,
    )
    for task in ("all", "new"):
        if task not in found["results"][report.PRODUCT]:
            continue
        heading, rows = report.table(found, task)
        count = found["results"][report.PRODUCT][task]["n"]
        table = Table(
            *heading, box=None, pad_edge=False, title=f"{task} ({count:,})", title_justify="left"
        )
        for row in rows:
            table.add_row(*map(screen.plain, row))
        out.print(table)
        for line in report.verdicts(found, task):
            out.print(line, markup=False)


def add_to(app: App) -> None:
    app.command()(evaluate)
