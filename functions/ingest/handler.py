"""The function `ingest`: catalogues that were uploaded to the bucket into items and embedding jobs;
and, asked by a scheduler, workers for jobs that wait.
"""

from functions.ingest.docking import dock, reconcile
from functions.ingest.entry import build
from windowshop.aws import open_aws
from windowshop.aws.batches import Deliveries
from windowshop.logs import configure

_aws = open_aws()
configure(_aws.shop_settings.log_level)
_dock = dock(_aws, _aws.open_shop())
handler = _aws.signals.reporting(
    build(
        _dock,
        Deliveries(
            _aws.queue("catalogue_queue"),
            _aws.queue("catalogue_letters"),
            _aws.signals,
            fifo=False,
        ),
        lambda: reconcile(_aws, _dock),
    )
)
