"""`tune`: the shop's own weights, half-lives and sizes, from its own log."""

from typing import Annotated, Any

import typer

from windowshop.cli import screen
from windowshop.cli.command import App, AsJson, Debug, Home, StoreName, known_home, replaying
from windowshop.cli.models import Seed, Until, time_of


def tune(
    queries: Annotated[
        int | None,
        typer.Option("--queries", metavar="N", min=1, help="Requests of the past to choose by."),
    ] = None,
    trials: Annotated[
        int, typer.Option("--trials", metavar="N", min=1, help="Blends that are tried.")
    ] = 500,
    until: Until = None,
    seed: Seed = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what was found, and write nothing.")
    ] = False,
    home: Home = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Search for weights, half-lives and sizes that suit this shop, and write them to its settings.

    They go into the table [blend] of HOME/windowshop.toml where the newest requests are answered
    better with them, and hold from the next start.
    """
    from windowshop.local import wall_ms
    from windowshop.train import tuning

    tuning.check()
    from windowshop.train.tuning.home import QUERIES, Order, tune_home

    end = None if until is None else time_of(until)
    at = known_home(home, store)
    count = QUERIES if queries is None else queries
    order = Order(at, store, count, trials, seed, wall_ms(), end, dry=dry_run)
    with replaying(at, store) as (original, scratch):
        found = tune_home(order, scratch, screen.progress)
        ranked = any(original.shelf.current(store, f"ranker-{task}") for task in ("all", "new"))
    if as_json:
        screen.emit(found)
    else:
        _show(found)
        if found["written"] and ranked:
            screen.tell("a ranker serves, which learned from other candidates: train it again")


def _show(found: dict[str, Any]) -> None:
    from windowshop.train.tuning.config import shown

    judged = found["judged"]
    for task in ("all", "new"):
        if task in judged:
            one = judged[task]
            screen.tell(
                f"{task}: NDCG@10 {one['tuned']:.4f} after {one['serves']:.4f} on the newest "
                f"{one['queries']:,} requests, {one['ratio']:.3f} times "
                f"(95% interval {one['low']:.3f} to {one['high']:.3f})"
            )
    screen.tell("\n" + (shown(found["config"], ()) or "all as by default\n"))
    if found["written"]:
        screen.tell(f"written to {found['file']}: it holds from the next start")
    else:
        screen.tell(f"not written: {found['why']}; {found['file']} is as it was")


def add_to(app: App) -> None:
    app.command()(tune)
