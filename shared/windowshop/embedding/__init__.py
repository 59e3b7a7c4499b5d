"""Embedding jobs -> vectors: the same code in a function on ONNX Runtime and on a GPU.

A job says which texts are wanted; what the store has by now is not encoded again, so a job that is
delivered twice, or whose items were changed since, does no harm and costs next to nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from windowshop.blobs import Blobs
from windowshop.errors import Misconfigured
from windowshop.items import Wanted, put_vectors, still_wanted, texts_of
from windowshop.jobs import EmbedJob, Outcome, outcome_of, read_chunk
from windowshop.logs import log
from windowshop.records import read
from windowshop.shop import Shop
from windowshop.store import Vector

__all__ = ["Outcome", "embed", "jobs"]

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Task:
    """A readable job of a batch: where it stood, and the texts that it still wants."""

    place: int
    job: EmbedJob
    wanted: list[Wanted]


def embed(shop: Shop, blobs: Blobs, job: EmbedJob, progress: Progress | None = None) -> int:
    """Do one job; returns how many vectors took effect. Raises InvalidInput, Unavailable."""
    task = _Task(0, job, _wanted(shop, blobs, job))
    return _store(shop, task, _encode(shop, [task], progress))


def jobs(
    shop: Shop, blobs: Blobs, batch: Sequence[object], progress: Progress | None = None
) -> list[Outcome]:
    """Do a batch of jobs together: one call of the encoder, which sees equal texts once. Outcomes
    keep its order. Raises Misconfigured only.
    """
    outcomes = [Outcome() for _ in batch]
    tasks: list[_Task] = []
    for place, body in enumerate(batch):
        try:
            job = read(EmbedJob, body)
            tasks.append(_Task(place, job, _wanted(shop, blobs, job)))
        except Exception as error:  # noqa: BLE001 - a job must not be lost over a fault of ours
            outcomes[place] = _stopped(shop, error, body)
    _do(shop, tasks, batch, outcomes, progress)
    return outcomes


def _wanted(shop: Shop, blobs: Blobs, job: EmbedJob) -> list[Wanted]:
    if job.keys is not None:
        return texts_of(shop.world, job.store, [int(key) for key in job.keys])
    return still_wanted(shop.world, job.store, read_chunk(blobs, job.chunk or ""))


def _do(
    shop: Shop,
    tasks: Sequence[_Task],
    batch: Sequence[object],
    outcomes: list[Outcome],
    progress: Progress | None,
) -> None:
    """Encode together; where that fails, each alone, so that only the culprits fail."""
    if not tasks:
        return
    try:
        vectors = _encode(shop, tasks, progress)
    except Exception as error:  # noqa: BLE001 - see above
        outcome = outcome_of(error)
        for task in tasks:
            if len(tasks) > 1 and (outcome.fault or outcome.status == "dead"):
                _do(shop, [task], batch, outcomes, progress)
            else:
                outcomes[task.place] = _stopped(shop, error, batch[task.place])
        return
    start = 0
    for task in tasks:
        rows = vectors[start : start + len(task.wanted)]
        start += len(task.wanted)
        try:
            outcomes[task.place] = Outcome(items=_store(shop, task, rows))
        except Exception as error:  # noqa: BLE001 - see above
            outcomes[task.place] = _stopped(shop, error, batch[task.place])


def _encode(shop: Shop, tasks: Sequence[_Task], progress: Progress | None) -> Vector:
    texts = [one.text for task in tasks for one in task.wanted]
    return shop.world.encoder.encode(texts, progress=progress)


def _store(shop: Shop, task: _Task, vectors: Vector) -> int:
    """Store the vectors of one job, and tell of it."""
    world, job = shop.world, task.job
    done = put_vectors(world, job.store, task.wanted, vectors) if task.wanted else 0
    if done:
        told = {"store": job.store, "run": job.run, "chunk": job.chunk, "items": done}
        log("embedding").info("items_embedded", **told)
        world.signals.announce("ItemsEmbedded", told)
        world.signals.measure("ItemsEmbedded", done)
        world.signals.measure("EmbedSeconds", (world.wall() - job.sent_ms) / 1000, "Seconds")
    return done


def _stopped(shop: Shop, error: Exception, body: object) -> Outcome:
    """Raises Misconfigured again: no job can be done then."""
    if isinstance(error, Misconfigured):
        raise error
    outcome = outcome_of(error)
    if outcome.fault:
        log("embedding").error("job_failed", error=error)
    if outcome.status == "dead":
        about = body if isinstance(body, Mapping) else {}
        told = {"store": about.get("store"), "what": "embed", "key": about.get("chunk")}
        log("embedding").warning("job_refused", **told, reason=outcome.reason)
        shop.world.signals.announce("JobFailed", {**told, "reason": outcome.reason})
    return outcome
