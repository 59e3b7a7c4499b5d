"""AWS Batch: machines for what the functions cannot do, from none at all and back to none."""

import hashlib
from collections.abc import Callable
from typing import Any

from windowshop.aws.clients import translated
from windowshop.logs import log
from windowshop.queues import Queue
from windowshop.uploads import Upload

EMBED = "embed"
ACTIVE = frozenset({"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"})
NO_VERSION = "-"


class BatchJobs:
    """`client` gives the Batch client. Jobs of `embed` (a job definition) go to `queue`, whose
    machines have GPUs, those of `ingest` to `cpu_queue`.

    Submitting has no token that would make it happen once. Twice does no harm: workers share what
    is in the queue, and of two that read one upload the second finds it taken.
    """

    def __init__(
        self, client: Callable[[], Any], queue: str, embed: str, cpu_queue: str, ingest: str
    ) -> None:
        self._client = client
        self._queue, self._embed = queue, embed
        self._cpu_queue, self._ingest = cpu_queue, ingest

    def start_embedding(self) -> bool:
        """A worker that drains the bulk lane, unless there is one. Raises Unavailable."""
        return self._start(EMBED, self._queue, self._embed)

    def start_ingest(self, upload: Upload) -> bool:
        """Have an upload taken in that is too large for the function. Raises Unavailable."""
        text = f"{upload.bucket}/{upload.key}/{upload.version}"
        name = f"ingest-{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"
        command = ["ingest", upload.bucket, upload.key, upload.version or NO_VERSION]
        return self._start(name, self._cpu_queue, self._ingest, {"command": command})

    def _start(self, name: str, queue: str, definition: str, overrides: Any = None) -> bool:
        with translated():
            if self._is_active(name, queue):
                return False
            more = {} if overrides is None else {"containerOverrides": overrides}
            job = self._client().submit_job(
                jobName=name, jobQueue=queue, jobDefinition=definition, **more
            )
        log("batch").info("job_submitted", name=name, job=job["jobId"])
        return True

    def _is_active(self, name: str, queue: str) -> bool:
        pages = self._client().get_paginator("list_jobs")
        wanted = [{"name": "JOB_NAME", "values": [name]}]
        return any(
            job.get("status") in ACTIVE
            for page in pages.paginate(jobQueue=queue, filters=wanted)
            for job in page["jobSummaryList"]
        )


def reconcile(queue: Queue, jobs: BatchJobs) -> bool:
    """Should jobs wait in the bulk lane and nobody be there to do them, start a worker.

    For a scheduler to call: whatever ended a worker before its time, the next is on its way within
    minutes. Returns whether one was started. Raises Unavailable.
    """
    return queue.depth() > 0 and jobs.start_embedding()
