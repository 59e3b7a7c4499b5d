"""The collections of a deployment: which there are, which count, and how they come about."""

from typing import Any

from qdrant_client import QdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import UnexpectedResponse

from windowshop.errors import Misconfigured
from windowshop.store.server import layout
from windowshop.store.server.line import Line

KINDS = ("items", "users")
OLDEST = (1, 17)


class Aliases:
    """The names `items` and `users`, and the collections of one model that they may stand for."""

    def __init__(self, line: Line, prefix: str, mark: str) -> None:
        self._line = line
        self._names = {kind: prefix + kind for kind in KINDS}
        self.own = {kind: f"{name}-{mark}" for kind, name in self._names.items()}

    def present(self) -> dict[str, str]:
        """{kind: the collection that counts}, as far as there are any."""
        with self._line.calling() as client:
            aliases = client.get_aliases().aliases
        held = {alias.alias_name: alias.collection_name for alias in aliases}
        return {kind: held[name] for kind, name in self._names.items() if name in held}

    def card(self, collection: str) -> dict[str, Any]:
        """The model card of a collection."""
        with self._line.calling() as client:
            return dict(client.get_collection(collection).config.metadata or {})

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
        with self._line.calling() as client:
            client.update_collection_aliases(changes)
            for kind, collection in before.items():
                if collection != self.own[kind]:
                    client.delete_collection(collection)


def check_version(client: QdrantClient) -> None:
    """Raises Misconfigured when the server is too old for what is asked of it."""
    version = client.info().version
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    if numbers < OLDEST:
        raise Misconfigured(
            f"QDRANT_URL names a Qdrant {version}: 1.17 or later is needed, update the server"
        )


def create(client: QdrantClient, own: dict[str, str], dim: int, card: dict[str, Any]) -> None:
    """Create what is missing of one model's collections {kind: name} and of their indexes.

    Several processes may do it at once, and one may have been stopped half-way.
    """
    makers = {"items": layout.create_items, "users": layout.create_users}
    indexes = {"items": layout.item_indexes(), "users": layout.user_indexes()}
    for kind, name in own.items():
        if not client.collection_exists(name):
            try:
                makers[kind](client, name, dim, card)
            except UnexpectedResponse:
                if not client.collection_exists(name):
                    raise
        present = client.get_collection(name).payload_schema
        for field, schema in indexes[kind].items():
            if field not in present:
                client.create_payload_index(name, field, schema)
