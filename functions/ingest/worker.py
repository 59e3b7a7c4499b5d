"""Embedding jobs into vectors: the function `worker` for the small lane, and the container of the
bulk lane (`python -m functions.ingest.worker`). The same code; the runtime of the model differs.
"""

import sys

from functions.ingest import container
from functions.ingest.entry import build_worker
from windowshop.aws import open_aws
from windowshop.aws.batches import Deliveries
from windowshop.logs import configure

if __name__ == "__main__":
    sys.exit(container.main(sys.argv[1:]))

_aws = open_aws()
configure(_aws.shop_settings.log_level)
handler = _aws.signals.reporting(
    build_worker(
        _aws.open_shop(),
        _aws.blobs,
        Deliveries(
            _aws.queue("embed_queue"), _aws.queue("embed_letters"), _aws.signals, fifo=False
        ),
    )
)
