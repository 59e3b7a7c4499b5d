"""What is replayed, and the home that it is replayed in: empty of events, and thrown away."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from windowshop import catalog, eventfile
from windowshop.columns import Mapping
from windowshop.evaluate.trace import Draft, Trace
from windowshop.files import open_rows
from windowshop.learned import Shelf
from windowshop.local import open_shop
from windowshop.log import EventRow, event_row
from windowshop.records import Item
from windowshop.settings import Settings, load_settings
from windowshop.shop import Shop
from windowshop.store.schema import check_tenant
from windowshop.table import Rejected

CHUNK = 1_000
EMBED = 1 << 17


class Bar(Protocol):
    """A progress bar: what it yields is called with each step's count."""

    def __call__(
        self, label: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]: ...


class Original(Protocol):
    """A shop whose log is replayed, in a copy; and where what was learned from it serves."""

    @property
    def name(self) -> str: ...

    @property
    def shelf(self) -> Shelf: ...

    @property
    def notes(self) -> Path | None:
        """Where a training may leave notes about itself."""

    def open(self, tenant: str, scratch: Path, bar: Bar) -> Shop:
        """A shop in `scratch` with the items of this one, and none of its events. Raises NotReady
        (another process keeps it from being read), Unavailable, Misconfigured.
        """

    def events(self, tenant: str) -> Iterator[EventRow]:
        """All of them, in no order; after `open`."""

    def links(self, tenant: str) -> Iterator[tuple[str, str]]:
        """Users, and guests who were merged into them; after `open`."""

    def promote_tower(self, tenant: str, version: str, bar: Bar) -> None:
        """See `towers.promote`."""

    def rollback_tower(self, tenant: str, bar: Bar) -> str | None:
        """See `towers.rollback`."""


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
    shop = open_scratch(load_settings(home), scratch)
    try:
        draft = _read_events(tenant, events, mapping, shop.world.wall(), bar, say)
        ids = _put(shop, tenant, _read_items(items, mapping, say), bar)
        _index(shop, bar)
    except BaseException:
        shop.close()
        raise
    return Subject(events.name, tenant, draft.finish(ids), shop)


def of_original(original: Original, tenant: str, scratch: Path, bar: Bar) -> Subject:
    """A copy of a shop's items and log, below `scratch`: an empty folder. The shop itself is only
    read. Raises InvalidInput where it holds no events, and what `original.open` raises.
    """
    check_tenant(tenant)
    shop = original.open(tenant, scratch, bar)
    try:
        with bar("Reading the log") as advance:
            draft = Draft()
            for count, row in enumerate(original.events(tenant), 1):
                draft.add(row)
                if count % CHUNK == 0:
                    advance(CHUNK)
        owners = {guest: user for user, guest in sorted(original.links(tenant), reverse=True)}
        ids = _bare(shop, tenant)
        _index(shop, bar)
    except BaseException:
        shop.close()
        raise
    return Subject(f"{original.name}/{tenant}", tenant, draft.finish(ids, owners), shop)


def open_scratch(settings: Settings, scratch: Path) -> Shop:
    """A shop in `scratch`, with the settings of another one and by the clock of the replay."""
    return open_shop(scratch, settings.model_copy(update={"clock": "wall"}))


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


def _index(shop: Shop, bar: Bar) -> None:
    """What a shop that serves does in a quiet minute: searches take a fraction of the time then."""
    with bar("Building the index"):
        shop.world.store.maintain()


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
