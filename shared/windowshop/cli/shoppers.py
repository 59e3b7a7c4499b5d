"""`recommend`, `export` and `forget`: what the shop shows a user, holds of one, and lets go of."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from windowshop.cli import screen
from windowshop.cli.command import App, AsJson, Debug, Deployment, Home, StoreName, shop_at
from windowshop.errors import InvalidInput

User = Annotated[str, typer.Argument(metavar="USER", help="The user's id.")]
IsGuest = Annotated[bool, typer.Option("--anonymous", help="USER is an anonymous_id.")]


def recommend(
    user: Annotated[str | None, typer.Option("--user", help="user_id")] = None,
    anonymous: Annotated[str | None, typer.Option("--anonymous", help="anonymous_id")] = None,
    scenario: Annotated[
        str, typer.Option("--scenario", help="for_you, similar, bought_together, trending ...")
    ] = "for_you",
    item: Annotated[
        list[str] | None, typer.Option("--item", help="The item asked about; may be repeated.")
    ] = None,
    query: Annotated[str | None, typer.Option("--query", help="Words to search for.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="1-200")] = 20,
    filters: Annotated[
        str | None, typer.Option("--filters", metavar="JSON", help='such as {"brand": "Acme"}')
    ] = None,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """A slate for a user, a guest or nobody in particular."""
    request = {
        "scenario": scenario,
        "user_id": user,
        "anonymous_id": anonymous,
        "item_ids": item,
        "query": query,
        "limit": limit,
        "filters": _filters(filters),
    }
    request = {name: value for name, value in request.items() if value is not None}
    with shop_at(home, store, deployment=deployment) as place:
        slate = place.call("recommend", request=request)
    if as_json:
        screen.emit(slate)
    else:
        _show(slate)


def _filters(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"--filters is no JSON: {error}") from None


def _show(slate: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading, style in (
        ("#", "dim"),
        ("item", "cyan"),
        ("title", ""),
        ("score", "dim"),
        ("why", ""),
    ):
        table.add_column(heading, style=style, justify="right" if heading == "#" else "left")
    for rank, entry in enumerate(slate["items"], 1):
        title = str(entry["fields"].get("title") or "")
        table.add_row(
            *map(screen.plain, (str(rank), entry["item_id"], title)),
            f"{entry['score']:.3f}",
            screen.plain(entry["reason"]["text"]),
        )
    screen.result().print(table)
    seen = f", as of {slate['as_of']}" if slate["as_of"] else ""
    screen.say(f"{len(slate['items'])} items, {slate['scenario']}, {slate['model']}{seen}")
    if slate["degraded"]:
        screen.warn(f"degraded: {slate['degraded']['detail']}")


def _who(user: str, is_guest: bool) -> dict[str, str]:
    return {"anonymous_id" if is_guest else "user_id": user}


def export(
    user: User,
    anonymous: IsGuest = False,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Everything held about a user, as JSON."""
    who = _who(user, anonymous)
    with shop_at(home, store, deployment=deployment) as place:
        whole = place.call("export", who=who)
        while whole["next"] is not None:
            page = place.call("export", who={**who, "cursor": whole["next"]})
            whole["events"] += page["events"]
            whole["next"] = page["next"]
    screen.emit(whole)
    screen.say(f"{len(whole['events']):,} events")


def forget(
    user: User,
    anonymous: IsGuest = False,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Erase a user, and look again to be sure."""
    with shop_at(home, store, deployment=deployment) as place:
        erasure = place.call("forget", who=_who(user, anonymous))
    if as_json:
        screen.emit(erasure)
        return
    erased = erasure["erased"]
    verified = "looked again: nothing is left" if erasure["verified"] else "not verified yet"
    screen.tell(
        f"erased {erased['events']:,} events and {erased['profiles']} profiles; {verified} "
        f"(erasure {erasure['erasure_id']})"
    )


def add_to(app: App) -> None:
    for command in (recommend, export, forget):
        app.command()(command)
