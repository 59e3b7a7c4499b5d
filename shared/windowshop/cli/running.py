"""`serve`, `demo` and `doctor`: a shop that runs, and what to do where it does not."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from windowshop.cli import screen
from windowshop.cli.command import (
    FAILED,
    App,
    AsJson,
    Debug,
    Deployment,
    Home,
    deployed,
    rare_collections,
)
from windowshop.settings import home_of, one_core_a_product

Host = Annotated[
    str, typer.Option("--host", help="Any other than this machine's own demands keys.")
]
AllStores = Annotated[
    str | None,
    typer.Option("--store", hidden=True, help="Taken and not needed: all stores are served."),
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    home: Home = None,
    store: AllStores = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Answer requests until interrupted; the API, its description at /docs, and the storefront."""
    one_core_a_product()
    from windowshop import serve as server

    at = home_of(home)
    server.serve(at, host, port, lambda url: _announce(url, at, as_json))


def _announce(url: str, home: Path, as_json: bool) -> None:
    screen.say(f"serving {home}; Ctrl-C stops it")
    if as_json:
        screen.emit({"url": url})
    else:
        print(url, flush=True)


def demo(
    ctx: typer.Context,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    home: Home = None,
    store: AllStores = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """A real supermarket's year, loaded and served: 92,331 products, 1.5 million purchases."""
    one_core_a_product()
    from windowshop import demo as demonstration
    from windowshop import serve as server
    from windowshop import serving

    at = home_of(home)
    already = serving.find(at)
    if already is not None:
        demonstration.check(at)
        _announce(already.url, at, as_json)
        return
    server.bind(host, port).close()  # a taken port is said now, not after minutes of loading
    data = demonstration.data_folder()
    with rare_collections():
        had_to_load = demonstration.prepare(at, data, screen.progress, screen.say)
    if had_to_load and ctx.obj is not None:
        ctx.obj()
    server.serve(at, host, port, lambda url: _announce(url, at, as_json))


def start_again() -> NoReturn:
    """The same command in the same process, afresh: loading leaves hundreds of megabytes behind."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def doctor(
    home: Home = None,
    deployment: Deployment = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="NAME", help="This one alone; else all.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What is installed, what this home holds, what is wrong and how to mend it."""
    from windowshop import doctor as examination

    if deployment is not None:
        with deployed(deployment, home) as (aws, shop):
            found = examination.examine_deployment(deployment, aws, shop, store)
    else:
        found = examination.examine(home_of(home), store)
    if as_json:
        screen.emit(found)
    else:
        _show(found)
    if not found["ok"]:
        raise typer.Exit(FAILED)


def _show(found: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    colours = {"ok": "green", "warning": "yellow", "broken": "bold red"}
    for check in found["checks"]:
        said = screen.plain(f"{check['name']}: {check['detail']}")
        if check["mend"]:
            said.append("\nto mend it: ", style="dim").append_text(screen.plain(check["mend"]))
        table.add_row(Text(check["state"], style=colours[check["state"]]), said)
    screen.result().print(table)


def add_to(app: App) -> None:
    for command in (serve, demo, doctor):
        app.command()(command)
