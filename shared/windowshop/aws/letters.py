"""Dead letters: what stands in the dead-letter queues of a deployment.

A queue cannot be read without being received from, so to look is to receive everything and to hand
it back. Of a FIFO queue's group only the first few can be seen as long as they are out: the next
ones show when those are settled. What a function buries gets a group of its own, so that this
concerns only what SQS itself moved.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from windowshop.consume import group_of
from windowshop.errors import (
    InvalidInput,
    Misconfigured,
    NotFound,
    NotReady,
    WindowshopError,
)
from windowshop.letters import PAGE, UNREADABLE, Letter, reason_text
from windowshop.logs import log
from windowshop.queues import MAX_BATCH, Message, Outgoing, Queue
from windowshop.records import new_id, user_key, user_name

MOST = 20_000
"""What is looked at in a queue: no FIFO queue has more in flight."""
STORE = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_MS = re.compile(r"[0-9]{1,14}", re.ASCII)
NO_REASON = "it was delivered as often as its queue allows; the function's log says what failed"


class Box(NamedTuple):
    """A dead-letter queue, and the queue whose letters it takes: `events`, `embed`, ..."""

    name: str
    source: Queue
    letters: Queue


class About(NamedTuple):
    """Whom a message is about, as far as that can be told: a store, and pseudonyms of users."""

    store: str | None
    users: tuple[str, ...]


class QueueLetters:
    """The letters of a deployment; an id is `<queue>/<message id>`. `boxes` are those that this
    process was told of. Letters that belong to no store are shown with every store's.
    """

    def __init__(self, boxes: Sequence[Box], wall: Callable[[], int]) -> None:
        self._boxes, self._wall = boxes, wall

    def add_letter(
        self, store: str, user: str | None, received_ms: int, reason: str, body: Mapping[str, Any]
    ) -> str:
        letter_id = new_id(self._wall())
        attributes = {
            "store": store,
            "reason": reason_text(reason),
            "letter": letter_id,
            "received": str(received_ms),
        }
        if user is not None:
            attributes["user"] = user_key(store, user)
        box = self._box("events" if "events" in body else "embed")
        message = Outgoing(body, letter_id, letter_id, attributes)
        if refused := box.letters.send([message]):
            raise InvalidInput(f"a dead letter cannot be kept: {refused[0][1]}")
        return f"{box.name}/{letter_id}"

    def letters(self, store: str, after: str | None = None, limit: int = PAGE) -> list[Letter]:
        with self._opened(self._boxes) as opened:
            found = [one.letter for one in opened.held if one.letter.store in {store, ""}]
        found.sort(key=lambda letter: (letter.received_ms, letter.id))
        if after is not None:
            at = next((n for n, letter in enumerate(found) if letter.id == after), None)
            if at is None:
                raise NotReady("the letters changed while they were listed: list them again")
            found = found[at + 1 :]
        return found[: min(limit, PAGE)]

    def letter(self, store: str, letter_id: str) -> Letter:
        with self._opened(self._boxes_of([letter_id])) as opened:
            for one in opened.held:
                if one.letter.id == letter_id and one.letter.store in {store, ""}:
                    return one.letter
        raise _unknown(letter_id)

    def count_letters(self, store: str) -> int:
        """Those of all stores: SQS counts its messages and does not look into them."""
        return sum(box.letters.depth() for box in self._boxes)

    def delete_letters(self, store: str, ids: Sequence[str]) -> int:
        wanted = set(ids)
        return self._burn(
            self._boxes_of(ids),
            lambda letter: letter.id in wanted and letter.store in {store, ""},
        )

    def delete_letters_of(self, store: str, users: Sequence[str]) -> int:
        keys = {user_key(store, user) for user in users}
        return self._burn(
            [box for box in self._boxes if box.name == "events"],
            lambda letter: not keys.isdisjoint(about(letter.body).users or (letter.user,)),
        )

    def send_back(self, store: str, ids: Sequence[str]) -> dict[str, str | None] | None:
        wanted = set(ids)
        sent: dict[str, str | None] = {}
        with self._opened(self._boxes_of(ids)) as opened:
            for one in opened.held:
                if one.letter.id in wanted and one.letter.store in {store, ""}:
                    sent[one.letter.id] = why = self._sent_back(one)
                    if why is None:
                        opened.settle([one])
        for letter_id in ids:
            if letter_id not in sent:
                raise _unknown(letter_id)
        return sent

    def _sent_back(self, held: "_Held") -> str | None:
        """Why a letter cannot be sent again, or None: it was."""
        letter, message = held.letter, held.message
        if UNREADABLE in letter.body:
            return "no function can read it"
        user = next(iter(about(letter.body).users), None)
        group = group_of(letter.store, user) if user else message.group or message.id
        again = Outgoing(letter.body, group, f"{message.id}-{self._wall()}")
        refused = held.box.source.send([again])
        return refused[0][1] if refused else None

    # --- looking into the queues ----------------------------------------------------------------

    def _box(self, name: str) -> Box:
        for box in self._boxes:
            if box.name == name:
                return box
        raise Misconfigured(f"WINDOWSHOP_{name.upper()}_LETTERS is not set")

    def _boxes_of(self, ids: Iterable[str]) -> list[Box]:
        names = {one.partition("/")[0] for one in ids}
        return [box for box in self._boxes if box.name in names]

    @contextlib.contextmanager
    def _opened(self, boxes: Sequence[Box]) -> Iterator["_Opened"]:
        opened = _Opened()
        try:
            for box in boxes:
                opened.look(box)
            yield opened
        finally:
            opened.close()

    def _burn(self, boxes: Sequence[Box], condemned: Callable[[Letter], bool]) -> int:
        """Delete letters. Others may stand behind them in their group: until none shows."""
        count = 0
        while True:
            with self._opened(boxes) as opened:
                found = [one for one in opened.held if condemned(one.letter)]
                opened.settle(found)
            count += len(found)
            if not found:
                return count


class _Held(NamedTuple):
    """A letter that was received, and is to be handed back or deleted."""

    box: Box
    message: Message
    letter: Letter


class _Opened:
    """Everything that could be received from some boxes, hidden from others meanwhile."""

    def __init__(self) -> None:
        self._by_id: dict[tuple[str, str], _Held] = {}

    @property
    def held(self) -> list[_Held]:
        return list(self._by_id.values())

    def look(self, box: Box) -> None:
        expected, seen = box.letters.depth(), 0
        while len(self._by_id) < MOST:
            # What is said to be there is waited for; nothing is, of an empty queue.
            some = box.letters.receive(MAX_BATCH, wait_s=1 if seen < expected else 0)
            before = len(self._by_id)
            for message in some:
                held = _Held(box, message, _letter(box.name, message))
                self._by_id[box.name, message.id] = held
            seen += len(self._by_id) - before
            if len(self._by_id) == before:
                return

    def settle(self, done: Sequence[_Held]) -> None:
        """They are letters no longer."""
        for box, messages in _by_box(done):
            box.letters.delete(messages)
        for one in done:
            del self._by_id[one.box.name, one.message.id]

    def close(self) -> None:
        """Hand back what is left. Where that fails, it shows again after the queue's own time."""
        for box, messages in _by_box(self.held):
            try:
                box.letters.release(messages)
            except WindowshopError as error:
                log("letters").warning("letters_not_released", detail=error.detail)


def _by_box(some: Iterable[_Held]) -> list[tuple[Box, list[Message]]]:
    boxes: dict[str, tuple[Box, list[Message]]] = {}
    for one in some:
        boxes.setdefault(one.box.name, (one.box, []))[1].append(one.message)
    return list(boxes.values())


# --- what a letter says ---------------------------------------------------------------------------


def about(body: Mapping[str, Any]) -> About:
    """Whom a message of any of our queues is about: events, an embedding job, an upload."""
    store, events = body.get("store"), body.get("events")
    if store is None:
        store = _store_of_upload(body)
    if not (isinstance(store, str) and STORE.fullmatch(store)):
        return About(None, ())
    users: dict[str, None] = {}
    for event in events if isinstance(events, list) else ():
        if isinstance(event, Mapping):
            name = user_name(_text(event.get("user_id")), _text(event.get("anonymous_id")))
            if name is not None:
                users[user_key(store, name)] = None
    return About(store, tuple(users))


def _store_of_upload(body: Mapping[str, Any]) -> str | None:
    """From EventBridge's "Object Created": `catalog/<store>/...`."""
    place: Any = body
    for name in ("detail", "object", "key"):
        place = place.get(name) if isinstance(place, Mapping) else None
    parts = place.split("/") if isinstance(place, str) else []
    return parts[1] if len(parts) > 2 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.isprintable() else None


def _letter(box: str, message: Message) -> Letter:
    given, body = message.attributes, message.body
    if not isinstance(body, dict):
        body = {UNREADABLE: body}
    known = about(body)
    received = str(given.get("received", body.get("received_ms")))
    return Letter(
        f"{box}/{given.get('letter', message.id)}",
        given.get("store") or known.store or "",
        given.get("user") or next(iter(known.users), None),
        int(received) if _MS.fullmatch(received) else message.sent_ms,
        given.get("reason") or NO_REASON,
        body,
    )


def _unknown(letter_id: str) -> NotFound:
    return NotFound(f"no dead letter {letter_id[:64]}: `windowshop dead-letters list` shows them")
