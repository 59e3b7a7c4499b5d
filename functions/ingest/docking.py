"""Where uploads arrive in the AWS world: the queues of both lanes, and AWS Batch where it is."""

import tempfile
from functools import partial
from pathlib import Path

from windowshop import uploads
from windowshop.aws import Aws
from windowshop.aws import batch as aws_batch
from windowshop.aws.batch import BatchJobs
from windowshop.shop import Shop
from windowshop.uploads import Dock, Lanes, Limits


def dock(aws: Aws, shop: Shop, *, whole: bool = False) -> Dock:
    """What is more than a function can take on is handed over to AWS Batch, where there is some;
    with `whole` this process takes on all of it.
    """
    settings, jobs = aws.settings, _jobs(aws)
    can_embed = bool(settings.batch_queue and settings.batch_embed)
    can_ingest = bool(settings.batch_cpu_queue and settings.batch_ingest)
    lanes = Lanes(
        aws.queue("embed_queue"),
        aws.queue("embed_bulk_queue") if settings.embed_bulk_queue else None,
        settings.small_items,
        jobs.start_embedding if can_embed else None,
    )
    limits = Limits(hand_over=jobs.start_ingest if can_ingest and not whole else None)
    return Dock(shop, aws.blobs, lanes, aws.runs, Path(tempfile.gettempdir()), limits)


def reconcile(aws: Aws, dock: Dock) -> None:
    """Whatever was lost on the way: items that wait have a job, and jobs that wait a worker."""
    uploads.sweep(dock.shop, dock.lanes)
    if dock.lanes.bulk is not None and dock.lanes.start_bulk is not None:
        aws_batch.reconcile(dock.lanes.bulk, _jobs(aws))


def _jobs(aws: Aws) -> BatchJobs:
    settings = aws.settings
    return BatchJobs(
        partial(aws.clients, "batch"),
        settings.batch_queue,
        settings.batch_embed,
        settings.batch_cpu_queue,
        settings.batch_ingest,
    )
