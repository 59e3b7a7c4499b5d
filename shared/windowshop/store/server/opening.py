"""The collections of a deployment: which there are, which count, and how they come about."""

from typing import Any

from qdrant_client import QdrantClient
from qdrant_client import models as m

from windowshop.errors import Misconfigured
from windowshop.store.server import layout

KINDS = ("items", "users")
OLDEST = (1, 17)


class Aliases:
    """The names `items` and `users`, and the collections of one model that they may stand for."""

    def __init__(self, client: QdrantClient, prefix: str, mark: str) -> None:
        self._client = client
        self._names = {kind: prefix + kind for kind in KINDS}
        self.own = {kind: f"{name}-{mark}" for kind, name in self._names.items()}

    def present(self) -> dict[str, str]:
        """{kind: the collection that counts}, as far as there are any."""
        held = {a.alias_name: a.collection_name for a in self._client.get_aliases().aliases}
        return {kind: held[name] for kind, name in self._names.items() if name in held}

    def other_card(self) -> dict[str, Any] | None:
        """The model card of the items that count, where they are another model's."""
        held = self.present().get("items")
        if held is None or held == self.own["items"]:
            return None
        return dict(self._client.get_collection(held).config.metadata or {})

    def promote(self) -> None:
        before = self.present()
        if before == self.own:
            return
        changes: list[m.AliasOperations] = []
        for kind, name in self._names.items():
            if kind in before:
                gone = m.DeleteAlias(alias_name=name)
                changes.append(m.DeleteAliasOperation(delete_alias=gone))
            to = m.CreateAlias(collection_name=self.own[kind], alias_name=name)
            changes.append(m.CreateAliasOperation(create_alias=to))
        self._client.update_collection_aliases(changes)
        for kind, collection in before.items():
            if collection != self.own[kind]:
                self._client.delete_collection(collection)


def check_version(client: QdrantClient) -> None:
    """Raises Misconfigured when the server is too old for what is asked of it."""
    version = client.info().version
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    if numbers < OLDEST:
        raise Misconfigured(
            f"QDRANT_URL names a Qdrant {version}: 1.17 or later is needed, update the server"
        )


def create(client: QdrantClient, aliases: Aliases, dim: int, card: dict[str, Any]) -> None:
    """Create what is missing of the collections of one model."""
    makers = {"items": layout.create_items, "users": layout.create_users}
    for kind, name in aliases.own.items():
        if not client.collection_exists(name):
            makers[kind](client, name, dim, card)
