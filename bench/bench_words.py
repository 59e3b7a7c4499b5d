"""Search for known items, by three words of their titles, as they stand and misspelled: the mean
reciprocal rank of the item, by meaning alone and with words. Needs the development data
(WINDOWSHOP_DATA names its folder).
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.shopfloor import CACHE
from bench.shopfloor import run as windowshop
from windowshop.shop import Shop

DATA = Path(os.environ.get("WINDOWSHOP_DATA", Path(__file__).parents[2] / "shared" / "data"))
ASKED, LOOKED_AT, WORDS = 250, 50, 3


def run() -> dict[str, float]:
    from windowshop.local import open_shop
    from windowshop.records import Request

    home, source = CACHE / "words", DATA / "beauty"
    shutil.rmtree(home, ignore_errors=True)
    mapping = ("--mapping", str(source / "mapping.toml"))
    windowshop("ingest", str(source / "items.jsonl.gz"), *mapping, "--home", str(home))
    shop = open_shop(home)

    def rank(words: str, item_id: str) -> float:
        asked = Request(scenario="search", query=words, limit=LOOKED_AT, fields=[])
        found = [item.item_id for item in shop.recommend("default", asked).items]
        return 1 / (found.index(item_id) + 1) if item_id in found else 0.0

    def mean(queries: list[tuple[str, str]], weight: float) -> float:
        blend = shop.world.blend
        shop.world.blend = {**blend, "search": {**blend["search"], "words": weight}}
        ranks = [rank(words, item_id) for words, item_id in queries]
        shop.world.blend = blend
        return round(float(np.mean(ranks)), 3)

    try:
        shop.maintain()
        usual = float(shop.world.blend["search"]["words"])
        figures: dict[str, float] = {}
        for name, spelled in (("", lambda word, _: word), ("misspelled_", _misspelled)):
            queries = _queries(shop, spelled)
            figures[f"words_{name}mrr_meaning_only"] = mean(queries, 0.0)
            figures[f"words_{name}mrr"] = mean(queries, usual)
        return figures
    finally:
        shop.close()


def _queries(shop: Shop, spelled: Callable[[str, random.Random], str]) -> list[tuple[str, str]]:
    chance = random.Random(1)
    rows, cursor = [], None
    while True:
        page, cursor = shop.world.store.scan("default", cursor, 1000, fields=("item_id", "title"))
        rows += [payload for _, payload in page]
        if cursor is None:
            break
    titled = [row for row in rows if len((row.get("title") or "").split()) > WORDS]
    queries = []
    for row in chance.sample(sorted(titled, key=lambda row: row["item_id"]), ASKED):
        words = row["title"].split()
        at = sorted(chance.sample(range(len(words)), WORDS))
        queries.append((" ".join(spelled(words[i], chance) for i in at), row["item_id"]))
    return queries


def _misspelled(word: str, chance: random.Random) -> str:
    """A letter left out, doubled, or changed places with the next."""
    if len(word) < 5:
        return word
    at, how = chance.randrange(1, len(word) - 1), chance.randrange(3)
    if how == 0:
        return word[:at] + word[at + 1 :]
    if how == 1:
        return word[:at] + word[at] + word[at:]
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
