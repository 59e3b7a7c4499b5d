"""Every implementation of the port to the vectors, and what the suites of the store write to it."""

import base64
import os
import uuid

import numpy as np
from qdrant_client import QdrantClient

from windowshop.records import item_key, user_key
from windowshop.store import Sparse, StoredUser
from windowshop.store.edge import EdgeStore
from windowshop.store.server import Place, ServerStore

DIM = 16
MODEL = "test@00000001"
SHOP = "shop"


def unit(rows, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def payload(name, **more):
    return {
        "item_id": name,
        "title": f"Thing {name}",
        "available": True,
        "text_hash": f"t-{name}",
    } | more


def tail_of(name):
    return base64.b64encode(f"tail of {name}".encode()).decode()


def user(name, version=0, **more):
    return StoredUser(
        user_key(SHOP, name), version, {"tail": tail_of(name), "profile": "x" * 99}, **more
    )


def history(*dims, values=None):
    weights = np.asarray(values or [1.0] * len(dims), np.float32)
    return Sparse(np.asarray(dims, np.uint32), weights)


class Edge:
    def __init__(self, folder):
        self.folder = folder

    def open(self, model=MODEL, dim=DIM, **more):
        return EdgeStore(self.folder, model, dim, **more)

    def close(self):
        pass


class Server:
    """Collections of this test alone, on a server that may hold others."""

    def __init__(self, place, client):
        self.place, self.client = place, client
        self.prefix = f"test-{uuid.uuid4().hex[:8]}-"

    def open(self, model=MODEL, dim=DIM, **more):
        return ServerStore(self.place, model, dim, prefix=self.prefix, **more).open()

    def close(self):
        for collection in self.client.get_collections().collections:
            if collection.name.startswith(self.prefix):
                self.client.delete_collection(collection.name)
        self.client.close()


def make_world(name, folder, request):
    if name.startswith("edge"):
        return Edge(folder)
    if name == "memory":
        client = QdrantClient(":memory:")
        return Server(client, client)
    place = Place(os.environ.get("QDRANT_URL", ""), os.environ.get("QDRANT_API_KEY"))
    if name == "standin":
        place = Place(request.getfixturevalue("qdrant").url)
    client = QdrantClient(url=place.url, api_key=place.key, check_compatibility=False)
    return Server(place, client)


SERVERS = ["memory", "standin", *(["server"] if os.environ.get("QDRANT_URL") else [])]

WORLDS = ["edge", *SERVERS]


def keys_of(names, tenant=SHOP):
    return [item_key(tenant, name) for name in names]


def put(store, payloads, tenant=SHOP):
    store.put_items(tenant, {item_key(tenant, p["item_id"]): p for p in payloads})


def fill(store, payloads, vectors, tenant=SHOP):
    put(store, payloads, tenant)
    keys = keys_of([p["item_id"] for p in payloads], tenant)
    done = store.put_vectors(tenant, keys, vectors, [p["text_hash"] for p in payloads], 1000)
    assert sorted(done) == sorted(keys)
    return keys
