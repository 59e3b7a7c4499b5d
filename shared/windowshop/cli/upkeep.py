"""`fields`, `keys`, `dead-letters` and `rebuild`: what is declared, who may call, what failed."""

import time
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.table import Table

from windowshop.cli import screen
from windowshop.cli.command import (
    FAILED,
    App,
    AsJson,
    Debug,
    Deployment,
    Home,
    StoreName,
    idle_home,
    shop_at,
)
from windowshop.errors import InvalidInput

fields = App(help="Attributes that filters may use.")
keys = App(help="Who may call the API.")
letters = App(help="What could not take effect, and why.")


def _show(rows: Iterable[dict[str, Any]], columns: tuple[str, ...], none: str) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            *(screen.plain(str("" if row[name] is None else row[name])) for name in columns)
        )
    if table.row_count:
        screen.result().print(table)
    else:
        screen.say(none)


# --- fields --------------------------------------------------------------------------------------


def _show_fields(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        screen.emit(answer)
        return
    rows = ({"name": name, "kind": kind} for name, kind in sorted(answer["fields"].items()))
    _show(rows, ("name", "kind"), "none declared: `windowshop fields add colour keyword`")


@fields.command("list")
def list_fields(
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """The declared attributes."""
    with shop_at(home, store, deployment=deployment) as place:
        _show_fields(place.call("fields"), as_json)


@fields.command("add")
def add_field(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="keyword, integer, float, bool or datetime")
    ],
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make an attribute filterable."""
    with shop_at(home, store, create=True, deployment=deployment) as place:
        _show_fields(place.call("add_field", name=name, kind=kind), as_json)


# --- keys ----------------------------------------------------------------------------------------


@keys.command("create")
def create_key(
    role: Annotated[str, typer.Option("--role", help="secret or publishable")],
    note: Annotated[str, typer.Option("--note", help="What it is for.")] = "",
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """A new key. It is shown this once."""
    with shop_at(home, store, create=True, deployment=deployment) as place:
        made = place.call("create_key", role=role, note=note)
    if as_json:
        screen.emit(made)
    else:
        screen.tell(made["key"])
        screen.say(
            f"{made['role']} key {made['id']} of store {made['store']}: it is not shown again"
        )


@keys.command("list")
def list_keys(
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """The keys of a store, without the keys themselves."""
    with shop_at(home, store, deployment=deployment) as place:
        answer = place.call("keys")
    if as_json:
        screen.emit(answer)
    else:
        columns = ("id", "role", "note", "created_at", "revoked_at")
        _show(answer["keys"], columns, "none: `windowshop keys create --role secret`")


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID")],
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """From now on the key works no more."""
    with shop_at(home, store, deployment=deployment) as place:
        answer = place.call("revoke_key", id=key_id)
    if as_json:
        screen.emit(answer)
    else:
        screen.say(f"revoked {key_id}")


@keys.command("signing-secret")
def signing_secret(
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """The secret with which the shop's back end signs user tokens (HS256); made at first use."""
    with shop_at(home, store, create=True, deployment=deployment) as place:
        answer = place.call("signing_secret")
    if as_json:
        screen.emit(answer)
    else:
        screen.tell(answer["signing_secret"])


# --- dead letters --------------------------------------------------------------------------------


@letters.command("list")
def list_letters(
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """All of them, oldest first."""
    with shop_at(home, store, deployment=deployment) as place:
        found = _all_letters(place)
    if as_json:
        screen.emit({"letters": found})
    else:
        _show(found, ("id", "received_at", "reason"), "none")


def _all_letters(place: Any) -> list[dict[str, Any]]:
    page = place.call("letters")
    found: list[dict[str, Any]] = page["letters"]
    while page["next"] is not None:
        page = place.call("letters", after=page["next"])
        found += page["letters"]
    return found


@letters.command("show")
def show_letter(
    letter: Annotated[str, typer.Argument(metavar="ID")],
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """One letter whole, as JSON."""
    with shop_at(home, store, deployment=deployment) as place:
        screen.emit(place.call("letter", id=letter))


@letters.command("retry")
def retry_letters(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="None: all of them.")
    ] = None,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Deliver letters once more. Exit 1 if one still cannot take effect.

    Those of a deployment go back into their queues, and what fails again is a letter again.
    """
    with shop_at(home, store, deployment=deployment) as place:
        tried = place.call("retry_letters", ids=ids or None)["letters"]
    applied, sent = (sum(one["status"] == status for one in tried) for status in ("ok", "sent"))
    left = [one for one in tried if one["status"] not in {"ok", "sent"}]
    if as_json:
        screen.emit({"retried": len(tried), "applied": applied, "sent": sent, "letters": tried})
    else:
        done = f"{sent} of {len(tried)} were sent again" if sent else None
        screen.tell(done or f"{applied} of {len(tried)} took effect")
        for one in left:
            screen.warn(f"letter {one['id']}: {one['reason']}")
    if left:
        raise typer.Exit(FAILED)


# --- rebuild -------------------------------------------------------------------------------------


def rebuild(
    embed: Annotated[
        bool,
        typer.Option("--embed", help="All vectors of all stores too: after a change of model."),
    ] = False,
    home: Home = None,
    deployment: Deployment = None,
    store: StoreName = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """All profiles and counts again, from the event log."""
    begin = time.monotonic()
    counts: dict[str, Any]
    if embed:
        if deployment is not None:
            raise InvalidInput("--embed: a deployment gets a new model by deploying it")
        from windowshop.local import re_embed

        with screen.progress("Embedding") as advance:
            counts = dict(re_embed(idle_home(home), advance))
    else:
        with (
            shop_at(home, store, deployment=deployment) as place,
            screen.progress("Rebuilding profiles") as advance,
        ):
            counts = place.call("rebuild", progress=advance)
    counts["seconds"] = round(time.monotonic() - begin, 3)
    if as_json:
        screen.emit(counts)
    else:
        screen.tell(
            f"{counts['users']:,} users from {counts['events']:,} events "
            f"in {counts['seconds']:.1f} s"
        )


def add_to(app: App) -> None:
    app.add_typer(fields, name="fields")
    app.add_typer(keys, name="keys")
    app.add_typer(letters, name="dead-letters")
    app.command()(rebuild)
