"""What is replayed, and the home that it is replayed in: empty of events, and thrown away."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from windowshop import catalog, eventfile
from windowshop.columns import Mapping
from windowshop.errors import InvalidInput, NotReady
from windowshop.evaluate.trace import Draft, Trace
from windowshop.files import open_rows
from windowshop.local import open_shop
from windowshop.log import event_row
from windowshop.log.sqlite import SqliteLog
from windowshop.records import Item
from windowshop.settings import load_settings
from windowshop.shop import Shop
from windowshop.store.edge.files import copy_folder
from windowshop.store.schema import check_tenant
from windowshop.table import Rejected

CHUNK = 1_000
EMBED = 1 << 17
LOG, VECTORS, MODELS = "log.sqlite", "vectors", "models"


class Bar(Protocol):
    """A progress bar: what it yields is called with each step's count."""

    def __call__(
        self, label: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What is replayed, and a shop that has its items and no events."""

    name: str
    tenant: str
    trace: Trace
    shop: Shop


def of_files(
    home: Path,
    events: Path,
    items: Path,
    mapping: Mapping,
    scratch: Path,
    bar: Bar,
    say: Callable[[str], None],
) -> Subject:
    """A shop of two files, under the settings of `home` where it has any. Raises InvalidInput."""
    tenant = "default"
    shop = _open(home, scratch)
    try:
        draft = _read_events(tenant, events, mapping, shop.world.wall(), bar, say)
        ids = _put(shop, tenant, _read_items(items, mapping, say), bar)
    except BaseException:
        shop.close()
        raise
    return Subject(events.name, tenant, draft.finish(ids), shop)


def of_home(home: Path, tenant: str, scratch: Path, bar: Bar) -> Subject:
    """A copy of a home's items and log. The home is only read. Raises NotReady where another
    process has it open, InvalidInput where it holds no events.
    """
    check_tenant(tenant)
    source = scratch / "source.sqlite"
    with _alone(home), bar("Copying the home"):
        if not (home / LOG).exists():
            raise InvalidInput(f"{home} holds no events to replay: record some, or name files")
        for suffix in ("", "-wal"):
            if (home / f"{LOG}{suffix}").exists():
                shutil.copyfile(home / f"{LOG}{suffix}", f"{source}{suffix}")
        copy_folder(home / MODELS, scratch / MODELS)
        for folder in (home / VECTORS / tenant).glob("items-*"):
            copy_folder(folder, scratch / VECTORS / tenant / folder.name)
        (scratch / VECTORS).mkdir(exist_ok=True)  # nothing was copied where a store has no items
        if (home / VECTORS / "model.json").exists():
            shutil.copyfile(home / VECTORS / "model.json", scratch / VECTORS / "model.json")
    shop = _open(home, scratch)
    try:
        with closing(SqliteLog(source)) as log, bar("Reading the log") as advance:
            draft = Draft()
            for count, row in enumerate(log.rows(tenant), 1):
                draft.add(row)
                if count % CHUNK == 0:
                    advance(CHUNK)
            owners = {
                guest: user
                for user in sorted(draft.users, reverse=True)
                if user.startswith("u:")
                for guest in log.links_of(tenant, user)
            }
        ids = _bare(shop, tenant)
    except BaseException:
        shop.close()
        raise
    return Subject(f"{home.name}/{tenant}", tenant, draft.finish(ids, owners), shop)


def _open(home: Path, scratch: Path) -> Shop:
    return open_shop(scratch, load_settings(home).model_copy(update={"clock": "wall"}))


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """While no other process has the home open. Its lock is only read."""
    try:
        lock = os.open(home / VECTORS / "lock", os.O_RDONLY)
    except OSError:
        yield  # nothing was ever in it
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise NotReady(
            f"{home} is in use by another process: stop it (`windowshop serve`?) and try again, "
            "or replay files with --events and --items"
        ) from None
    try:
        yield
    finally:
        os.close(lock)


# --- items: without groups, and all of them available -----------------------------------------


def _read_items(path: Path, mapping: Mapping, say: Callable[[str], None]) -> Iterator[Item]:
    rejected = 0
    with open_rows(path, mapping.options) as rows:
        for outcome in catalog.read_items(rows, mapping):
            if isinstance(outcome, catalog.Accepted):
                yield outcome.item.model_copy(update={"available": True, "group_id": None})
            rejected += isinstance(outcome, Rejected)
    if rejected:
        say(f"{path.name}: {rejected:,} rows are no items; `windowshop ingest` says why")


def _put(shop: Shop, tenant: str, items: Iterator[Item], bar: Bar) -> list[str]:
    ids: dict[str, None] = {}
    waiting = 0
    with bar("Catalogue") as advance:
        for part in _chunks(items):
            waiting += shop.put_items(tenant, part).to_embed
            ids.update((item.item_id, None) for item in part)
            advance(len(part))
    with bar("Embedding", waiting) as advance:
        while shop.embed_waiting(tenant, EMBED, advance):
            pass
    return list(ids)


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    part: list[Item] = []
    for item in items:
        part.append(item)
        if len(part) == CHUNK:
            yield part
            part = []
    if part:
        yield part


def _bare(shop: Shop, tenant: str) -> list[str]:
    """Lift groups and availability from what was copied; returns the ids of all items."""
    store = shop.world.store
    ids: list[str] = []
    cursor: int | None = None
    fields = ("item_id", "group_id", "available")
    while True:
        rows, cursor = store.scan(tenant, cursor, CHUNK, None, fields)
        ids += [payload["item_id"] for _, payload in rows]
        held = [key for key, p in rows if p.get("group_id") is not None or not p.get("available")]
        if held:
            store.put_items(
                tenant, {key: _lifted(p) for key, p in store.items(tenant, held).items()}
            )
        if cursor is None:
            return ids


def _lifted(payload: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in payload.items() if k != "group_id"}, "available": True}


# --- events -----------------------------------------------------------------------------------


def _read_events(
    tenant: str,
    path: Path,
    mapping: Mapping,
    stamp_ms: int,
    bar: Bar,
    say: Callable[[str], None],
) -> Draft:
    draft, rejected, cache = Draft(), 0, dict[str, int]()
    with open_rows(path, mapping.options) as rows, bar("Reading events") as advance:
        for count, outcome in enumerate(eventfile.read_events(rows, mapping, rows.content_hash), 1):
            if isinstance(outcome, eventfile.Accepted):
                draft.add(event_row(tenant, outcome.event, outcome.row, stamp_ms, cache))
            rejected += isinstance(outcome, Rejected)
            if count % CHUNK == 0:
                advance(CHUNK)
    if rejected:
        say(f"{path.name}: {rejected:,} rows are no events; `windowshop record` says why")
    return draft
