"""Guests merged into users. A link is two items, one on each side, and a count in each head; all
four are written in one transaction.
"""

from collections.abc import Iterator, Sequence

from windowshop.aws.log.expressions import Action, Item, Key, Value, delete, put, update
from windowshop.aws.log.layout import GUESTS, OWNERS, head_key, partition
from windowshop.aws.log.people import People
from windowshop.errors import InvalidInput, Unavailable
from windowshop.log import MAX_LINKS
from windowshop.records import user_key

TOGETHER = 30  # links that are undone in one transaction: three actions each, and one
TRIES = 12

_NAMED = "#name = if_not_exists(#name, :name), #since = if_not_exists(#since, :stamp)"
_FOLLOWING = "#folded = if_not_exists(#folded, :zero)"


class Links(People):
    """Every method raises Unavailable."""

    def link(self, store: str, user: str, guest: str) -> bool:
        if not (user.startswith("u:") and guest.startswith("a:")):
            raise InvalidInput("a guest (anonymous_id) is merged into a user (user_id)")
        owner, other = user_key(store, user), user_key(store, guest)
        stamp = self._feed.stamp(self._feed.now())
        values: dict[str, Value] = {"stamp": stamp, "zero": 0, "one": 1, "most": MAX_LINKS}
        codes = self._table.transact([
            self._put({"pk": partition(store, owner), "sk": GUESTS + other, "name": guest}),
            self._put({"pk": partition(store, other), "sk": OWNERS + owner, "name": user}),
            update(
                self._table.name,
                head_key(store, owner),
                f"SET {_NAMED}, {_FOLLOWING} ADD #guests :one, #version :one",
                {**values, "name": user},
                "attribute_not_exists(#guests) OR #guests < :most",
            ),
            # `last` makes whoever is about to add events to the guest look again: the user's
            # profile has to follow them from now on.
            update(
                self._table.name,
                head_key(store, other),
                f"SET {_NAMED}, {_FOLLOWING}, #version = if_not_exists(#version, :zero),"
                " #last = :stamp ADD #owners :one",
                {**values, "name": guest},
                "attribute_not_exists(#owners) OR #owners < :most",
            ),
        ])  # fmt: skip
        if not codes:
            return True
        if codes[0]:
            return False
        raise InvalidInput(
            f"at most {MAX_LINKS} guests can be merged into one user, and one guest into "
            f"{MAX_LINKS} users"
        )

    def unlink(self, store: str, user: str, guest: str) -> bool:
        owner = user_key(store, user)
        return self._undo(store, owner, [(GUESTS, user_key(store, guest))])

    def links_of(self, store: str, user: str) -> list[str]:
        head = self._heads.read(store, user_key(store, user))
        return self._heads.guests(store, user) if head.guests else []

    def links(self, store: str) -> Iterator[tuple[str, str]]:
        heads = self._all_heads(store, "#guests > :none", {"none": 0})
        users = [head.name for head in heads if head.name is not None]
        found = self._table.each(lambda user: self._heads.guests(store, user), users)
        for user, guests in zip(users, found, strict=True):
            yield from ((user, guest) for guest in guests)

    def owners_of(self, store: str, guests: Sequence[str]) -> list[str]:
        some = [guest for guest in guests if guest.startswith("a:")]
        heads = self._heads.of(store, some)
        merged = [guest for guest, head in heads.items() if head.owners]
        found = self._table.each(lambda guest: self._heads.owners(store, guest), merged)
        return sorted({owner for owners in found for owner in owners})

    def _links(self, store: str, key: str) -> Iterator[tuple[str, str, str]]:
        """The links of a user, by key: the kind, the other's key, the other's name."""
        for kind in (GUESTS, OWNERS):
            for item in self._table.query(partition(store, key), kind):
                yield kind, item["sk"][len(kind) :], item["name"]

    def _detach(self, store: str, key: str) -> None:
        """Undo all links of a user; those into whom a guest was merged have to follow that."""
        for attempt in range(TRIES):
            links = [(kind, other) for kind, other, _ in self._links(store, key)]
            parts = [links[at : at + TOGETHER] for at in range(0, len(links), TOGETHER)]
            if all(self._undo(store, key, part) for part in parts):
                return
            self._table.wait(attempt)  # somebody else undid one of them
        raise Unavailable("a user's links are written by many at once: try again shortly")

    def _undo(self, store: str, key: str, links: Sequence[tuple[str, str]]) -> bool:
        """Undo links between a user and these others. False, and nothing, if one is not there."""
        actions: list[Action] = []
        for kind, other in links:
            back = OWNERS if kind == GUESTS else GUESTS
            actions += [
                self._delete((partition(store, key), kind + other)),
                self._delete((partition(store, other), back + key)),
                self._less(store, other, back, 1),
            ]
        for kind in (GUESTS, OWNERS):
            if many := sum(one == kind for one, _ in links):
                actions.append(self._less(store, key, kind, many))
        return not self._table.transact(actions)

    def _less(self, store: str, key: str, kind: str, links: int) -> Action:
        """A head with fewer links. Those with fewer guests have to follow that."""
        change = "ADD #guests :less, #version :one" if kind == GUESTS else "ADD #owners :less"
        values = {"less": -links} | ({"one": 1} if kind == GUESTS else {})
        return update(self._table.name, head_key(store, key), change, values)

    def _put(self, item: Item) -> Action:
        return put(self._table.name, item, "attribute_not_exists(#pk)")

    def _delete(self, key: Key) -> Action:
        return delete(self._table.name, key, "attribute_exists(#pk)")
