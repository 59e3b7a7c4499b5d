"""A shop with everything that the API needs beside it, and clients of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.testclient import TestClient

from tests.integration.api.fake_shop import FakeKeyring, FakeQueue, FakeShop
from windowshop.api import Access, create_app
from windowshop.keys import make_key, sign_user_token
from windowshop.local import wall_ms
from windowshop.settings import Settings

ADDRESS = "http://127.0.0.1:8000"
ME = ("127.0.0.1", 50_000)
ORIGIN = "https://shop.example"
STORE = "fruit-shop"


@dataclass
class Site:
    """A shop, and what the API needs beside it."""

    shop: Any
    events: Any
    keyring: Any
    clock: Callable[[], int]
    store: str = STORE
    told: list[tuple[str, list[int]]] = field(default_factory=list)

    def client(self, *, keyring: Any = None, address: str = ADDRESS, peer: Any = ME, **more: Any):
        """A client of an app over this shop; without `keyring` the shop is open."""
        limits = {name: more.pop(name) for name in ("keys_required", "key_rps") if name in more}
        access = Access(keyring or FakeKeyring(), self.clock, **limits)
        settings = more.pop("settings", None) or Settings(origins=(ORIGIN,))
        app = create_app(
            more.pop("shop", self.shop),
            events=more.pop("events", self.events),
            access=access,
            settings=settings,
            on_items=lambda *told: self.told.append(told),
            **more,
        )
        return TestClient(app, address, client=peer, headers={"Windowshop-Store": self.store})

    def keyed(self, role: str, **more: Any):
        """A client with a new key of that role for this test's store."""
        key, stored = make_key(self.store, role, self.clock())
        self.keyring.put_key(stored)
        client = self.client(keyring=self.keyring, **more)
        client.headers["Authorization"] = f"Bearer {key}"
        return client

    def token(self, user_id: str, seconds: int = 600) -> str:
        """A token for a user, signed with the store's secret."""
        secret = self.keyring.signing_secret(self.store, create=True)
        return sign_user_token(user_id, secret, self.clock() // 1000 + seconds)


def in_memory():
    shop = FakeShop()
    return Site(shop, FakeQueue(shop), FakeKeyring(), wall_ms)
