"""`evaluate`: how good the lists would have been."""

import shlex
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from windowshop.cli import screen
from windowshop.cli.command import (
    App,
    AsJson,
    Debug,
    Deployment,
    Home,
    StoreName,
    replaying,
)
from windowshop.errors import InvalidInput
from windowshop.settings import home_of


class ProtocolName(StrEnum):
    """As the contract names them."""

    time = "time"
    leave_last_out = "leave-last-out"


def evaluate(
    ctx: typer.Context,
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
    ablations: Annotated[
        bool,
        typer.Option(
            "--ablations", help="Also ask without each signal, and with late profiles and counts."
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="DIR", help="Also write a page with plots, with --ablations."
        ),
    ] = None,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Replay what happened, and compare the lists with what was taken and with older methods.

    Without files it replays a copy of the home's own log, which it never writes to.
    """
    from windowshop.cli import sources
    from windowshop.evaluate import contest, evaluation, folder, homes
    from windowshop.scratch import scratch_folder

    if (events is None) != (items is None):
        raise InvalidInput("--events and --items go together: name both, or neither")
    if events is None and mapping is not None:
        raise InvalidInput("--mapping says how files are read: name them with --events and --items")
    names = contest.named(baselines)
    if report is not None:
        folder.prepare(report)
    with ExitStack() as held:
        if events is not None and items is not None:
            read = sources.mapping_of(mapping)
            scratch = held.enter_context(scratch_folder())
            subject = homes.of_files(home_of(home), events, items, read, scratch, bar, screen.say)
        else:
            original, scratch = held.enter_context(replaying(home, store, deployment))
            subject = homes.of_original(original, store, scratch, bar)
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
                ablate=ablations or report is not None,
            )
        finally:
            subject.shop.close()
    if report is not None:
        page = folder.put(report, found, command_of(ctx), time.time_ns() // 1_000_000)
        found["report"] = str(page)
    if as_json:
        screen.emit(found)
    else:
        _show(found)


def command_of(ctx: typer.Context) -> str:
    """The command line that says the same again."""
    words = ["windowshop", ctx.info_name or "evaluate"]
    for option in ctx.command.params:
        value = ctx.params.get(option.name or "")
        if value is None or value == option.default or not option.opts[0].startswith("--"):
            continue
        words.append(option.opts[0])
        words += [] if value is True else [str(getattr(value, "value", value))]
    return shlex.join(words)


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
        if "studied" in found:
            _show_studied(out, found, task)
    for line in report.remarks(found):
        out.print(line, markup=False)
    if "report" in found:
        out.print(f"{found['report']}: the same with plots", markup=False)


def _show_studied(out: Console, found: dict[str, Any], task: str) -> None:
    from windowshop.evaluate import ablations

    heading, rows = ablations.table(found, task)
    table = Table(*heading, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def add_to(app: App) -> None:
    app.command()(evaluate)
