"""`train` and `models`: what is learned from a home's own log, and which of it serves."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table

from windowshop.cli import screen
from windowshop.cli.command import (
    App,
    AsJson,
    Debug,
    Deployment,
    Home,
    StoreName,
    original_at,
    replaying,
)
from windowshop.errors import InvalidInput

train = App(help="Learn from what the shop has seen.")
models = App(help="What was learned, and which version of it serves.")

TOWER = "tower"
Kind = Annotated[str, typer.Argument(metavar="KIND", help="ranker-all, ranker-new or tower")]

Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Know no event from then on.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of every draw.")]


class LossName(StrEnum):
    """`train.tower.Loss`, for the command line."""

    SOFTMAX = "softmax"
    LOGISTIC = "logistic"


# --- train ---------------------------------------------------------------------------------------


@train.callback()
def _train() -> None:
    """A group, also with one command in it."""


@train.command("ranker")
def train_ranker(
    until: Until = None,
    seed: Seed = 1,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Learn an order of candidates for each task; what does no worse on the newest events serves.

    It replays a copy of the shop's log, which may be served meanwhile.
    """
    from windowshop import train as training
    from windowshop.local import wall_ms
    from windowshop.train.home import train_home

    training.check()
    end = None if until is None else time_of(until)
    with replaying(home, store, deployment) as (original, scratch):
        found = train_home(original, store, scratch, seed, screen.progress, wall_ms(), end)
    if as_json:
        screen.emit(found)
        return
    for task, one in found["tasks"].items():
        screen.tell(_line(task, one))


@train.command("tower")
def train_tower(
    until: Until = None,
    loss: Annotated[
        LossName,
        typer.Option("--loss", help="What it learns by: see docs/quality.md."),
    ] = LossName.SOFTMAX,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", min=1, help="Else the newest events tell how many."),
    ] = None,
    seed: Seed = 1,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Learn a place for every item and shopper, so that what is taken next lies near, and orders
    of candidates that know it; they serve if they do no worse on the newest events.

    It reads a copy of the shop's log, which may be served meanwhile. Uses a GPU where there is one.
    """
    from windowshop import train as training
    from windowshop.local import wall_ms
    from windowshop.train import tower
    from windowshop.train.home import train_tower_home

    training.check()
    tower.check()
    end = None if until is None else time_of(until)
    with replaying(home, store, deployment) as (original, scratch):
        found = train_tower_home(
            original,
            store,
            scratch,
            seed,
            screen.progress,
            screen.say,
            wall_ms(),
            end,
            loss=loss.value,
            epochs=epochs,
        )
    if as_json:
        screen.emit(found)
        return
    if "judged" not in found:
        screen.tell("tower: what was taken is found as well without one; none was kept")
        return
    fate = "serves now" if found["promoted"] else "does not serve"
    screen.tell(
        f"tower: {found['method']}, {found['epochs']} epochs on {found['events']:,} events of "
        f"{found['users']:,} users; {found['version']} {fate}"
    )
    for task, one in found["tasks"].items():
        screen.tell(_line(task, one))


def time_of(text: str) -> int:
    from windowshop.records import parse_instant

    try:
        return parse_instant(text)
    except ValueError:
        raise InvalidInput(f"--until {text!r}: a time such as 2026-11-24T00:00:00Z") from None


def _line(task: str, one: dict[str, Any]) -> str:
    judged, what = one["judged"], f"{task}: {one['method']}, {one['trees']} trees"
    fate = "serves now" if one["promoted"] else "does not serve"
    if not judged["queries"]:
        return f"{what}: nothing to judge it by; {one['version']} {fate}"
    return (
        f"{what}: NDCG@10 {judged['learned']:.4f} after {judged['serves']:.4f} on the newest "
        f"{judged['queries']:,} requests, {judged['ratio']:.3f} times "
        f"(95% interval {judged['low']:.3f} to {judged['high']:.3f}); {one['version']} {fate}"
    )


# --- models --------------------------------------------------------------------------------------


@models.command("list")
def list_models(
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Every version, and how it did in the replay."""
    with original_at(home, store, deployment) as original:
        rows = [
            {
                "kind": one.kind,
                "version": one.version,
                "serves": one.serves,
                "method": one.card.get("method"),
                "trees": one.card.get("trees"),
                "made_at": one.card.get("made_at"),
                "judged": one.card.get("judged", {}),
            }
            for one in original.shelf.all(store)
        ]
    if as_json:
        screen.emit({"models": rows})
        return
    if not rows:
        screen.say("none: `windowshop train ranker` makes some")
        return
    columns = ("kind", "version", "serves", "method", "NDCG@10", "times what served before")
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        judged = row["judged"]
        figures = ("", "")
        if judged.get("queries"):
            figures = (
                f"{judged['learned']:.4f}",
                f"{judged['ratio']:.3f} ({judged['low']:.3f} to {judged['high']:.3f})",
            )
        cells = (row["kind"], row["version"], "yes" if row["serves"] else "", row["method"])
        table.add_row(*(screen.plain(str(cell)) for cell in (*cells, *figures)))
    screen.result().print(table)


@models.command("promote")
def promote(
    kind: Kind,
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """From now on this version serves, at once also where the home is being served."""
    with original_at(home, store, deployment) as original:
        if kind == TOWER:
            original.promote_tower(store, version, screen.progress)
        else:
            original.shelf.promote(store, kind, version)
    _tell({"kind": kind, "serves": version}, as_json)


@models.command("rollback")
def rollback(
    kind: Kind,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What served before serves again; before the first, the plain weights."""
    with original_at(home, store, deployment) as original:
        if kind == TOWER:
            before = original.rollback_tower(store, screen.progress)
        else:
            before = original.shelf.rollback(store, kind)
    _tell({"kind": kind, "serves": before}, as_json)


def _tell(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        screen.emit(answer)
    else:
        without = "no tower" if answer["kind"] == TOWER else "the plain weights"
        screen.say(f"{answer['kind']}: {answer['serves'] or without} now serves")


def add_to(app: App) -> None:
    app.add_typer(train, name="train")
    app.add_typer(models, name="models")
