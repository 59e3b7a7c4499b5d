"""Another model: its collections are filled beside those that count, and then take their place."""

from collections.abc import Iterable, Sequence

from windowshop.store import Payload, Sparse, Store
from windowshop.store.schema import KEPT, MAX_ITEMS

Row = tuple[int, Payload, Sparse | None]
"""An item: its key, its payload, its words."""


def take_over(pages: Iterable[Sequence[Row]], new: Store, tenant: str) -> None:
    """Make the items of `tenant` in `new` those of `pages`, without what is said of the vectors.

    Doing it again changes only what changed since; vectors that still fit their text stay. What a
    tower learned from the vectors of the other model does not come along.
    """
    kept: set[int] = set()
    for rows in pages:
        wanted = {key: _bare(payload) for key, payload, _ in rows}
        words = {key: said for key, _, said in rows if said is not None}
        held = new.items(tenant, list(wanted))
        changed = {
            key: payload
            for key, payload in wanted.items()
            if key not in held or _bare(held[key]) != payload
        }
        new.put_items(tenant, changed, {key: words[key] for key in changed if key in words})
        kept |= wanted.keys()
    cursor: int | None = None
    while True:
        present, cursor = new.scan(tenant, cursor, MAX_ITEMS, None, ("item_id",))
        new.delete_items(tenant, [key for key, _ in present if key not in kept])
        if cursor is None:
            return


def _bare(payload: Payload) -> Payload:
    return {name: value for name, value in payload.items() if name not in KEPT}
