"""The function `events`: users' events from their queue into the log and the profiles; and, asked
by a scheduler, the counts and the slates that are kept for when Qdrant is away.
"""

from functools import cache

from functions.events.entry import build
from windowshop.aws import open_aws
from windowshop.aws.batches import Deliveries
from windowshop.logs import configure
from windowshop.shop import Shop

_aws = open_aws()
configure(_aws.shop_settings.log_level)


_shop = _aws.open_shop()


@cache
def _counting() -> Shop:
    """The shop that counts what was logged: one process at a time, when the scheduler says so. One
    model and one line to Qdrant are enough for both.
    """
    return _aws.open_shop(counting=True, encoder=_shop.world.encoder, store=_shop.world.store)


handler = _aws.signals.reporting(
    build(
        _shop,
        Deliveries(
            _aws.queue("events_queue"), _aws.queue("events_letters"), _aws.signals, fifo=True
        ),
        {
            "refresh": lambda: _counting().refresh(),
            "maintain": lambda: _counting().maintain(),
        },
    )
)
