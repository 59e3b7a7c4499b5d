"""The command line: `windowshop COMMAND ...` (docs/cli.md).

Results go to stdout, progress and prose to stderr; exit 0 when the job was done, 2 for wrong usage
or unusable input, 1 for a failure at work. Where `serve` runs on a home, commands act through it.
"""

from typing import Annotated

import typer

from windowshop import __version__
from windowshop.cli import data, evaluate, models, running, shoppers, tune, upkeep
from windowshop.cli.command import App

app = App(help="Real-time product recommendations that a shop runs itself.")
data.add_to(app)
evaluate.add_to(app)
models.add_to(app)
running.add_to(app)
shoppers.add_to(app)
tune.add_to(app)
upkeep.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"windowshop {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The console script."""
    app(obj=running.start_again)
