"""What the function `recommend` answers with: the whole API, but not the storefront."""

from collections.abc import Callable, Sequence

from functions.recommend.gateway import Gateway
from windowshop.api import Access, EventQueue, create_app
from windowshop.shop import Shop


def build(
    shop: Shop,
    access: Access,
    events: EventQueue,
    on_items: Callable[[str, Sequence[int]], None],
) -> Gateway:
    """A handler over `shop`. `on_items(store, keys)` is told which items wait for vectors."""
    return Gateway(
        create_app(
            shop,
            events=events,
            access=access,
            settings=shop.world.settings,
            on_items=on_items,
            page=False,
        )
    )
