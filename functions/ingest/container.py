"""The worker's container: drains the bulk lane's queue and ends, or takes in one huge upload.

AWS Batch starts it, on spare machines that may be taken back at any time: on SIGTERM it hands back
what it holds, and whoever comes next goes on from there.
"""

import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from functions.ingest.docking import dock
from windowshop import uploads
from windowshop.aws import Aws, open_aws
from windowshop.aws.batch import NO_VERSION
from windowshop.embedding.work import Post, work
from windowshop.errors import WindowshopError
from windowshop.logs import configure, log
from windowshop.uploads import Upload

USAGE = """\
python -m functions.ingest.worker
    Do the bulk lane's jobs until none is left.
python -m functions.ingest.worker ingest BUCKET KEY VERSION
    Take in one upload, whatever its size.
"""


def main(args: Sequence[str]) -> int:
    """0: done, or handed back when asked to stop. 1: to be tried again. 2: wrong usage."""
    stop = threading.Event()

    def stopped(_: int, __: FrameType | None) -> None:
        stop.set()

    if args and (args[0] != "ingest" or len(args) != 4):
        sys.stderr.write(USAGE)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopped)
    aws = open_aws()
    configure(aws.shop_settings.log_level)
    try:
        if args:
            bucket, key, version = args[1:]
            return _ingest(
                aws, Upload(bucket, key, None if version == NO_VERSION else version), stop
            )
        return _drain(aws, stop)
    except WindowshopError as error:
        log("worker").error("worker_failed", code=error.code, detail=error.detail)
        return 1
    finally:
        aws.signals.flush()


def _drain(aws: Aws, stop: threading.Event) -> int:
    queue, letters = aws.queue("embed_bulk_queue"), aws.queue("embed_bulk_letters")
    post = Post(queue, letters, aws.settings.hold_s)
    work(post, aws.open_shop(), aws.blobs, stop)
    return 0


def _ingest(aws: Aws, upload: Upload, stop: threading.Event) -> int:
    """What is left when it has to stop is gone on with when Batch starts it again."""
    done = uploads.ingest_patiently(dock(aws, aws.open_shop(), whole=True), upload, stop)
    return 1 if done is None else 0
