"""Searches as they are asked for and remembered: by what they look for and where. Pure."""

from windowshop.filters import Filter
from windowshop.store import Search, Sparse, Vector, WordSearch

Wanted = tuple[Vector | Sparse, int, Filter | None, str | None]
"""A search: vector or words, limit, filter; the tower whose space it is in, None for the texts."""
Found = tuple[bytes, int, Filter | None, str | None]
"""The same by content."""


def content_of(wanted: Wanted) -> Found:
    """What a search is remembered by."""
    sought = wanted[0]
    if isinstance(sought, Sparse):
        return b"words" + sought.indices.tobytes() + sought.values.tobytes(), *wanted[1:]
    return sought.tobytes(), *wanted[1:]


def search_of(wanted: Wanted) -> Search | WordSearch:
    """A search as the store takes it."""
    sought, limit, where, tower = wanted
    if isinstance(sought, Sparse):
        return WordSearch(sought, limit, where)
    if tower is None:
        return Search(sought, limit, where)
    return Search(sought, limit, where, using="learned", made_by=tower)
