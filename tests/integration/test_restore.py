"""A snapshot of Qdrant that is older than the log: restored by the program that the machine has,
then made right by a rebuild. The stand-in keeps and recovers snapshots by Qdrant's own calls.
"""

import shutil
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from infra.machine import snapshots
from localstack import qdrant_standin
from windowshop.log.sqlite import SqliteLog
from windowshop.records import Event, Item, Request, item_key, user_key
from windowshop.settings import Settings
from windowshop.shop import Shop
from windowshop.store import LEARNED_DIM
from windowshop.store.server import ServerStore, learning
from windowshop.world import World

SHOP, OTHER = "default", "other"
NOW = 1_790_000_000_000
WORDS = "milk bread butter rose hose rake".split()


class Encoder:
    """A direction of its own for every word."""

    name, dim, languages = "words@00000001", 16, "unknown"

    def encode(self, texts, *, query=False, progress=None):
        rows = np.stack([sum(map(self._word, text.lower().split())) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def _word(self, word):
        return np.random.default_rng(zlib.crc32(word.encode())).normal(size=self.dim)


@pytest.fixture
def standin(tmp_path):
    started = qdrant_standin.start(folder=tmp_path / "qdrant")
    yield started
    started.stop()


@pytest.fixture
def qdrant(standin):
    """Its interface, as the machine's own program speaks to it."""
    return snapshots.Qdrant(standin.url, "", None)


@pytest.fixture
def log(tmp_path):
    with closing(SqliteLog(tmp_path / "log.sqlite")) as opened:
        yield opened


@pytest.fixture
def open_shop(standin, log):
    stores = []

    def opened(prefix=""):
        store = ServerStore(standin.url, Encoder.name, Encoder.dim, prefix=prefix)
        stores.append(store)
        ports = {"keyring": log, "letters": log}
        return Shop(World(store, log, Encoder(), Settings(), lambda: NOW, **ports))

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def backup(monkeypatch, tmp_path):
    """A folder in place of the bucket: the machine's program copies with the aws command."""

    def aws(_s3, command, *arguments):
        if command == "cp":
            source, target = (Path(one.removeprefix("s3://")) for one in arguments)
            if arguments[1] == "-":
                return source.read_text("utf-8")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            return ""
        files = (tmp_path / "bucket").rglob("*.json")
        return "\n".join(f"2026-11-24 08:00:00 1 {file}" for file in files)

    monkeypatch.setattr(snapshots, "_aws", aws)
    return f"s3://{tmp_path / 'bucket'}"


def stock(shop, names=WORDS, store=SHOP):
    shop.put_items(store, [Item(item_id=name, title=name, brand="Acme") for name in names])
    while shop.embed_waiting(store):
        pass


def did(shop, user, item, minute, store=SHOP, kind="purchase"):
    event = Event(
        kind=kind, user_id=user, item_id=item, timestamp=(NOW / 1000) - 3600 + minute * 60
    )
    shop.record(store, [event], NOW)


def profiles(shop, users, store=SHOP):
    held = shop.world.store.users(store, [user_key(store, f"u:{user}") for user in users], True)
    return {
        key: (user.payload, np.round(user.taste, 4).tolist(), user.history.indices.tolist())
        for key, user in held.items()
    }


def test_after_a_restore_a_rebuild_makes_profiles_and_erasures_true_again(
    open_shop, standin, qdrant, backup
):
    shop = open_shop()
    stock(shop, WORDS[:5])
    stock(shop, WORDS, OTHER)
    did(shop, "ann", "milk", 1)
    did(shop, "ben", "milk", 2)
    did(shop, "ben", "bread", 3)
    did(shop, "cat", "rose", 4)
    did(shop, "ann", "rake", 5, OTHER)
    files = standin.folder / "snapshots"
    names = snapshots.take(qdrant, backup, files, "night")
    assert [name.split("-")[0] for name in names] == ["items", "users"]
    assert snapshots.finished(backup) == ["night"]
    assert list(files.rglob("*.snapshot")) == []

    did(shop, "ann", "bread", 6)
    did(shop, "dan", "milk", 7)
    assert shop.forget(SHOP, "u:ben")["verified"]
    stock(shop, WORDS)

    assert snapshots.restore(qdrant, backup, files, "night") == names
    ben = user_key(SHOP, "u:ben")
    assert list(shop.world.store.users(SHOP, [ben])) == [ben]  # back from the snapshot
    assert shop.world.store.count(SHOP) == 5
    done = shop.rebuild(SHOP)
    assert done == {"users": 3, "events": 4, "removed": 1}
    stock(shop, WORDS)  # the catalogue of since then, uploaded once more

    store = shop.world.store
    assert store.users(SHOP, [ben], vectors=True) == {}
    assert set(store.user_keys(SHOP)) == {
        user_key(SHOP, f"u:{user}") for user in ("ann", "cat", "dan")
    }
    assert len(list(store.user_keys(OTHER))) == 1
    everybody = store.neighbours(SHOP, store.users(SHOP, [user_key(SHOP, "u:ann")], True)[
        user_key(SHOP, "u:ann")].history, 9)  # fmt: skip
    assert ben not in {near.key for near in everybody}
    assert shop.recommend(SHOP, Request(user_id="ben")).as_of is None

    fresh = open_shop("fresh-")
    stock(fresh)
    fresh.rebuild(SHOP)
    users = ("ann", "ben", "cat", "dan")
    assert profiles(shop, users) == profiles(fresh, users)
    assert [s.item_id for s in shop.recommend(SHOP, Request(user_id="ann", limit=4)).items] == [
        s.item_id for s in fresh.recommend(SHOP, Request(user_id="ann", limit=4)).items
    ]


def test_collections_that_were_lost_come_back_with_their_names(open_shop, standin, qdrant, backup):
    shop = open_shop()
    stock(shop)
    did(shop, "ann", "milk", 1)
    names = snapshots.take(qdrant, backup, standin.folder / "snapshots", "night")
    for name in names:
        qdrant("DELETE", f"/collections/{name}")
    assert qdrant("GET", "/aliases")["aliases"] == []
    snapshots.restore(qdrant, backup, standin.folder / "snapshots", "night")
    aliases = {a["alias_name"] for a in qdrant("GET", "/aliases")["aliases"]}
    assert aliases == {"items", "users", f"{names[0]}-serving"}
    again = open_shop()
    assert again.ready(SHOP)["items"] == len(WORDS)


def test_what_a_tower_learned_comes_back_with_its_items(
    open_shop, standin, qdrant, backup, monkeypatch
):
    monkeypatch.setattr(learning, "GRACE_S", 0.0)
    shop = open_shop()
    stock(shop)
    store, files = shop.world.store, standin.folder / "snapshots"
    ones = np.ones((len(WORDS), LEARNED_DIM), np.float32)
    store.learn(SHOP, "v1", lambda _keys, _text: ones)
    names = snapshots.take(qdrant, backup, files, "night")
    store.learn(SHOP, "v2", lambda _keys, _text: -ones)
    snapshots.restore(qdrant, backup, files, "night")
    again = open_shop().world.store
    assert again.learned_by(SHOP) == "v1"
    keys = [item_key(SHOP, word) for word in WORDS]
    assert {round(float(row[0]), 4) for row in again.learned(SHOP, keys).values()} == {0.0884}
    assert len(qdrant("GET", "/collections")["collections"]) == 3
    [said] = again.maintain()  # the version that served when the snapshot was restored
    assert "left over" in said
    assert sorted(one["name"] for one in qdrant("GET", "/collections")["collections"]) == names
