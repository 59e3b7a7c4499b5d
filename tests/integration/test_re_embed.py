"""A change of model: refused with what to do, then carried through without losing anything."""

from pathlib import Path

import pytest

from windowshop.errors import Misconfigured
from windowshop.local import open_shop, re_embed
from windowshop.records import Event, Item, Request

STORE = "default"


def test_another_model_fills_new_collections_and_takes_their_place(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    titles = ["Rose Seeds", "Garden Hose", "Dog Food", "Cat Food"]
    shop.put_items(STORE, [Item(item_id=str(n), title=title) for n, title in enumerate(titles)])
    shop.embed_waiting(STORE)
    shop.record(STORE, [Event(kind="view", user_id="ann", item_id="2")], shop.world.wall())
    before = shop.world.encoder.name
    shop.close()
    (tmp_path / "windowshop.toml").write_text('pooling = "cls"\n')

    with pytest.raises(Misconfigured, match="windowshop rebuild --embed"):
        open_shop(tmp_path)

    assert re_embed(tmp_path) == {"items": 4, "users": 1, "events": 1}
    shop = open_shop(tmp_path)
    try:
        assert shop.world.encoder.name != before
        assert shop.ready(STORE)["items"] == 4
        slate = shop.recommend(STORE, Request(user_id="ann", limit=2, seen="drop"))
        assert slate.items[0].item_id == "3"
        assert slate.items[0].reason.item_title == "Dog Food"
    finally:
        shop.close()


def test_embedding_anew_with_the_same_model_changes_nothing(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    shop.put_items(STORE, [Item(item_id="a", title="Tea")])
    shop.embed_waiting(STORE)
    shop.close()

    assert re_embed(tmp_path) == {"items": 0, "users": 0, "events": 0}
    shop = open_shop(tmp_path)
    try:
        assert shop.get_item(STORE, "a")["embedded_at"] is not None
    finally:
        shop.close()
