"""The loop of a worker that drains a queue of embedding jobs, in a container or a process."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from windowshop.blobs import Blobs
from windowshop.embedding import jobs
from windowshop.errors import NotReady, Unavailable, WindowshopError
from windowshop.letters import UNREADABLE, reason_text
from windowshop.logs import log
from windowshop.queues import MAX_FAULTS, Message, Outgoing, Queue, pause_s
from windowshop.shop import Shop

BATCH = 10
VISIBLE_S = 300
FAILURES = 10
"""Times in a row that the queue cannot be reached, until the worker gives up."""


@dataclass(frozen=True, slots=True)
class Post:
    """A queue of jobs and its dead letters. While a job is worked on, it stays hidden from others
    for `visible_s` at a time: so much later it is theirs if this worker dies.
    """

    queue: Queue
    letters: Queue
    visible_s: int = VISIBLE_S


@dataclass(slots=True)
class Worked:
    """What a worker did. `returned`: jobs that it gave back."""

    jobs: int = 0
    items: int = 0
    returned: int = 0
    letters: int = 0


def work(
    post: Post,
    shop: Shop,
    blobs: Blobs,
    stop: threading.Event,
    *,
    polls: int = 3,
    wait_s: int = 20,
) -> Worked:
    """Do jobs until `stop` is set, or `polls` times in a row none came within `wait_s`.

    Once `stop` is set, what is being worked on is given back at once. Raises Misconfigured (what it
    holds is given back before), and Unavailable when the queue stays out of reach.
    """
    worked = Worked()
    empty = failures = 0
    while empty < polls and not stop.is_set():
        try:
            messages = post.queue.receive(BATCH, wait_s, post.visible_s)
            failures = 0
        except Unavailable as error:
            failures += 1
            log("worker").warning("queue_not_reached", detail=error.detail, times=failures)
            if failures == FAILURES:
                raise
            stop.wait(min(2**failures, 60))
            continue
        empty = 0 if messages else empty + 1
        if messages:
            _take(post, shop, blobs, stop, messages, worked)
    log("worker").info("worker_ended", stopped=stop.is_set(), jobs=worked.jobs, items=worked.items)
    return worked


def _take(
    post: Post,
    shop: Shop,
    blobs: Blobs,
    stop: threading.Event,
    messages: Sequence[Message],
    worked: Worked,
) -> None:
    def look_up(_: int) -> None:
        if stop.is_set():
            raise NotReady("the worker was stopped")

    try:
        with _kept_hidden(post, messages):
            done = jobs(shop, blobs, [message.body for message in messages], look_up)
    except BaseException:
        _release(post, messages, 0)
        raise
    settled: list[Message] = []
    for message, outcome in zip(messages, done, strict=True):
        if outcome.status == "ok":
            worked.jobs += 1
            worked.items += outcome.items
            settled.append(message)
        elif outcome.status == "dead" or (outcome.fault and message.tries >= MAX_FAULTS):
            if _bury(post, message, outcome.reason or "no reason was given"):
                worked.letters += 1
                settled.append(message)
        else:
            worked.returned += 1
            _release(post, [message], 0 if stop.is_set() else pause_s(message.tries))
    try:
        post.queue.delete(settled)
    except WindowshopError as error:  # they come again, and are found done
        log("worker").warning("jobs_not_deleted", detail=error.detail)


def _release(post: Post, messages: Sequence[Message], wait_s: int) -> None:
    try:
        post.queue.release(messages, wait_s)
    except WindowshopError as error:  # then they come when the time that they are hidden is over
        log("worker").warning("jobs_not_released", detail=error.detail)


def _bury(post: Post, message: Message, reason: str) -> bool:
    """Among the dead letters, with the reason; if that fails it comes again."""
    body = message.body if isinstance(message.body, dict) else {UNREADABLE: message.body}
    store = body.get("store")
    named = store if isinstance(store, str) and store.isprintable() else ""
    about = {"reason": reason_text(reason), "store": named}
    try:
        refused = post.letters.send([Outgoing(body, attributes=about)])
    except WindowshopError as error:
        refused = [(0, error.detail)]
    if refused:
        log("worker").error("job_not_buried", detail=refused[0][1])
    return not refused


@contextlib.contextmanager
def _kept_hidden(post: Post, messages: Sequence[Message]) -> Iterator[None]:
    """While the block runs, nobody else is given these messages."""
    over = threading.Event()

    def renew() -> None:
        pause = 0.0
        while not over.wait(pause):
            try:
                post.queue.renew(messages, post.visible_s)
                pause = post.visible_s / 3
            except WindowshopError as error:
                log("worker").warning("jobs_not_renewed", detail=error.detail)
                pause = post.visible_s / 10

    thread = threading.Thread(target=renew, name="renew", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
