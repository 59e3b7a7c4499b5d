"""The lexicon of a store, kept up to date: counted from its items by whoever keeps the counts, read
by whoever searches.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from windowshop.errors import InvalidInput, NotReady
from windowshop.filters import AnyOf
from windowshop.lexicon import Kept, Lexicon, item_words
from windowshop.logs import log
from windowshop.store import Payload, Sparse, WordSearch
from windowshop.world import Tenant, World

LEXICON = "lexicon"
COUNTED = 100_000
"""So many items are counted; keys are hashes, so the first ones are a fair sample."""
PAGE = 1_000
CHANGED = 0.05
"""The share of items that come or go before words are counted again."""
BELIEVED_MS = 60_000
FIELDS = ("title", "brand", "category", "description")


def words_of(items: Mapping[int, Payload]) -> dict[int, Sparse]:
    """The words of items, as the store keeps them."""
    return {key: Sparse(*item_words(payload)) for key, payload in items.items()}


def lexicon_of(world: World, tenant: Tenant) -> Lexicon:
    """What is known of the store's words, which may be nothing. Raises Unavailable."""
    now, kept = world.wall(), tenant.words
    if now >= kept.until_ms:
        kept.until_ms = now + BELIEVED_MS
        saved = world.log.snapshot(tenant.name, LEXICON, kept.seq)
        if saved is not None:
            kept.seq = saved[0]
            try:
                kept.lexicon = Lexicon.load(saved[1])
            except InvalidInput as error:  # of another version: maintain counts anew
                log("vocabulary").warning("lexicon_rejected", detail=error.detail)
    return kept.lexicon


def count_words(world: World, tenant: Tenant) -> bool:
    """Count the words again where enough of the items changed; says whether it did.

    Items that were written before words were kept get theirs first. Raises Unavailable.
    """
    total = world.store.count(tenant.name)
    known = lexicon_of(world, tenant)
    if abs(total - known.total) <= CHANGED * known.total:
        return False
    if total and not known.items:
        _write_missing(world, tenant.name)
    lexicon = Lexicon.count(islice(_items(world, tenant.name, FIELDS), COUNTED), total)
    tenant.words = Kept(lexicon, world.wall(), world.wall() + BELIEVED_MS)
    world.log.put_snapshot(tenant.name, LEXICON, tenant.words.seq, lexicon.save())
    return True


def _items(world: World, tenant: str, fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    cursor: int | None = None
    while True:
        rows, cursor = world.store.scan(tenant, cursor, PAGE, fields=fields)
        yield from (payload for _, payload in rows)
        if cursor is None:
            return


def _write_missing(world: World, tenant: str) -> None:
    """Write the words of items that have none, page by page. An item that is written meanwhile has
    a greater order, or the same content.
    """
    cursor: int | None = None
    while True:
        rows, cursor = world.store.scan(tenant, cursor, PAGE)
        items = dict(rows)
        if items and not _worded(world, tenant, rows[-1]):
            world.store.put_items(tenant, items, words_of(items))
        if cursor is None:
            return


def _worded(world: World, tenant: str, row: tuple[int, Payload]) -> bool:
    """Whether an item is found by its own words, or has none."""
    key, payload = row
    words = words_of({key: payload})[key]
    if not len(words.indices):
        return True
    itself = AnyOf("item_id", (payload["item_id"],))
    try:
        return any(world.store.search(tenant, [WordSearch(words, 1, itself)])[0])
    except NotReady:  # a server that cannot take words before its upkeep
        return True
