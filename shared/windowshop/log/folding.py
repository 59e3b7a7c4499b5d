"""Reading events back: whose profile is behind, and profiles folded from the log alone."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windowshop.log import Refolded, Replayed, Standing
from windowshop.log.appending import select_in, select_users
from windowshop.log.database import Database
from windowshop.profile import (
    EVENT,
    IMPRESSION,
    SEARCH,
    Events,
    Profile,
    SearchEvent,
    fold_events,
    query_of,
)

PART = 200_000  # events read at a time

_FIELDS = "item_key, event_key, time_ms, row, kind, value"
_READ = np.dtype([("user", "<i8"), *EVENT.descr, ("rest", "O")])
_REPLAY = np.dtype([("seq", "<i8"), ("user", "<u8"), *EVENT.descr])


class Folding:
    """Every method raises Unavailable when the file cannot be used."""

    _db: Database

    def standings(self, store: str, users: Sequence[str]) -> dict[str, Standing]:
        with self._db.reading() as con:
            return {name: one for name, one, _ in _standings(con, store, users)}

    def refold(self, store: str, users: Sequence[str]) -> dict[str, Refolded]:
        folded = {user: Refolded(Profile.EMPTY, 0) for user in users}
        with self._db.reading() as con:
            part: list[tuple[str, Standing, list[int]]] = []
            size = 0
            for one in _standings(con, store, users):
                part.append(one)
                size += one[1].events
                if size > PART:
                    folded.update(_refold(con, part))
                    part, size = [], 0
            folded.update(_refold(con, part))
        return folded

    def mark_folded(self, store: str, versions: Mapping[str, int]) -> list[str]:
        # Not durable at once: what a crash undoes is folded again, which changes nothing.
        with self._db.writing(durable=False) as con:
            marked = con.executemany(
                "UPDATE users SET folded = max(folded, ?)"
                " WHERE store = ? AND name = ? AND version >= ?",
                [(version, store, user, version) for user, version in versions.items()],
            ).rowcount
            if marked == len(versions):
                return []
            known = {name for (name,) in select_users(con, store, list(versions), "name")}
        return [user for user in versions if user not in known]

    def unfolded(self, store: str, limit: int | None = None) -> list[str]:
        with self._db.reading() as con:
            rows = con.execute(
                "SELECT name FROM users WHERE store = ? AND version <> folded ORDER BY id LIMIT ?",
                (store, -1 if limit is None else limit),
            )
            return [name for (name,) in rows]

    def replay_since(self, store: str, seq: int) -> Iterator[Replayed]:
        while True:
            with self._db.reading() as con:
                rows = con.execute(
                    f"SELECT seq, user, {_FIELDS} FROM events"
                    " CROSS JOIN users ON users.id = events.user"
                    " WHERE seq > ? AND store = ? AND item_key <> 0 AND kind <> ?"
                    " ORDER BY seq LIMIT ?",
                    (seq, store, IMPRESSION, PART),
                ).fetchall()
            if not rows:
                return
            read = np.array(rows, dtype=_REPLAY)
            seq = int(read["seq"][-1])
            yield Replayed(_events(read), np.ascontiguousarray(read["user"]), seq)


def _standings(
    con: sqlite3.Connection, store: str, users: Sequence[str]
) -> list[tuple[str, Standing, list[int]]]:
    """Of each user that there is: name, standing, and the numbers of the user and the guests."""
    found = list(select_users(con, store, users, "name, id, version, count"))
    guests: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    links = select_in(
        con,
        "SELECT user, name, id, count FROM links JOIN users ON users.id = links.guest"
        " WHERE user IN",
        (),
        [number for _, number, _, _ in found],
        "ORDER BY name",
    )
    for user, *guest in links:
        guests[user].append(tuple(guest))
    return [
        (
            name,
            Standing(
                version,
                count + sum(own for _, _, own in guests[number]),
                tuple(guest for guest, _, _ in guests[number]),
            ),
            [number, *(guest for _, guest, _ in guests[number])],
        )
        for name, number, version, count in found
    ]


def _refold(
    con: sqlite3.Connection, part: Sequence[tuple[str, Standing, list[int]]]
) -> dict[str, Refolded]:
    rows = list(
        select_in(
            con,
            f"SELECT user, {_FIELDS}, CASE kind WHEN {SEARCH} THEN rest END"
            f" FROM events INDEXED BY events_of_user WHERE kind <> {IMPRESSION} AND user IN",
            (),
            list({number for _, _, numbers in part for number in numbers}),
        )
    )
    read = np.array(rows, dtype=_READ)
    read = read[np.argsort(read["user"], kind="stable")]
    starts = np.flatnonzero(np.diff(read["user"], prepend=-1))
    slices = dict(
        zip(read["user"][starts].tolist(), np.split(read, starts[1:]), strict=True)
        if len(read)
        else ()
    )
    folded = {}
    for name, standing, numbers in part:
        own = [slices[number] for number in numbers if number in slices]
        profile = Profile.EMPTY
        if own:
            whole = np.concatenate(own)
            profile = fold_events(profile, _events(whole), _searches(whole))
        folded[name] = Refolded(profile, standing.version)
    return folded


def _events(read: NDArray[Any]) -> Events:
    """The fields of EVENT alone, packed."""
    events = np.empty(len(read), dtype=EVENT)
    for name in EVENT.names or ():
        events[name] = read[name]
    return events


def _searches(read: NDArray[Any]) -> list[SearchEvent]:
    some = read[read["kind"] == SEARCH]
    return [
        SearchEvent(time, row, event, query_of(rest))
        for time, row, event, rest in some[["time", "row", "event", "rest"]].tolist()
    ]
