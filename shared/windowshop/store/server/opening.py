"""The collections of a deployment: which there are, which count, and how they come about."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qdrant_client import QdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import UnexpectedResponse

from windowshop.errors import Misconfigured
from windowshop.store.schema import LEARNED, WORDS
from windowshop.store.server import layout
from windowshop.store.server.line import Line

KINDS = ("items", "users")
OLDEST = (1, 17)
SERVING = "serving"
"""The alias, beside those of the kinds, under which a model's items are read and written."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model's items: the collection, and what its points have room for."""

    name: str
    words: bool = True
    room: bool = False
    """For learned vectors."""
    learned: Mapping[str, str] = field(default_factory=dict)
    """By store: the version of the tower that made its learned vectors."""


class Aliases:
    """The names `items` and `users`, and the collections of one model that they may stand for.

    A model's items are at first in `items-<fingerprint>`, later in versions of that with a mark of
    their own. `items-<fingerprint>-serving` always stands for the one that serves, so that what is
    written while versions change is written to one or the other.
    """

    def __init__(self, line: Line, prefix: str, mark: str) -> None:
        self._line = line
        self._names = {kind: prefix + kind for kind in KINDS}
        self.own = {kind: f"{name}-{mark}" for kind, name in self._names.items()}
        self.serving = f"{self.own['items']}-{SERVING}"
        of_any = rf"{re.escape(self._names['items'])}-[0-9a-f]{{8}}"
        self._version = re.compile(rf"({of_any})-[0-9a-f]{{8}}")
        self._first = re.compile(of_any)

    def present(self) -> dict[str, str]:
        """{kind: the collection that counts}, and what serves, as far as there are any."""
        names = {**self._names, SERVING: self.serving}
        held = self.all()
        return {kind: held[name] for kind, name in names.items() if name in held}

    def all(self) -> dict[str, str]:
        """{alias: collection} of everything on the server."""
        with self._line.calling() as client:
            aliases = client.get_aliases().aliases
        return {alias.alias_name: alias.collection_name for alias in aliases}

    def is_own(self, collection: str) -> bool:
        """Whether these are items of our model, in any version."""
        found = self._version.fullmatch(collection)
        return collection == self.own["items"] or (
            found is not None and found[1] == self.own["items"]
        )

    def is_left_over(self, collection: str, aliases: Mapping[str, str]) -> bool:
        """Whether it is a version of a model's items that does not serve, or not any more."""
        if collection in aliases.values():
            return False
        if self._version.fullmatch(collection):
            return True
        replaced = f"{collection}-{SERVING}" in aliases
        return replaced and self._first.fullmatch(collection) is not None

    def card(self, collection: str) -> dict[str, Any]:
        """The model card of a collection."""
        with self._line.calling() as client:
            return dict(client.get_collection(collection).config.metadata or {})

    def promote(self, items: str) -> None:
        """Let our model count, its items those in the collection `items`; remove what counted."""
        before = self.present()
        wanted = {**self.own, "items": items}
        if all(before.get(kind) == name for kind, name in wanted.items()):
            return
        with self._line.calling() as client:
            client.update_collection_aliases(_moves(before, wanted, self._names))
            for kind, collection in before.items():
                if kind != SERVING and collection != wanted[kind]:
                    client.delete_collection(collection)

    def serve(self, items: str, *, count: bool = False) -> None:
        """Let `items` be what serves, and (`count`) what counts, in one step."""
        wanted = {SERVING: items, **({"items": items} if count else {})}
        moves = _moves(self.present(), wanted, {**self._names, SERVING: self.serving})
        with self._line.calling() as client:
            client.update_collection_aliases(moves)


def _moves(
    before: Mapping[str, str], wanted: Mapping[str, str], names: Mapping[str, str]
) -> list[m.AliasOperations]:
    moves: list[m.AliasOperations] = []
    for kind, collection in wanted.items():
        if kind in before:
            gone = m.DeleteAlias(alias_name=names[kind])
            moves.append(m.DeleteAliasOperation(delete_alias=gone))
        to = m.CreateAlias(collection_name=collection, alias_name=names[kind])
        moves.append(m.CreateAliasOperation(create_alias=to))
    return moves


def check_version(client: QdrantClient) -> None:
    """Raises Misconfigured when the server is too old for what is asked of it."""
    version = client.info().version
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    if numbers < OLDEST:
        raise Misconfigured(
            f"QDRANT_URL names a Qdrant {version}: 1.17 or later is needed, update the server"
        )


def create(
    client: QdrantClient, names: Mapping[str, str], dim: int, card: dict[str, Any]
) -> Version:
    """Create what is missing of one model's collections {kind: name} and of their indexes.

    Several processes may do it at once, and one may have been stopped half-way.
    """
    makers = {"items": layout.create_items, "users": layout.create_users}
    indexes = {"items": layout.item_indexes(), "users": layout.user_indexes()}
    held: dict[str, m.CollectionInfo] = {}
    for kind, name in names.items():
        if not client.collection_exists(name):
            try:
                makers[kind](client, name, dim, card)
            except UnexpectedResponse:
                if not client.collection_exists(name):
                    raise
        held[kind] = client.get_collection(name)
        for path, schema in indexes[kind].items():
            if path not in held[kind].payload_schema:
                client.create_payload_index(name, path, schema)
    items = held["items"]
    vectors = items.config.params.vectors
    sparse = items.config.params.sparse_vectors or {}
    words = WORDS in sparse or _add_words(client, names["items"])
    learned = dict((items.config.metadata or {}).get(LEARNED) or {})
    room = isinstance(vectors, dict) and LEARNED in vectors
    return Version(names["items"], words, room, learned)


def _add_words(client: QdrantClient, name: str) -> bool:
    """Room for words in a collection from before there were any; servers can since 1.18."""
    config = m.SparseVectorNameConfig(sparse=m.SparseVectorConfig())
    try:
        client.create_vector_name(name, WORDS, config)
    except UnexpectedResponse as error:
        if error.status_code not in (404, 405):
            raise
        return False
    return True
