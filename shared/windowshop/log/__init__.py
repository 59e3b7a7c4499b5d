"""The port to the event log: the truth about what users did, from which all else can be rebuilt.

`store` is the contract's store name, `user` a `records.user_name` ("u:..." or "a:..."). Events are
idempotent by their id within a user. Impressions are kept but not folded: they stand in no count
and make no profile fall behind. Every method raises Unavailable when the log cannot be used.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from windowshop.profile import EventRow, Events, Keys, Profile, as_sent, event_row

__all__ = [
    "MAX_LINKS",
    "Appended",
    "Batch",
    "EventRow",
    "Forgotten",
    "Log",
    "Refolded",
    "Replayed",
    "Standing",
    "as_sent",
    "event_row",
]

MAX_LINKS = 1_000
"""Guests merged into one user, and users one guest is merged into."""

Batch = tuple[str, Sequence[EventRow], int]
"""A store, rows of its users, and when they were received (ms)."""


class Appended(NamedTuple):
    """What came of a batch: which rows were new, how many were held already, how many came to
    nothing because their user was forgotten after they were received. `users` [n]: a number for
    each row's user, as in `Replayed` (0 for a dropped row); `seq`: of the last row.
    """

    new: list[bool]
    duplicates: int
    dropped: int
    users: Keys
    seq: int


class Standing(NamedTuple):
    """What a user's profile must agree with. `version` grows with every change of what it is made
    of; `events`: how many the user and the `guests` merged into them have.
    """

    version: int
    events: int
    guests: tuple[str, ...]


class Refolded(NamedTuple):
    """A profile folded from the log alone, and the version that it stands for."""

    profile: Profile
    version: int


class Replayed(NamedTuple):
    """Events on items [n], numbers for their users [n], and how far this has come: `seq` goes back
    into `replay_since` once all parts before it were taken.
    """

    events: Events
    users: Keys
    seq: int


class Forgotten(NamedTuple):
    """What a `forget` erased: the user and their guests, and how many events. `owners`: others into
    whom any of them was merged, whose profiles are to be folded again.
    """

    users: tuple[str, ...]
    owners: tuple[str, ...]
    events: int


class Log(Protocol):
    # events
    def append_many(self, batches: Sequence[Batch]) -> list[Appended]:
        """Write all batches; they are on disk when this returns. Each event takes effect once,
        however often it is appended. Bad data (InvalidInput) takes no effect at all. Where another
        error or a crash left some of it written, appending the same again completes it.
        """

    def append(self, store: str, rows: Sequence[EventRow], received_ms: int) -> Appended: ...

    def export(
        self, store: str, users: Sequence[str], cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of the users' events as they were sent, in the order they came, and the cursor of
        the next page (None at the end). Raises InvalidInput for a cursor that is none.
        """

    def replay_since(self, store: str, seq: int) -> Iterator[Replayed]:
        """All events on items after `seq`, in parts. Those of the last seconds may be missing: the
        next replay, from the `seq` of this one, has them. A part may be empty.
        """

    def rows(self, store: str) -> Iterator[EventRow]:
        """All events, in no order, for a replay of them."""

    # folding
    def standings(self, store: str, users: Sequence[str]) -> dict[str, Standing]:
        """Of those that the log has heard of."""

    def refold(self, store: str, users: Sequence[str]) -> dict[str, Refolded]:
        """Profiles from the log: own events and those of merged guests; empty for unknown users."""

    def mark_folded(self, store: str, versions: Mapping[str, int]) -> list[str]:
        """These versions are in the stored profiles now. One that was outrun stays unfolded.
        Returns users whom the log does not know (any more): there must be no profile of them.
        """

    def unfolded(self, store: str, limit: int | None = None) -> list[str]:
        """Users whose log is ahead of the profile: they were not marked since they changed. The
        longest known come first.
        """

    # users
    def users(self, store: str) -> list[str]: ...

    def counts_of(self, store: str, users: Sequence[str]) -> dict[str, int]:
        """How many own events each of those that the log has heard of has."""

    def link(self, store: str, user: str, guest: str) -> bool:
        """The guest turned out to be the user. False if that was known. Raises InvalidInput, also
        for more than MAX_LINKS.
        """

    def unlink(self, store: str, user: str, guest: str) -> bool: ...

    def links_of(self, store: str, user: str) -> list[str]:
        """The guests merged into a user, in the order of their names."""

    def links(self, store: str) -> Iterator[tuple[str, str]]:
        """Every user and guest who was merged into them. Reads all that is known of users."""

    def owners_of(self, store: str, guests: Sequence[str]) -> list[str]:
        """The users into whom any of the guests is merged."""

    def forget(self, store: str, user: str, now_ms: int, erasure_id: str) -> Forgotten:
        """Delete all of a user and of their guests. Whatever was received until now and comes later
        comes to nothing. A running erasure is on record until `put_erasure` says it is done.
        """

    def expire(self, store: str, before_ms: int) -> int:
        """Delete events of before then; returns how many. Their users are unfolded then."""

    def held(self, store: str, users: Sequence[str]) -> int:
        """How many events of these users are there, counted one by one: what `forget` left."""

    def put_erasure(self, store: str, erasure_id: str, record: Mapping[str, Any]) -> None: ...

    def erasure(self, store: str, erasure_id: str) -> dict[str, Any] | None: ...

    def unfinished_erasures(self) -> list[tuple[str, str, list[str]]]:
        """Store, erasure and the `user_key`s whose vectors are to be looked for again."""

    # stores
    def stores(self) -> list[str]:
        """Those with events, or with a declared field."""

    def count(self, store: str) -> int:
        """All events, impressions too."""

    def newest(self, store: str) -> int | None:
        """The greatest time (ms) of any event ever accepted: the store's own clock."""

    def items(self, store: str) -> list[tuple[int, str, int]]:
        """Key, id and number of events of every item that events name. Reads the whole log."""

    def fields(self, store: str) -> dict[str, Any]:
        """The declared attributes and their kinds."""

    def put_field(self, store: str, name: str, kind: str) -> None: ...

    def snapshot(self, store: str, name: str, after: int = -1) -> tuple[int, bytes] | None:
        """A saved state and the `seq` it stands for; None unless that is greater than `after`."""

    def put_snapshot(self, store: str, name: str, seq: int, body: bytes) -> None:
        """Keep a state in place of an older one; one with a smaller `seq` changes nothing."""

    # the whole
    def check(self) -> None:
        """Raises Unavailable if the log cannot be read."""

    def close(self) -> None: ...
