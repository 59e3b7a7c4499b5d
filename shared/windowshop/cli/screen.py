"""What a person or a script sees: results on stdout, prose on stderr, one line an error."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

PIPED_WIDTH = 240
EVERY_S = 10.0
"""How often a long step says something where stderr is no terminal."""

Advance = Callable[[int], None]


def prose() -> Console:
    """stderr, looked up at each use so that tests and redirections see it."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def result() -> Console:
    """stdout; as wide as it takes where it is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def tell(line: str) -> None:
    """One line of the result, for people."""
    print(line, flush=True)


def say(line: str) -> None:
    """One line for people, on stderr."""
    prose().print(line, markup=False)


def warn(line: str) -> None:
    prose().print(line, style="yellow", markup=False)


def complain(line: str) -> None:
    """The one red line of an error."""
    prose().print(f"error: {' '.join(line.split())}", style="bold red", markup=False)


def emit(value: Mapping[str, Any]) -> None:
    """The one JSON object on stdout."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(), flush=True)


@contextmanager
def progress(label: str, total: int | None = None, *, steps: bool = True) -> Iterator[Advance]:
    """A bar on a terminal, else a plain line now and then; yields what to call with each advance.

    `steps`: what advances is worth counting (items), not only measuring (bytes).
    """
    console = prose()
    if not console.is_terminal:
        with _lines(label, total, steps) as advance:
            yield advance
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn() if steps else TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(label, total=total)
        yield lambda count: bars.advance(task, count)
        if total is None:
            bars.update(task, total=bars.tasks[task].completed)


@contextmanager
def _lines(label: str, total: int | None, steps: bool) -> Iterator[Advance]:
    started = said = time.monotonic()
    done = 0

    def so_far() -> str:
        if steps:
            return f"{done:,}" + (f" of {total:,}" if total else "")
        return f"{100 * done // max(total or 1, 1)}%"

    def advance(count: int) -> None:
        nonlocal done, said
        done += count
        now = time.monotonic()
        if now - said >= EVERY_S:
            said = now
            say(f"{label}: {so_far()}")

    yield advance
    say(f"{label}: {so_far()} in {time.monotonic() - started:.1f} s")


def plain(text: str) -> Text:
    """Text from outside: no markup in it counts, no control character reaches the terminal."""
    return Text("".join(c if c.isprintable() else " " for c in text))
