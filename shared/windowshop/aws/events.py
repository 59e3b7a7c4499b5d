"""The API's queue of events on AWS: checked here, then put into the FIFO queue of the events.

One message a user and call, in the user's own group: a user's events stay in their order, and
nobody waits for anybody else. They count as taken when SQS has them.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson

from windowshop import consume, recording
from windowshop.api.work import Threads
from windowshop.errors import Unavailable
from windowshop.queues import MAX_BATCH, MAX_BYTES, Outgoing, Queue
from windowshop.recording import Taken
from windowshop.records import Event, Rejection, user_key, user_name
from windowshop.world import World

LANES = 4
"""Calls to SQS at once for one request; each takes 10 messages."""
FRAME = 6_000
"""Bytes of a message around its events, and of what a dead letter of all of it says beside them: a
letter that the queue refused would be delivered again and again, and hold up its user.
"""


class _Part(NamedTuple):
    """A message, and where its events stood in the request."""

    indices: Sequence[int]
    message: Outgoing


class SqsEvents:
    """`world` stamps events without a time; `queue` is the FIFO queue of the events; at most
    `width` calls to it go on at once.
    """

    def __init__(self, world: World, queue: Queue, width: int = 8) -> None:
        self._world, self._queue = world, queue
        self._threads = Threads(width)

    async def submit(self, tenant: str, events: Sequence[Event], received_ms: int) -> Taken:
        """Which items are known is not looked up. Raises Unavailable where SQS took none of the
        events, TooManyRequests where too much waits for it already.
        """
        rejected = recording.rows_of(self._world, tenant, events, received_ms)[1]
        stamp = self._world.stamp(tenant, received_ms)
        lanes: list[list[_Part]] = [[] for _ in range(LANES)]
        users = _by_user(tenant, events, {one.index for one in rejected})
        for place, (user, indices) in enumerate(users.items()):
            lane = lanes[place // MAX_BATCH % LANES]
            named = [events[index] for index in indices]
            body = consume.message(tenant, named, received_ms, stamp)
            lane.extend(_parts(consume.group_of(tenant, user), body, indices))
        calls = [self._threads.run(partial(self._send, lane)) for lane in lanes if lane]
        failed: list[Unavailable] = []
        for lane, answer in zip(
            (lane for lane in lanes if lane),
            await asyncio.gather(*calls, return_exceptions=True),
            strict=True,
        ):
            if isinstance(answer, Unavailable):
                failed.append(answer)
                rejected += _rejected([(part, answer.detail) for part in lane])
            elif isinstance(answer, BaseException):
                raise answer
            else:
                rejected += _rejected(answer)
        if failed and len(failed) == len(calls):
            raise failed[0]
        return Taken(sorted(rejected, key=lambda one: one.index))

    def _send(self, lane: Sequence[_Part]) -> list[tuple[_Part, str]]:
        refused = self._queue.send([part.message for part in lane])
        return [(lane[place], why) for place, why in refused]


def _by_user(
    tenant: str, events: Sequence[Event], without: set[int]
) -> Mapping[str, Sequence[int]]:
    """The places of each user's events, under the user's pseudonym."""
    users: dict[str, list[int]] = {}
    for index, event in enumerate(events):
        if index not in without:
            name = user_name(event.user_id, event.anonymous_id) or ""
            users.setdefault(user_key(tenant, name), []).append(index)
    return users


def _parts(group: str, body: Mapping[str, Any], indices: Sequence[int]) -> Iterator[_Part]:
    """A user's events as messages that SQS takes: one, unless they are uncommonly large."""
    start, size = 0, FRAME
    rows = body["events"]
    for place, row in enumerate(rows):
        length = len(orjson.dumps(row)) + 1
        if place > start and size + length > MAX_BYTES:
            yield _part(group, body, rows[start:place], indices[start:place])
            start, size = place, FRAME
        size += length
    yield _part(group, body, rows[start:], indices[start:])


def _part(
    group: str, body: Mapping[str, Any], rows: Sequence[Any], indices: Sequence[int]
) -> _Part:
    message = {**body, "events": rows}
    dedup = hashlib.sha256(orjson.dumps(message)).hexdigest()
    return _Part(indices, Outgoing(message, group, dedup))


def _rejected(refused: Sequence[tuple[_Part, str]]) -> list[Rejection]:
    return [
        Rejection(index=index, code="unavailable", detail=f"the queue did not take it: {why}")
        for part, why in refused
        for index in part.indices
    ]
